//! The operation that stands for a function in the graph and computes it again to go back.

use candle_core::{CustomOp2, Result, Tensor, Var};

use super::Recomputed;
use crate::computed::{Computed, computed};
use crate::parameter::Tracking;
use crate::{Parameters, vjp};

/// `f` of its first input; the second is there to be a variable.
pub(super) struct Again {
    parameters: Parameters,
    f: Recomputed,
    result: Computed,
}

impl Again {
    pub(super) fn new(parameters: &Parameters, f: Recomputed, result: Tensor) -> Self {
        Self { parameters: parameters.clone(), f, result: Computed::new(result) }
    }
}

impl CustomOp2 for Again {
    fn name(&self) -> &'static str {
        "recomputation"
    }

    computed!(result, a, b);

    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let is_tracked = x.track_op();
        let leaf = x.detach();
        let leaf = if is_tracked { Var::from_tensor(&leaf)?.into_inner() } else { leaf };
        let y = self.parameters.tracking(Tracking::On, || (self.f)(&leaf))?;
        let mut grads = vjp(&[y], std::slice::from_ref(grad))?;
        self.parameters.collect(&mut grads)?;
        if !is_tracked {
            return Ok((None, None));
        }
        // candle expects one for what is in the graph, even if the function has no use for it.
        let input_grad = grads.remove(&leaf).map_or_else(|| x.detach().zeros_like(), Ok)?;
        Ok((Some(input_grad), None))
    }
}
