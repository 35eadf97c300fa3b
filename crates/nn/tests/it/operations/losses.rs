//! Losses, and the group of ranks that some operations are among.

use std::sync::Arc;

use autopipe_nn::{
    Combine, Cut, IGNORE_INDEX, Parameters, Pass, TensorParallelGroup, cross_entropy_sum,
    cross_entropy_sum_among,
};
use candle_core::{Device, Result, Tensor};

use super::{Number, Place};

/// The only rank of a group. What is summed is multiplied by two, so that it shows.
#[derive(Debug)]
pub(crate) struct Alone;

impl TensorParallelGroup for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce(&self, tensor: &Tensor, combine: Combine, _: Pass) -> Result<Tensor> {
        match combine {
            Combine::Sum => tensor * 2.,
            Combine::Max => Ok(tensor.clone()),
        }
    }
}

impl Alone {
    /// The cut of a matrix all of whose rows it has.
    pub(crate) fn rows(&self, num_rows: usize, width: usize) -> Result<Cut> {
        Ok(Cut::new((num_rows, width).into(), 0, vec![num_rows], self.rank(), self.size())?)
    }
}

pub(crate) fn group() -> Arc<dyn TensorParallelGroup> {
    Arc::new(Alone)
}

fn labels() -> Result<Tensor> {
    Tensor::new(&[[5i64, 10, IGNORE_INDEX], [0, 5, 7]], &Device::Cpu)
}

/// The labels are on the host, and where the logits are.
pub(crate) fn cross_entropy(at: &Place) -> Result<Vec<Number>> {
    let logits = at.variable("logits", &[2, 3, 11])?;
    at.gradients(&[&logits], &Parameters::new(), || {
        let there = labels()?.to_device(&at.device)?;
        Ok(vec![cross_entropy_sum(&logits, &labels()?)?, cross_entropy_sum(&logits, &there)?])
    })
}

pub(crate) fn cross_entropy_among_ranks(at: &Place) -> Result<Vec<Number>> {
    let logits = at.variable("logits", &[2, 3, 11])?;
    at.gradients(&[&logits], &Parameters::new(), || {
        Ok(vec![cross_entropy_sum_among(&logits, &labels()?, &group())?])
    })
}
