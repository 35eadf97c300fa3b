//! Where data enters what ranks compute in parts, and where it leaves it.

use std::sync::Arc;

use candle_core::{CustomOp1, Result, Tensor};

use super::{Combine, Pass, TensorParallelGroup};
use crate::computed::{Computed, computed};
use crate::every_device::{copy, on_every_device};

/// The same tensor, in front of layers of which each rank has a part: its gradient is the sum of what
/// the ranks' parts say.
///
/// Paper: [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053), where it is *f*.
///
/// # Errors
/// If the tensor cannot be copied; and in the backward, whatever the group says.
pub fn enter(x: &Tensor, group: &Arc<dyn TensorParallelGroup>) -> Result<Tensor> {
    // Without a backward there is nothing to sum, and on all ranks alike.
    if !x.track_op() {
        return Ok(x.clone());
    }
    x.apply_op1(Enter(Arc::clone(group)))
}

/// The sum of what the ranks' parts give, behind layers of which each rank has a part: each of them
/// gets the gradient of the sum.
///
/// Paper: [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053), where it is *g*.
///
/// # Errors
/// Whatever the group says.
pub fn leave(x: &Tensor, group: &Arc<dyn TensorParallelGroup>) -> Result<Tensor> {
    let sum = group.all_reduce(&x.detach().contiguous()?, Combine::Sum, Pass::Forward)?;
    if x.track_op() { x.apply_op1(Leave { sum: Computed::new(sum) }) } else { Ok(sum) }
}

struct Enter(Arc<dyn TensorParallelGroup>);

impl CustomOp1 for Enter {
    fn name(&self) -> &'static str {
        "entry of ranks' parts"
    }

    on_every_device!(copy, a);

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.detach().contiguous()?;
        self.0.all_reduce(&grad, Combine::Sum, Pass::Backward).map(Some)
    }
}

struct Leave {
    sum: Computed,
}

impl CustomOp1 for Leave {
    fn name(&self) -> &'static str {
        "sum of ranks' parts"
    }

    computed!(sum, a);

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.detach()))
    }
}
