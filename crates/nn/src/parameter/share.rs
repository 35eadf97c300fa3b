//! What a parameter is to a group of tensor-parallel ranks.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use super::{Parameter, Parameters};
use crate::{Combine, Cut, Error, Pass, TensorParallelGroup};

/// What a rank has of a parameter, and what its backward knows of the gradient.
#[derive(Clone, Debug)]
pub(super) enum Share {
    /// All of both.
    Whole,
    /// A part of both.
    Cut(Cut),
    /// All of the parameter, of whose gradient each rank's backward has a summand.
    Summed(Arc<dyn TensorParallelGroup>),
}

impl Share {
    pub(super) fn is_summed(&self) -> bool {
        matches!(self, Self::Summed(_))
    }

    /// What is to be added for a gradient that this rank's backward gives.
    pub(super) fn whole_grad<'a>(&self, grad: &'a Tensor, dtype: DType) -> Result<Cow<'a, Tensor>> {
        match self {
            Self::Whole | Self::Cut(_) => Ok(Cow::Borrowed(grad)),
            Self::Summed(group) => {
                let grad = grad.detach().to_dtype(dtype)?.contiguous()?;
                group.all_reduce(&grad, Combine::Sum, Pass::Backward).map(Cow::Owned)
            }
        }
    }

    /// That of a slice, which is given gradients that are summed already.
    pub(super) fn of_slice(&self) -> Self {
        match self {
            Self::Whole | Self::Summed(_) => Self::Whole,
            Self::Cut(cut) => Self::Cut(cut.clone()),
        }
    }
}

impl Parameter {
    /// How it is a part of a parameter that several tensor-parallel ranks have together; `None` if it
    /// is not. Of a slice, it is the cut of the parameter that it is a slice of.
    pub fn cut(&self) -> Option<&Cut> {
        match &self.inner.share {
            Share::Cut(cut) => Some(cut),
            Share::Whole | Share::Summed(_) => None,
        }
    }

    /// The ranks that sum whatever is added to its gradient.
    pub fn sum_over(&self) -> Option<&Arc<dyn TensorParallelGroup>> {
        match &self.inner.share {
            Share::Summed(group) => Some(group),
            Share::Whole | Share::Cut(_) => None,
        }
    }
}

impl Parameters {
    /// Adds a parameter of which this rank has a part: `value`, of the shape that the `cut` says. All
    /// else of it is as if there were no more of it.
    ///
    /// # Errors
    /// As [`add`](Self::add), and if the shape is another one.
    pub fn add_cut(
        &mut self,
        name: &str,
        value: Tensor,
        trainable: bool,
        cut: Cut,
    ) -> std::result::Result<Parameter, Error> {
        let expected = cut.shape();
        if value.shape() != &expected {
            let (what, actual) = ("a parameter's value", value.shape().clone());
            return Err(Error::CutShape { what, expected, actual });
        }
        self.add_shared(name, value, trainable, Share::Cut(cut))
    }

    /// Adds a parameter that all ranks of a group have, while the backward of each sees only a part of
    /// what it does, such as a norm that each applies to heads of its own: whatever is added to its
    /// gradient is summed over them first. They have to add to it in the same order.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_summed(
        &mut self,
        name: &str,
        value: Tensor,
        trainable: bool,
        group: &Arc<dyn TensorParallelGroup>,
    ) -> std::result::Result<Parameter, Error> {
        self.add_shared(name, value, trainable, Share::Summed(Arc::clone(group)))
    }
}
