//! Root-mean-square normalisation: y = w · x / sqrt(mean(x²) + eps).

mod fused;
mod residual;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{D, DType, Result, Tensor};

use crate::affine::Scale;
use crate::cpu::has_kernels;
use crate::{Error, Parameter};
use fused::Normalise;
use residual::{AddAhead, Ahead, NormaliseAhead};

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
        self.check(x)?;
        if has_kernels(x) && self.weight.value().is_contiguous() {
            let op = Normalise { weight: self.weight.clone(), eps: self.eps };
            return x.contiguous()?.apply_op2(self.weight.value(), op);
        }
        let scale = Scale { weight: self.weight.clone() };
        normalise(x, self.eps)?.apply_op2(self.weight.value(), scale)
    }

    /// Adds a block's result to the residual stream `x`, both of shape `[.., hidden]`, and normalises
    /// the sum: returns `h = x + block` and `norm(h)`, made in one pass over each row where there is
    /// a kernel. Results and gradients are those of the two steps one by one.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), or if the shapes or dtypes of the two differ.
    pub fn forward_residual(&self, x: &Tensor, block: &Tensor) -> Result<(Tensor, Tensor)> {
        self.check(x)?;
        if x.shape() != block.shape() {
            return Err(Error::InputShape {
                layer: "normalisation",
                expected: format!("a block's result of the residual's shape {:?}", x.dims()),
                actual: block.shape().clone(),
            }
            .into());
        }
        let weight = self.weight.value();
        let fits = x.dtype() == weight.dtype() && weight.is_contiguous();
        if !(has_kernels(x) && has_kernels(block) && fits) {
            let sum = (x + block)?;
            let y = self.forward(&sum)?;
            return Ok((sum, y));
        }
        let (weight, eps) = (weight.detach(), self.eps);
        let ahead = Ahead::default();
        let op = AddAhead { weight, eps, ahead: Arc::clone(&ahead) };
        let sum = x.contiguous()?.apply_op2(&block.contiguous()?, op)?;
        let normalise = Normalise { weight: self.weight.clone(), eps };
        let y = sum.apply_op2(self.weight.value(), NormaliseAhead { normalise, ahead })?;
        Ok((sum, y))
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        let hidden = self.weight.num_elements();
        if x.dims().last() == Some(&hidden) {
            return Ok(());
        }
        Err(Error::InputShape {
            layer: "normalisation",
            expected: format!("an input of shape [.., {hidden}]"),
            actual: x.shape().clone(),
        }
        .into())
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
