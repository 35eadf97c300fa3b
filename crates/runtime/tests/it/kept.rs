//! What is kept until the backward where tensor-parallel ranks' parts begin and end.

use std::sync::Arc;

use autopipe_nn::{Cut, Embedding, Parameters, TensorParallelGroup, enter, leave};
use autopipe_runtime::memory::Account;
use autopipe_runtime::{Communicator, Error, TensorParallel, ThreadOptions, threads};
use candle_core::{DType, Device, Result, Tensor, Var};

const DIMS: [usize; 2] = [64, 256];
/// Of a tensor of these.
const BYTES: f64 = (4 * DIMS[0] * DIMS[1]) as f64;

/// How many tensors of [`DIMS`] each of two ranks holds as long as it holds what `f` gives.
fn kept(
    f: impl Fn(&Tensor, &Arc<dyn TensorParallelGroup>) -> Result<Tensor> + Send + Sync,
) -> Vec<f64> {
    let held = threads(2, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let account = Account::of_thread().unwrap();
        let group: Arc<dyn TensorParallelGroup> =
            TensorParallel::new(world.split(0, world.rank())?);
        let x = Var::from_tensor(&Tensor::ones(&DIMS, DType::F32, &Device::Cpu)?)?;
        let held = || {
            // What others still read of this rank's counts for it.
            world.barrier()?;
            let held = account.held().unwrap() as f64;
            world.barrier()?;
            Ok::<_, Error>(held)
        };
        let before = held()?;
        let y = f(x.as_tensor(), &group)?;
        let kept = held()? - before;
        // Without a graph nothing would be kept at all.
        assert!(y.track_op());
        Ok::<_, Error>(kept / BYTES)
    });
    held.unwrap()
}

#[track_caller]
fn assert_kept(kept: &[f64], expected: f64) {
    for kept in kept {
        assert!((kept - expected).abs() < 0.2, "{kept} for {expected}");
    }
}

#[test]
fn the_copy_that_goes_in_and_the_sum_that_comes_out() {
    assert_kept(&kept(enter), 1.);
    assert_kept(&kept(leave), 1.);
    // The input's copy, what is made of it, and the sum.
    assert_kept(&kept(|x, group| leave(&enter(x, group)?.sqr()?, group)), 3.);
}

#[test]
fn rows_of_an_embedding_as_they_are_looked_up_with_gaps_and_summed() {
    let [num_rows, width] = DIMS;
    let kept = kept(|_, group| {
        let cut = Cut::new((4, width).into(), 0, vec![4], group.rank(), 2)?;
        let part = Tensor::ones(cut.shape(), DType::F32, &Device::Cpu)?;
        let mut set = Parameters::new();
        let embedding = Embedding::among(set.add_cut("weight", part, true, cut)?, group)?;
        let ids = (0u32..).map(|id| id % 4).take(num_rows);
        embedding.forward(&Tensor::from_iter(ids, &Device::Cpu)?)
    });
    assert_kept(&kept, 3.);
}
