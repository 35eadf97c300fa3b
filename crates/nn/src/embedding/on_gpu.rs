//! The gradient of an embedding's weight as a kernel for GPUs: it goes where the others are, to the rows
//! that were looked up and no others.

use candle_core::{Device, Result, Tensor};

use crate::Parameter;
use crate::every_device::write_on;
use crate::gpu::{Array, Call, Grid, Kernel, Machine, read};

/// A thread for each number of a row of the weight: it adds up the gradients of all places that have it, in
/// their order.
const CODE: &str = "    COUNT row = BLOCK / blocks_of_row;
    COUNT i = BLOCK % blocks_of_row * THREADS + THREAD;
    if (i < width) {
        COUNT at = ids[row] * width + i;
        REAL sum = sums[at];
        INDEX place;
        for (place = starts[row]; place < starts[row + 1]; place++) {
            sum += WIDE(grads[order[place] * width + i]);
        }
        sums[at] = sum;
    }
";

/// Places by what was looked up there.
struct Places {
    /// The places, those with the same id side by side.
    order: Tensor,
    /// Where those of each id begin in `order`, and the end of all.
    starts: Tensor,
    /// The ids.
    ids: Tensor,
}

impl Places {
    fn of(rows: &[Option<usize>], device: &Device) -> Result<Self> {
        let index = |num: usize| u32::try_from(num).map_err(candle_core::Error::wrap);
        let places = rows.iter().enumerate().filter_map(|(place, row)| Some(((*row)?, place)));
        let mut places: Vec<(usize, usize)> = places.collect();
        places.sort_unstable(); // those of a row stay in their order
        let (mut starts, mut ids) = (Vec::new(), Vec::new());
        for (start, &(row, _)) in places.iter().enumerate() {
            if ids.last() != Some(&row) {
                starts.push(start);
                ids.push(row);
            }
        }
        starts.push(places.len());
        let order: Vec<usize> = places.into_iter().map(|(_, place)| place).collect();
        // They go to the device together.
        let lens = [order.len(), starts.len(), ids.len()];
        let all = order.into_iter().chain(starts).chain(ids).map(index);
        let all = Tensor::new(all.collect::<Result<Vec<u32>>>()?, device)?;
        let part = |i: usize| all.narrow(0, lens[..i].iter().sum(), lens[i]);
        Ok(Self { order: part(0)?, starts: part(1)?, ids: part(2)? })
    }
}

/// Adds row `i` of a contiguous `grad` to row `rows[i]` of the weight's gradient, if it has one.
pub(super) fn add_rows<S: Machine>(
    weight: &Parameter,
    grad: &Tensor,
    rows: &[Option<usize>],
) -> Result<()> {
    let (_, width) = weight.shape().dims2()?;
    let Places { order, starts, ids } = Places::of(rows, grad.device())?;
    let kernel = Kernel {
        name: "embedding weight".into(),
        dtype: grad.dtype(),
        reads: &[
            Array::Num("grads"),
            Array::Index("order"),
            Array::Index("starts"),
            Array::Index("ids"),
        ],
        writes: &[Array::Real("sums")],
        counts: &["width", "blocks_of_row"],
        factors: &[],
        code: Box::new(|| CODE.to_owned()),
    };
    let (grid, blocks_of_row) = Grid::of_columns(ids.elem_count(), width);
    let counts = [width, blocks_of_row];
    weight.add_in_place(|sum| {
        read::<S, _, 4>([grad, &order, &starts, &ids], |reads| {
            write_on::<S>(sum, |sum, layout| {
                let writes = &mut [(sum, layout)];
                let call = Call { reads: &reads, writes, counts: &counts, factors: &[] };
                S::run(&kernel, grid, call)
            })
        })
    })
}
