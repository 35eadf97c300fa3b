//! What ranks do together with tensors, and the sums of tensor-parallel ranks.

use std::thread;

use autopipe_nn::{Combine, Pass, TensorParallelGroup};
use autopipe_runtime::communicator::{Reduction, Tag};
use autopipe_runtime::{Communicator, Error, TensorParallel};
use candle_core::{DType, Device, Tensor};

use super::messages::assert_same;

const DTYPES: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

/// A rank's own numbers, none of which is exact in few bits.
fn numbers(rank: usize, dims: &[usize], dtype: DType) -> Tensor {
    let len = dims.iter().product();
    let numbers = (0..len).map(|i: usize| ((i * 31 + rank * 17) % 101) as f64 / 7.0 - 5.0);
    let numbers = Tensor::from_vec(numbers.collect::<Vec<_>>(), dims, &Device::Cpu).unwrap();
    numbers.to_dtype(dtype).unwrap()
}

/// The sum of all ranks' numbers, in their order and rounded once.
fn sum(world: &dyn Communicator, dims: &[usize], dtype: DType) -> Tensor {
    let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let all = (0..world.size()).map(|rank| numbers(rank, dims, dtype).to_dtype(wide).unwrap());
    all.reduce(|a, b| (a + b).unwrap()).unwrap().to_dtype(dtype).unwrap()
}

/// Of few numbers and of many, which go by different ways.
const SHAPES: [&[usize]; 6] = [&[], &[5], &[2, 0], &[2, 3, 4], &[4096], &[3, 1367]];

pub(crate) fn sums_of_tensors_are_in_order_and_rounded_once(world: &dyn Communicator) {
    for dtype in DTYPES {
        for dims in SHAPES {
            let own = numbers(world.rank(), dims, dtype);
            let got = world.all_reduce_tensor(&own, Reduction::Sum, Tag(0)).unwrap();
            assert_same(&got, &sum(world, dims, dtype));
        }
    }
    // A view, of which only what it shows counts.
    let own = numbers(world.rank(), &[70, 60], DType::F64).t().unwrap();
    let got = world.all_reduce_tensor(&own, Reduction::Sum, Tag(0)).unwrap();
    assert_same(&got, &sum(world, &[70, 60], DType::F64).t().unwrap());
}

pub(crate) fn maxima_of_tensors_do_not_pass_over_a_nan(world: &dyn Communicator) {
    for dtype in DTYPES {
        for len in [6, 5000] {
            // Each rank has a NaN at a place of its own, and the largest number at another.
            let mut own = vec![world.rank() as f64; len];
            own[world.rank()] = f64::NAN;
            own[5] = -2.5 * world.rank() as f64;
            let own = Tensor::new(own, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let got = world.all_reduce_tensor(&own, Reduction::Max, Tag(0)).unwrap();
            assert_eq!(got.dtype(), dtype);
            let got = got.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
            let last = (world.size() - 1) as f64;
            for (place, number) in got.into_iter().enumerate() {
                match place {
                    5 => assert_eq!(number, 0.0),
                    _ if place < world.size() => assert!(number.is_nan(), "{place}: {number}"),
                    _ => assert_eq!(number, last, "{place}"),
                }
            }
        }
    }
}

pub(crate) fn tensors_are_shared_out_gathered_and_broadcast(world: &dyn Communicator) {
    let (rank, size) = (world.rank(), world.size());
    for rows in [1, 7, 4001] {
        let dims = [rows, 2];
        let own = numbers(rank, &dims, DType::F32);
        let part = world.reduce_scatter_tensor(&own, Reduction::Sum, Tag(0)).unwrap();
        let parts = world.all_gather_tensor(&part, Tag(0)).unwrap();
        let num_rows: Vec<usize> = parts.iter().map(|part| part.dim(0).unwrap()).collect();
        let even = |rank| rows / size + usize::from(rank < rows % size);
        assert_eq!(num_rows, (0..size).map(even).collect::<Vec<_>>());
        assert_same(&Tensor::cat(&parts, 0).unwrap(), &sum(world, &dims, DType::F32));
        for from in 0..size {
            let got = world.broadcast_tensor(&own, from, Tag(0)).unwrap();
            assert_same(&got, &numbers(from, &dims, DType::F32));
        }
    }
    // Everybody's own shape and dtype.
    let of = |rank: usize| numbers(rank, &[rank + 1, 3][..1 + rank % 2], DTYPES[rank % 4]);
    for (from, got) in world.all_gather_tensor(&of(rank), Tag(0)).unwrap().iter().enumerate() {
        assert_same(got, &of(from));
    }
    let scalar = numbers(rank, &[], DType::F32);
    let error = world.reduce_scatter_tensor(&scalar, Reduction::Sum, Tag(0)).unwrap_err();
    assert!(matches!(error, Error::Tensor(_)), "{error}");
    let error = world.broadcast_tensor(&scalar, size, Tag(0)).unwrap_err();
    assert!(matches!(error, Error::NoSuchRank { .. }), "{error}");
}

pub(crate) fn tensors_that_differ_are_refused(world: &dyn Communicator) {
    let is_odd = world.rank() == 1;
    let words = if is_odd { "rank 0 gave [4] of F32" } else { "rank 1 gave [5] of F32" };
    let own = numbers(0, &[4 + usize::from(is_odd)], DType::F32);
    let error = world.all_reduce_tensor(&own, Reduction::Sum, Tag(0)).unwrap_err();
    assert!(matches!(error, Error::UnequalTensors { .. }), "{error}");
    assert!(error.to_string().starts_with(words), "{error}");
    let dtype = if is_odd { DType::F64 } else { DType::F32 };
    let own = numbers(0, &[5000], dtype);
    let error = world.all_reduce_tensor(&own, Reduction::Max, Tag(1)).unwrap_err();
    assert!(matches!(error, Error::UnequalTensors { .. }), "{error}");
    if !is_odd {
        let error = world.broadcast_tensor(&own, 1, Tag(2)).map(drop);
        assert!(matches!(error, Err(Error::UnequalTensors { rank: 1, .. })), "{error:?}");
    } else {
        world.broadcast_tensor(&own, 1, Tag(2)).unwrap();
    }
}

pub(crate) fn a_forward_and_a_backward_sum_at_once(world: &dyn Communicator) {
    let group = TensorParallel::new(world.split(0, world.rank()).unwrap());
    assert_eq!((group.rank(), group.size()), (world.rank(), world.size()));
    let sums = |pass: Pass, count: usize| {
        for number in 0..count {
            let dims = [SHAPES[(number + 1) % SHAPES.len()], &[2]].concat();
            let own = numbers(world.rank(), &dims, DType::F64);
            let got = group.all_reduce(&own, Combine::Sum, pass).unwrap();
            assert_same(&got, &sum(world, &dims, DType::F64));
            let got = group.all_reduce(&own, Combine::Max, pass).unwrap();
            let all = (0..world.size()).map(|rank| numbers(rank, &dims, DType::F64));
            assert_same(&got, &all.reduce(|a, b| a.maximum(&b).unwrap()).unwrap());
        }
    };
    thread::scope(|scope| {
        // One is the first to begin on some ranks, the other on others.
        let (first, second) = match world.rank() % 2 {
            0 => (Pass::Forward, Pass::Backward),
            _ => (Pass::Backward, Pass::Forward),
        };
        let count = |pass| if pass == Pass::Forward { 12 } else { 9 };
        scope.spawn(move || sums(first, count(first)));
        scope.spawn(move || sums(second, count(second)));
    });
    let own = numbers(world.rank(), &[world.rank(), 2], DType::F32);
    for (rank, part) in group.all_gather(&own).unwrap().iter().enumerate() {
        assert_same(part, &numbers(rank, &[rank, 2], DType::F32));
    }
}
