//! What every kernel's test needs, and the tests of those that belong to no layer.

mod product;

use candle_core::{CpuStorage, DType, Device, Tensor};

use super::{Array, Given, Grid, Kernel, add, make, read, scale};
use crate::every_device::{wide_dtype, write_on};

/// Every type that kernels are for.
pub(crate) const DTYPES: [DType; 3] = [DType::F32, DType::F64, DType::BF16];

/// Numbers of both signs, large and small, and zero.
pub(crate) fn numbers_of(shape: &[usize], seed: u32, dtype: DType) -> Tensor {
    let number = |i: usize| {
        let x = ((i as f64 + 1.) * f64::from(seed) * 0.618_033_988_75).fract() - 0.5;
        if i % 7 == 3 { 0. } else { x * [0.01, 0.1, 1., 3., 10.][i % 5] }
    };
    let numbers: Vec<f64> = (0..shape.iter().product()).map(number).collect();
    Tensor::new(numbers, &Device::Cpu).unwrap().reshape(shape).unwrap().to_dtype(dtype).unwrap()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// That a kernel made what the CPU makes: the last bits may differ, as sums have another order.
#[track_caller]
pub(crate) fn assert_same(made: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!((made.dims(), made.dtype()), (expected.dims(), expected.dtype()), "{what}");
    let tolerance = match expected.dtype() {
        DType::F64 => 1e-13,
        DType::BF16 => 1e-2,
        _ => 3e-6,
    };
    let (made, expected) = (wide(made), wide(expected));
    let size = expected.iter().filter(|x| x.is_finite()).fold(0f64, |size, x| size.max(x.abs()));
    for (i, (made, expected)) in made.into_iter().zip(expected).enumerate() {
        let same = made.to_bits() == expected.to_bits() || (made.is_nan() && expected.is_nan());
        let close = (made - expected).abs() <= tolerance * (1e-2 * size + expected.abs());
        assert!(same || close, "{what}, number {i}: {made}, and the CPU has {expected}");
    }
}

#[test]
fn sums_and_products_in_place_are_those_of_the_cpu() {
    for dtype in DTYPES {
        let real = wide_dtype(dtype);
        let (a, b) = (numbers_of(&[777], 3, real), numbers_of(&[777], 5, dtype));
        let expected = (&a + b.to_dtype(real).unwrap()).unwrap();
        read::<CpuStorage, _, 1>([&b], |[b]| {
            write_on::<CpuStorage>(&a, |a, layout| add((a, layout), b))
        })
        .unwrap();
        assert_same(&a, &expected, &format!("add, {dtype:?}"));
        let expected = (b.to_dtype(real).unwrap() * 0.3).unwrap().to_dtype(dtype).unwrap();
        write_on::<CpuStorage>(&b, |b, layout| scale((b, layout), 0.3)).unwrap();
        assert_same(&b, &expected, &format!("scale, {dtype:?}"));
    }
}

/// Every float32 that half precision has to round, at the edges of its numbers: those without a number
/// stay such.
#[test]
fn half_precision_is_rounded_as_on_the_cpu() {
    let edges =
        [0u32, 1, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001, 0x7fc0_0000, 0xff80_0000, 0x3f80_8000];
    let edges = edges.into_iter().chain((0..200u32).map(|i| i.wrapping_mul(0x9e37_79b9)));
    let wide: Vec<f32> = edges.map(f32::from_bits).collect();
    let wide = Tensor::new(wide, &Device::Cpu).unwrap();
    let expected = wide.to_dtype(DType::BF16).unwrap().to_vec1::<half::bf16>().unwrap();
    let kernel = Kernel {
        name: "narrow".into(),
        dtype: DType::BF16,
        reads: &[Array::Real("wide")],
        writes: &[Array::Num("narrow")],
        counts: &["n"],
        factors: &[],
        code: Box::new(|| {
            "    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) narrow[i] = NARROW(wide[i]);
"
            .to_owned()
        }),
    };
    let grid = Grid::of_numbers(wide.elem_count());
    let [made] = read::<CpuStorage, _, 1>([&wide], |reads| {
        make(
            &kernel,
            [wide.shape()],
            &Given { grid, reads: &reads, counts: &[wide.elem_count()], factors: &[] },
        )
    })
    .unwrap();
    let CpuStorage::BF16(made) = made else { panic!("half precision was asked for") };
    for (made, expected) in made.iter().zip(expected) {
        assert!(made.to_bits() == expected.to_bits() || (made.is_nan() && expected.is_nan()));
    }
}
