//! The Gaussian error linear unit, alone and as the gate of a feed-forward.

mod exact;
mod tanh;

#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use crate::Error;
use crate::activation::{alone, gated};
pub(crate) use exact::Exact;
pub(crate) use tanh::Tanh;

/// The two functions that go by the name of GELU. They differ by less than 0.0005, and a model
/// computes well only with the one that it was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gelu {
    /// `x Φ(x) = x ½ (1 + erf(x / √2))`: `gelu` in a Hugging Face configuration, torch's default.
    Exact,
    /// `x ½ (1 + tanh(√(2/π) (x + 0.044715 x³)))`: `gelu_new` and `gelu_pytorch_tanh`, as in GPT-2
    /// and Gemma.
    Tanh,
}

/// `x Φ(x)`, where `Φ` is the distribution function of the standard normal or its approximation.
///
/// With `G` the output's gradient, the backward of the exact form is `dx = G (Φ(x) + x φ(x))`,
/// where `φ` is the density. Far below zero the kernels on the CPU keep the digits that
/// `1 + erf(x / √2)` loses. Nothing but the input is kept for the backward.
///
/// Paper: [Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415).
///
/// # Errors
/// If the numbers of `x` are whole ones.
pub fn gelu(x: &Tensor, form: Gelu) -> Result<Tensor> {
    match form {
        Gelu::Exact => alone(x, Exact),
        Gelu::Tanh => alone(x, Tanh),
    }
}

/// `gelu(gate) · up`, for two tensors of one shape.
///
/// With `G` the output's gradient, the backward is `dgate = G up gelu'(gate)` and
/// `dup = G gelu(gate)`. Nothing but the inputs is kept for it.
///
/// Paper: [Shazeer, 2020](https://arxiv.org/abs/2002.05202).
///
/// # Errors
/// If the shapes, dtypes or devices differ.
pub fn geglu(gate: &Tensor, up: &Tensor, form: Gelu) -> Result<Tensor> {
    match form {
        Gelu::Exact => gated(gate, up, Exact),
        Gelu::Tanh => gated(gate, up, Tanh),
    }
}

/// Computes with float32 whatever the dtype (float64 stays), and rounds once.
fn in_float32(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F32 | DType::F64 => f(x),
        dtype if dtype.is_float() => f(&x.to_dtype(DType::F32)?)?.to_dtype(dtype),
        actual => Err(Error::InputDType {
            layer: "activation",
            expected: "floating-point numbers",
            actual,
        }
        .into()),
    }
}
