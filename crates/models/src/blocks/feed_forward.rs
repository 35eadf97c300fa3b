//! What a layer computes after its attention: one block, or a mixture of many.

use candle_core::{Result, Tensor};

use super::experts::{Experts, ExpertsShape};
use super::mlp::{GatedMlp, MlpShape};
use super::{Declaration, Numbers, Pass, Scope};

/// The sizes of one of both.
#[derive(Clone, Debug)]
pub(crate) enum FeedForward {
    Dense(MlpShape),
    Sparse(ExpertsShape),
}

#[derive(Debug)]
pub(crate) enum Built {
    Dense(GatedMlp),
    Sparse(Experts),
}

impl From<MlpShape> for FeedForward {
    fn from(shape: MlpShape) -> Self {
        Self::Dense(shape)
    }
}

impl From<ExpertsShape> for FeedForward {
    fn from(shape: ExpertsShape) -> Self {
        Self::Sparse(shape)
    }
}

impl FeedForward {
    /// What a layer calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Dense(_) => "mlp",
            Self::Sparse(shape) => shape.block_name,
        }
    }

    pub(super) fn declare(&self) -> Declaration {
        match self {
            Self::Dense(shape) => shape.declare(),
            Self::Sparse(shape) => shape.declare(),
        }
    }

    pub(super) fn flops_per_token(&self) -> u64 {
        match self {
            Self::Dense(shape) => shape.declare().flops_per_token(),
            Self::Sparse(shape) => shape.flops_per_token(),
        }
    }

    pub(super) fn kept_per_token(&self) -> Numbers {
        let (inside, hidden_size) = match self {
            Self::Dense(shape) => (shape.kept_per_token(), shape.hidden_size),
            Self::Sparse(shape) => (shape.kept_per_token(), shape.hidden_size),
        };
        inside + Numbers::added(2 * hidden_size)
    }

    pub(super) fn build(&self, scope: &Scope<'_>, num_sparse: usize) -> Result<Built> {
        Ok(match self {
            Self::Dense(shape) => Built::Dense(shape.build(scope)?),
            Self::Sparse(shape) => Built::Sparse(shape.build(scope, num_sparse)?),
        })
    }
}

impl Built {
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match self {
            Self::Dense(mlp) => mlp.forward(x, pass),
            Self::Sparse(experts) => experts.forward(x, pass),
        }
    }
}
