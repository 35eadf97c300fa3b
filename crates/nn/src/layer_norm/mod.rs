//! Layer normalisation: y = w · (x - mean(x)) / sqrt(var(x) + eps) + b.

mod fused;

#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor};

use crate::affine::{AddBias, Scale};
use crate::cpu::has_kernels;
use crate::{Error, Parameter};
use fused::Normalise;

/// The normalisation `y = w · (x - mean(x)) / sqrt(var(x) + eps) + b` over the last dimension, in
/// float32 whatever the dtype (float64 stays). `var` is the mean of `(x - mean(x))²`, computed
/// after the mean: rows far from zero lose nothing.
///
/// With `r = 1 / sqrt(var(x) + eps)`, `h = (x - mean(x)) r` and `G` the gradient of `y`, the
/// backward is `dx = r (wG - mean(wG) - h mean(wG h))`, and `dw = Σ G h` and `db = Σ G`, which can
/// wait.
///
/// Paper: [Ba, Kiros and Hinton, 2016](https://arxiv.org/abs/1607.06450).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Parameter,
    bias: Option<Parameter>,
    eps: f64,
}

impl LayerNorm {
    /// A layer from a weight `[hidden]`, perhaps a bias `[hidden]`, and the number that keeps the
    /// root from zero.
    ///
    /// # Errors
    /// If the weight is not a vector, the bias has another shape, or `eps` is negative or no number.
    pub fn new(weight: Parameter, bias: Option<Parameter>, eps: f64) -> Result<Self> {
        let wrong = |parameter: &Parameter, expected: String| Error::WeightShape {
            layer: "normalisation",
            name: parameter.name().to_owned(),
            expected,
            actual: parameter.shape().clone(),
        };
        let &[hidden] = weight.shape().dims() else {
            return Err(wrong(&weight, "[hidden]".to_owned()).into());
        };
        if let Some(bias) = bias.as_ref().filter(|bias| bias.shape().dims() != [hidden]) {
            return Err(wrong(bias, format!("[{hidden}]")).into());
        }
        if !(eps.is_finite() && eps >= 0.) {
            return Err(Error::Setting { what: "eps", expected: "at least 0", actual: eps }.into());
        }
        Ok(Self { weight, bias, eps })
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
        if self.has_kernels(x) {
            let op =
                Normalise { weight: self.weight.clone(), bias: self.bias.clone(), eps: self.eps };
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
        let scale = Scale::by(&self.weight);
        let y = normalise(x, self.eps)?.apply_op2(self.weight.value(), scale)?;
        match &self.bias {
            Some(bias) => y.apply_op2(bias.value(), AddBias { bias: bias.clone() }),
            None => Ok(y),
        }
    }

    /// The weight, of shape `[hidden]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }

    /// The bias, of shape `[hidden]`.
    pub fn bias(&self) -> Option<&Parameter> {
        self.bias.as_ref()
    }
}

/// `(x - mean(x)) / sqrt(var(x) + eps)` by candle's own operations, for the devices and dtypes
/// without a kernel.
fn normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = if x.dtype() == DType::F64 { x.clone() } else { x.to_dtype(DType::F32)? };
    let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
    let root = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    centred.broadcast_div(&root)?.to_dtype(x.dtype())?.contiguous()
}
