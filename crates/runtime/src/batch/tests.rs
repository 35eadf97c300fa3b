//! Tests of cutting a batch.

use candle_core::{DType, Device, Tensor};

use super::{Batch, BatchError, Needs, chunk, microbatch};

const ALL: Needs = Needs { inputs: true, target: true };
const NOTHING: Needs = Needs { inputs: false, target: false };

#[test]
fn chunks_are_near_even_and_cover_everything() {
    let cut = |len, n| (0..n).map(|i| chunk(len, n, i)).collect::<Vec<_>>();
    assert_eq!(cut(7, 3), [(0, 3), (3, 2), (5, 2)]);
    assert_eq!(cut(4, 4), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert_eq!(cut(5, 1), [(0, 5)]);
}

#[test]
fn a_microbatch_is_a_range_of_rows() {
    let tensor = Tensor::arange(0u32, 10, &Device::Cpu).unwrap().reshape((5, 2)).unwrap();
    let rows = microbatch(&tensor, 2, 1).unwrap();
    assert_eq!(rows.to_vec2::<u32>().unwrap(), [[6, 7], [8, 9]]);
}

#[test]
fn what_does_not_fit_is_named() {
    let zeros = |rows: usize| Tensor::zeros((rows, 2), DType::F32, &Device::Cpu).unwrap();
    let check = |batch: &Batch, n| batch.check(n, ALL).unwrap_err().to_string();
    assert_eq!(
        check(&Batch::new(zeros(2), zeros(2)), 3),
        "input 0 has 2 samples along dimension 0, but the schedule has 3 microbatches and each needs one"
    );
    assert_eq!(
        check(&Batch::new(zeros(4), zeros(5)), 2),
        "target has 5 samples along dimension 0, input 0 has 4"
    );
    let scalar = Tensor::new(1f32, &Device::Cpu).unwrap();
    assert_eq!(
        check(&Batch::new(scalar, zeros(2)), 1),
        "input 0 is a scalar; samples lie along dimension 0"
    );
    let empty = Batch { inputs: Vec::new(), target: None, loss_scale: 1.0 };
    assert_eq!(empty.check(1, ALL), Err(BatchError::NoInput));
    assert_eq!(Batch::new(zeros(5), zeros(5)).check(2, ALL), Ok(()));
    assert_eq!(empty.check(1, NOTHING), Ok(()), "a rank between the ends needs nothing");
    let unlabelled = Batch { target: None, ..Batch::new(zeros(5), zeros(5)) };
    assert_eq!(unlabelled.check(2, ALL), Err(BatchError::NoTarget));
}
