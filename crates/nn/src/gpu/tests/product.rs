//! Products are those of candle, wherever the numbers of the matrices lie.

use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Tensor};

use super::{DTYPES, assert_same, numbers_of};
use crate::every_device::wide_dtype;
use crate::gpu::product::Gemm;
use crate::gpu::{add_product, product};

/// By candle, in the wide type.
fn expected(a: &Tensor, b: &Tensor) -> Tensor {
    let wide = |x: &Tensor| x.to_dtype(wide_dtype(x.dtype())).unwrap().contiguous().unwrap();
    wide(a).matmul(&wide(b)).unwrap()
}

/// The same matrices with another order of numbers.
fn orders(x: &Tensor) -> Vec<Tensor> {
    let turned = x.t().unwrap().contiguous().unwrap().t().unwrap();
    // A part of the rows of larger ones, and of the columns.
    let dim = x.rank() - 2;
    let wider = |dim| {
        let more = Tensor::cat(&[x, x], dim).unwrap();
        more.narrow(dim, 0, x.dim(dim).unwrap()).unwrap()
    };
    vec![x.clone(), turned, wider(dim), wider(dim + 1)]
}

#[test]
fn products_are_those_of_candle() {
    for dtype in DTYPES {
        for (many, m, k, n) in [
            (vec![], 3, 4, 5),
            (vec![3], 2, 7, 4),
            (vec![2, 3], 4, 5, 2),
            (vec![1, 2], 1, 3, 1),
            (vec![2, 1], 5, 1, 1),
            (vec![2], 1, 1, 6),
        ] {
            let [a, b] = [(m, k, 3), (k, n, 5)].map(|(rows, columns, seed)| {
                numbers_of(&[&many[..], &[rows, columns]].concat(), seed, dtype)
            });
            let expected = expected(&a, &b);
            let (a_orders, b_orders) = (orders(&a), orders(&b));
            for (a, b) in a_orders.iter().flat_map(|a| b_orders.iter().map(move |b| (a, b))) {
                let what = format!("{:?} times {:?} in {dtype:?}", a.layout(), b.layout());
                let wide = product::<CpuStorage>(a, b, wide_dtype(dtype)).unwrap();
                assert_same(&wide, &expected, &what);
                let own = product::<CpuStorage>(a, b, dtype).unwrap();
                assert_same(&own, &expected.to_dtype(dtype).unwrap(), &what);
                add_product::<CpuStorage>(&wide, a, b).unwrap();
                assert_same(&wide, &(&expected * 2.).unwrap(), &what);
            }
        }
    }
}

#[test]
fn some_rows_of_a_sum_are_added_to_and_the_others_stay() {
    for dtype in DTYPES {
        let (a, b) = (numbers_of(&[2, 2, 3, 4], 3, dtype), numbers_of(&[2, 2, 4, 5], 5, dtype));
        let before = numbers_of(&[2, 2, 7, 5], 7, wide_dtype(dtype));
        let sum = before.copy().unwrap();
        add_product::<CpuStorage>(&sum.narrow(2, 1, 3).unwrap(), &a, &b).unwrap();
        let more = expected(&a, &b).pad_with_zeros(2, 1, 3).unwrap();
        assert_same(&sum, &(before + more).unwrap(), &format!("{dtype:?}"));
    }
}

#[test]
fn products_of_nothing_are_zeros() {
    let (a, b) = (numbers_of(&[2, 3, 0], 3, DType::F32), numbers_of(&[2, 0, 4], 3, DType::F32));
    let zeros = product::<CpuStorage>(&a, &b, DType::F32).unwrap();
    assert_eq!(zeros.to_vec3::<f32>().unwrap(), vec![vec![vec![0.; 4]; 3]; 2]);
    add_product::<CpuStorage>(&zeros, &a, &b).unwrap();
    let none = numbers_of(&[2, 0, 3], 3, DType::F32);
    let some = numbers_of(&[2, 3, 4], 3, DType::F32);
    assert_eq!(product::<CpuStorage>(&none, &some, DType::F32).unwrap().dims(), [2, 0, 4]);
}

#[test]
fn what_blas_does_not_take_is_refused() {
    let says = |made: Result<Tensor>| made.unwrap_err().to_string();
    let numbers = |shape: &[usize]| numbers_of(shape, 3, DType::F32);
    let (a, b) = (numbers(&[2, 3]), numbers(&[3, 4]));
    let other = says(product::<CpuStorage>(&a, &b.to_dtype(DType::BF16).unwrap(), DType::F32));
    assert!(other.contains("a product of F32 and BF16 is not F32"), "{other}");
    let narrow = says(product::<CpuStorage>(&a, &b, DType::BF16));
    assert!(narrow.contains("a product of F32 and F32 is not BF16"), "{narrow}");
    let shapes = says(product::<CpuStorage>(&a, &a, DType::F32));
    assert!(shapes.contains("[2, 3] times [2, 3] is not [2, 3]"), "{shapes}");
    // Neither rows nor columns are in one piece.
    let spread = numbers(&[3, 2, 2]).transpose(0, 2).unwrap().narrow(0, 0, 1).unwrap();
    let spread = says(product::<CpuStorage>(&spread.squeeze(0).unwrap(), &b, DType::F32));
    assert!(spread.contains("a product takes no matrices that lie as"), "{spread}");
    let vector = says(product::<CpuStorage>(
        &Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap(),
        &b,
        DType::F32,
    ));
    assert!(vector.contains("a product is of matrices, not of [3] and [3, 4]"), "{vector}");
}

#[test]
fn more_than_blas_counts_is_an_error_with_the_shapes() {
    let layout = |dims: [usize; 2]| Layout::contiguous(Shape::from(&dims[..]));
    let most = 1 << 31;
    let error = Gemm::of(&layout([most, 2]), &layout([2, 3]), &layout([most, 3])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a GPU multiplies matrices with at most 2147483647 rows and columns, and as many at once, not \
         [2147483648, 2] and [2, 3]"
    );
    assert!(Gemm::of(&layout([most - 1, 2]), &layout([2, 3]), &layout([most - 1, 3])).is_ok());
}
