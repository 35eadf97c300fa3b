//! BLAS of the machine that stands in for a GPU: a product number by number, from what BLAS is told.

use candle_core::{CpuStorage, Layout, Result, WithDType, bail};

use super::Operand;
use super::product::{Gemm, Onto, Side, check};

pub(super) fn multiply(
    [a, b]: [Operand<'_, CpuStorage>; 2],
    (to, layout): (&mut CpuStorage, &Layout),
    onto: Onto,
) -> Result<()> {
    check([a, b], to)?;
    let gemm = Gemm::of(a.1, b.1, layout)?;
    let [first, second] = [b, a].map(|(storage, layout)| from(storage, layout.start_offset()));
    let (first, second) = (first?, second?);
    let start = layout.start_offset();
    match to {
        CpuStorage::F32(to) => run(&gemm, &first, &second, &mut to[start..], onto),
        CpuStorage::F64(to) => run(&gemm, &first, &second, &mut to[start..], onto),
        CpuStorage::BF16(to) => run(&gemm, &first, &second, &mut to[start..], onto),
        other => bail!("no product is of {other:?}"),
    }
    Ok(())
}

fn from(storage: &CpuStorage, start: usize) -> Result<Vec<f64>> {
    Ok(match storage {
        CpuStorage::F32(numbers) => numbers[start..].iter().map(|x| x.to_f64()).collect(),
        CpuStorage::F64(numbers) => numbers[start..].to_vec(),
        CpuStorage::BF16(numbers) => numbers[start..].iter().map(|x| x.to_f64()).collect(),
        other => bail!("no product is of {other:?}"),
    })
}

/// The place of a number in the `matrix`-th of a side, whose columns are in one piece.
fn place(side: &Side, matrix: usize, row: usize, column: usize) -> usize {
    let (row, column) = if side.is_turned { (column, row) } else { (row, column) };
    let of = |size: i64| usize::try_from(size).expect("made of a size");
    matrix * of(side.stride) + column * of(side.lead.into()) + row
}

fn run<N: WithDType>(gemm: &Gemm, first: &[f64], second: &[f64], to: &mut [N], onto: Onto) {
    let of = |size: i32| usize::try_from(size).expect("made of a size");
    for matrix in 0..of(gemm.batch) {
        for (row, column) in (0..of(gemm.m)).flat_map(|i| (0..of(gemm.n)).map(move |j| (i, j))) {
            let term = |i| {
                first[place(&gemm.first, matrix, row, i)]
                    * second[place(&gemm.second, matrix, i, column)]
            };
            let sum: f64 = (0..of(gemm.k)).map(term).sum();
            let to = &mut to[place(&gemm.to, matrix, row, column)];
            *to = N::from_f64(if onto == Onto::Sum { to.to_f64() + sum } else { sum });
        }
    }
}
