//! Root-mean-square normalisation: y = w · x / sqrt(mean(x²) + eps), or (1 + w) for w.

mod factor;
mod fused;
mod on_gpu;
mod residual;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{D, DType, Result, Tensor};

use crate::affine::Scale;
use crate::every_device::has_kernels;
use crate::{Error, Parameter};
use factor::{Factor, OnePlusWeight, Weight};
use fused::{Normalise, Rule};
use residual::{AddAhead, Ahead, NormaliseAhead};

/// The normalisation `y = w · x / sqrt(mean(x²) + eps)` over the last dimension, as Hugging Face's
/// Llama computes it: in float32 whatever the dtype (float64 stays), and the product with the
/// weight in the dtype of `x`.
///
/// With `r = 1 / sqrt(mean(x²) + eps)`, `n` the last dimension and `G` the gradient of `y`, the
/// backward is `dx = r wG - x r³ Σ(wG x) / n`, and `dw = Σ G x r`, which can wait.
/// [`Self::with_unit_offset`] has `1 + w` for `w`.
///
/// Paper: [Zhang and Sennrich, 2019](https://arxiv.org/abs/1910.07467).
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Parameter,
    eps: f64,
    gain: Gain,
}

/// What multiplies the normalised row.
#[derive(Clone, Copy, Debug)]
enum Gain {
    Weight,
    OnePlusWeight,
}

impl RmsNorm {
    /// A layer from a weight `[hidden]` and the number that keeps the root from zero.
    ///
    /// # Errors
    /// If the weight is not a vector, or `eps` is negative or no number.
    pub fn new(weight: Parameter, eps: f64) -> Result<Self> {
        Self::build(weight, eps, Gain::Weight)
    }

    /// The layer `y = (1 + w) · x / sqrt(mean(x²) + eps)`, as in Gemma: a weight of zeros changes
    /// nothing. All of it is computed in float32 (float64 stays) and rounded to the dtype of `x` once.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_unit_offset(weight: Parameter, eps: f64) -> Result<Self> {
        Self::build(weight, eps, Gain::OnePlusWeight)
    }

    fn build(weight: Parameter, eps: f64, gain: Gain) -> Result<Self> {
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
        Ok(Self { weight, eps, gain })
    }

    /// Normalises `x` of shape `[.., hidden]`.
    ///
    /// # Errors
    /// If the last dimension, dtype or device of `x` is not the weight's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.check(x)?;
        if has_kernels(x) && self.weight.value().is_contiguous() {
            let x = x.contiguous()?;
            return match self.gain {
                Gain::Weight => x.apply_op2(self.weight.value(), self.fused(Weight)),
                Gain::OnePlusWeight => x.apply_op2(self.weight.value(), self.fused(OnePlusWeight)),
            };
        }
        let weight = self.weight.value();
        match self.gain {
            Gain::Weight => {
                let normal = normalised(x, self.eps)?.to_dtype(x.dtype())?;
                normal.apply_op2(weight, Scale::by(&self.weight))
            }
            Gain::OnePlusWeight => {
                let y =
                    normalised(x, self.eps)?.apply_op2(weight, Scale::by_one_plus(&self.weight));
                y?.to_dtype(x.dtype())
            }
        }
    }

    fn fused<F: Factor>(&self, factor: F) -> Normalise<F> {
        Normalise { weight: self.weight.clone(), rule: Rule { eps: self.eps, factor } }
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
        let fits = block.dtype() == x.dtype() && self.weight.value().is_contiguous();
        if !(has_kernels(x) && has_kernels(block) && fits) {
            let sum = (x + block)?;
            let y = self.forward(&sum)?;
            return Ok((sum, y));
        }
        match self.gain {
            Gain::Weight => self.add_and_normalise(x, block, Weight),
            Gain::OnePlusWeight => self.add_and_normalise(x, block, OnePlusWeight),
        }
    }

    fn add_and_normalise(
        &self,
        x: &Tensor,
        block: &Tensor,
        factor: impl Factor,
    ) -> Result<(Tensor, Tensor)> {
        let normalise = self.fused(factor);
        let ahead = Ahead::default();
        let weight = self.weight.value().detach();
        let op = AddAhead { weight, rule: normalise.rule, ahead: Arc::clone(&ahead) };
        let sum = x.contiguous()?.apply_op2(&block.contiguous()?, op)?;
        let y = sum.apply_op2(self.weight.value(), NormaliseAhead { normalise, ahead })?;
        Ok((sum, y))
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        let hidden = self.weight.num_elements();
        if x.dims().last() != Some(&hidden) {
            return Err(Error::InputShape {
                layer: "normalisation",
                expected: format!("an input of shape [.., {hidden}]"),
                actual: x.shape().clone(),
            }
            .into());
        }
        if x.dtype() != self.weight.dtype() {
            return Err(Error::InputDType {
                layer: "normalisation",
                expected: "an input of the weight's dtype",
                actual: x.dtype(),
            }
            .into());
        }
        Ok(())
    }

    /// The weight, of shape `[hidden]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }
}

/// `x / sqrt(mean(x²) + eps)` in float32 at least, by candle's own operations, for the devices and
/// dtypes without a kernel.
fn normalised(x: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = if x.dtype() == DType::F64 { x.clone() } else { x.to_dtype(DType::F32)? };
    let root = (wide.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    wide.broadcast_div(&root)?.contiguous()
}
