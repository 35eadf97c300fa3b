//! Root-mean-square normalisation: y = w · x / sqrt(mean(x²) + eps).

mod fused;

#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor};

use crate::affine::Scale;
use crate::cpu::has_kernels;
use crate::{Error, Parameter};
use fused::Normalise;

/// The normalisation `y = w · x / sqrt(mean(x²) + eps)` over the last dimension, as Hugging Face's
/// Llama computes it: in float32 whatever the dtype (float64 stays), and the product with the
/// weight in the dtype of `x`.
///
/// With `r = 1 / sqrt(mean(x²) + eps)`, `n` the last dimension and `G` the gradient of `y`, the
/// backward is `dx = r wG - x r³ Σ(wG x) / n`, and `dw = Σ G x r`, which can wait.
///
/// Paper: [Zhang and Sennrich, 2019](https://arxiv.org/abs/1910.07467).
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Parameter,
    eps: f64,
}

impl RmsNorm {
    /// A layer from a weight `[hidden]` and the number that keeps the root from zero.
    ///
    /// # Errors
    /// If the weight is not a vector, or `eps` is negative or no number.
    pub fn new(weight: Parameter, eps: f64) -> Result<Self> {
        if weight.shape().rank() != 1 {
            return Err(Error::WeightShape {
                layer: "normalisation",
                name: weight.name().to_owned(),
                expected: "[hidden]".to_owned(),
                actual: weight.shape().clone(),
            }
            .into());
        }
        if !(eps.is_finite() && eps >= 0.) {
            return Err(Error::Setting { what: "eps", expected: "at least 0", actual: eps }.into());
        }
        Ok(Self { weight, eps })
    }

    /// Normalises `x` of shape `[.., hidden]`.
    ///
    /// # Errors
    /// If the last dimension, dtype or device of `x` is not the weight's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.weight.num_elements();
        if x.dims().last() != Some(&hidden) {
            return Err(Error::InputShape {
                layer: "normalisation",
                expected: format!("an input of shape [.., {hidden}]"),
                actual: x.shape().clone(),
            }
            .into());
        }
        if has_kernels(x) {
            let op = Normalise { weight: self.weight.clone(), eps: self.eps };
            return x.contiguous()?.apply_op2(self.weight.value(), op);
        }
        let scale = Scale { weight: self.weight.clone() };
        normalise(x, self.eps)?.apply_op2(self.weight.value(), scale)
    }

    /// The weight, of shape `[hidden]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }
}

/// `x / sqrt(mean(x²) + eps)` by candle's own operations, for the devices and dtypes without a kernel.
fn normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = if x.dtype() == DType::F64 { x.clone() } else { x.to_dtype(DType::F32)? };
    let root = (wide.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    wide.broadcast_div(&root)?.to_dtype(x.dtype())?.contiguous()
}
