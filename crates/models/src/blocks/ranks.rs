//! The tensor-parallel ranks that have parts of a stage's blocks.

use std::sync::Arc;

use autopipe_nn::{Routing, TensorParallelGroup, enter, leave};
use candle_core::{Result, Tensor};

/// The group of ranks, or none: then a block is whole, and what is done at its ends is nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks(Option<Arc<dyn TensorParallelGroup>>);

impl Ranks {
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    pub(crate) fn of(group: &Arc<dyn TensorParallelGroup>) -> Self {
        Self(Some(Arc::clone(group)))
    }

    pub(crate) fn group(&self) -> Option<&Arc<dyn TensorParallelGroup>> {
        self.0.as_ref()
    }

    /// How many have a part.
    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |group| group.size())
    }

    /// The input of matrices that are cut by their outputs.
    pub(crate) fn enter(&self, x: &Tensor) -> Result<Tensor> {
        self.0.as_ref().map_or_else(|| Ok(x.clone()), |group| enter(x, group))
    }

    /// The result, of what this rank has of the sum.
    pub(super) fn leave(&self, summand: Tensor) -> Result<Tensor> {
        match &self.0 {
            Some(group) => leave(&summand, group),
            None => Ok(summand),
        }
    }

    /// The way to experts that are cut.
    pub(super) fn route(&self, routing: Routing) -> Result<Routing> {
        match &self.0 {
            Some(group) => routing.among(group),
            None => Ok(routing),
        }
    }
}
