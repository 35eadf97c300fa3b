//! Recomputation: a function whose intermediate results are computed again in the backward, not kept.

mod again;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, Var};

use crate::Parameters;
use crate::parameter::Tracking;
use again::Again;

/// A function of one tensor, as [`recompute`] keeps it for the backward.
pub type Recomputed = Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

/// Computes `f(x)` and keeps nothing but `x` and the result for the backward, which computes `f`
/// again; gradients are the ordinary ones, to the bit.
///
/// For a block of a model it trades one more forward for the block's activations. `f` has to be a
/// function: it gives the same result each time, and depends on no variable but `x` and the
/// `parameters`, one set, to which all its layers belong. Weight gradients of layers come to their
/// buffers, late within [`Parameters::deferring`], and what plain candle operations compute for a
/// parameter as well. Within [`Parameters::no_grad`], and where nothing needs a gradient, `f` is
/// called and that is all.
///
/// Paper: [Chen et al., 2016](https://arxiv.org/abs/1604.06174).
///
/// # Errors
/// What `f` says, here or in the backward.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use autopipe_nn::{Linear, Parameters, recompute};
/// use candle_core::{DType, Device, Tensor};
///
/// let mut parameters = Parameters::new();
/// let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let linear = Linear::new(parameters.add("weight", ones.clone(), true)?, None)?;
/// let block = Arc::new(move |x: &Tensor| linear.forward(x)?.tanh()?.sqr());
/// recompute(&parameters, &ones, block)?.sum_all()?.backward()?;
/// assert!(parameters.get("weight").unwrap().grad().is_some());
/// # Ok::<(), autopipe_nn::Error>(())
/// ```
pub fn recompute(parameters: &Parameters, x: &Tensor, f: Recomputed) -> Result<Tensor> {
    let is_trained = x.track_op() || parameters.iter().any(crate::Parameter::is_trainable);
    if parameters.is_without_graph() || !is_trained {
        return f(x);
    }
    let y = parameters.tracking(Tracking::Off, || f(&x.detach()))?;
    // An operation is in the graph if an input is; this one is so for the sake of the parameters.
    let anchor = Var::from_tensor(&Tensor::zeros((), DType::F32, x.device())?)?;
    x.apply_op2(&anchor, Again::new(parameters, f, y))
}
