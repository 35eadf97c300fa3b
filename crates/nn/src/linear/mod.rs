//! The linear layer: y = x Wᵀ + b.

mod fused;
mod product;

#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use crate::affine::AddBias;
use crate::cpu::has_kernels;
use crate::{Error, Parameter};
use fused::Fused;
use product::Product;

/// The linear layer `y = x Wᵀ + b`, the weight of shape `[out, in]` as in a checkpoint.
///
/// With `G` for the gradient of `y`, the backward is `dx = G W`, and `dW = Gᵀ x` and `db = Σ G`,
/// which can wait.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// A layer from a weight `[out, in]` and perhaps a bias `[out]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn new(weight: Parameter, bias: Option<Parameter>) -> Result<Self> {
        let wrong = |parameter: &Parameter, expected: String| Error::WeightShape {
            layer: "linear layer",
            name: parameter.name().to_owned(),
            expected,
            actual: parameter.shape().clone(),
        };
        let &[out, _] = weight.shape().dims() else {
            return Err(wrong(&weight, "[out, in]".to_owned()).into());
        };
        if let Some(bias) = bias.as_ref().filter(|bias| bias.shape().dims() != [out]) {
            return Err(wrong(bias, format!("[{out}]")).into());
        }
        Ok(Self { weight, bias })
    }

    /// Maps `x` of shape `[.., in]` to `[.., out]`.
    ///
    /// # Errors
    /// If the last dimension, dtype or device of `x` is not the weight's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let num_in = self.weight.shape().dims()[1];
        if x.dims().last() != Some(&num_in) {
            return Err(Error::InputShape {
                layer: "linear layer",
                expected: format!("an input of shape [.., {num_in}]"),
                actual: x.shape().clone(),
            }
            .into());
        }
        if self.has_kernels(x) {
            let op = Fused { weight: self.weight.clone(), bias: self.bias.clone() };
            return match &self.bias {
                Some(bias) => x.contiguous()?.apply_op3(self.weight.value(), bias.value(), op),
                None => x.contiguous()?.apply_op2(self.weight.value(), op),
            };
        }
        self.composed(x)
    }

    fn has_kernels(&self, x: &Tensor) -> bool {
        let mut parameters = self.bias.iter().chain([&self.weight]);
        has_kernels(x) && parameters.all(|p| has_kernels(p.value()) && p.value().is_contiguous())
    }

    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let y = x
            .contiguous()?
            .apply_op2(self.weight.value(), Product { weight: self.weight.clone() })?;
        match &self.bias {
            Some(bias) => y.apply_op2(bias.value(), AddBias { bias: bias.clone() }),
            None => Ok(y),
        }
    }

    /// The weight, of shape `[out, in]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }

    /// The bias, of shape `[out]`.
    pub fn bias(&self) -> Option<&Parameter> {
        self.bias.as_ref()
    }
}
