//! The layers of a decoder that have no place in another one.

use autopipe_nn::{
    Embedding, Gelu, LayerNorm, Linear, Parameters, RmsNorm, RotaryEmbedding, Rotation, add_bias,
};
use candle_core::{Result, Tensor};

use super::{Number, Place};

pub(crate) fn linear(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let (w, b) = (at.parameter(&mut set, "w", &[7, 5])?, at.parameter(&mut set, "b", &[7])?);
    let (layer, x) = (Linear::new(w, Some(b))?, at.variable("x", &[2, 3, 5])?);
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x)?]))
}

pub(crate) fn linear_without_bias(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let layer = Linear::new(at.parameter(&mut set, "w", &[7, 5])?, None)?;
    let x = at.variable("x", &[2, 5, 3])?;
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x.transpose(1, 2)?)?]))
}

pub(crate) fn bias(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let (b, x) = (at.parameter(&mut set, "b", &[5])?, at.variable("x", &[2, 3, 5])?);
    at.gradients(&[&x], &set, || Ok(vec![add_bias(&x, &b)?]))
}

/// The ids are on the host, as the batches of a data set are, and where the weight is.
fn embedded(at: &Place, padding: Option<usize>) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let layer = Embedding::new(at.parameter(&mut set, "w", &[9, 4])?)?;
    let layer = match padding {
        Some(id) => layer.with_padding(id)?,
        None => layer,
    };
    let there = Tensor::new(&[[3u32, 0, 8], [3, 3, 1]], &at.device)?;
    let host = Tensor::new(&[[8i64, 3, 7, 2]], &candle_core::Device::Cpu)?;
    at.gradients(&[], &set, || Ok(vec![layer.forward(&there)?, layer.forward(&host)?]))
}

pub(crate) fn embedding(at: &Place) -> Result<Vec<Number>> {
    embedded(at, None)
}

pub(crate) fn embedding_with_padding(at: &Place) -> Result<Vec<Number>> {
    embedded(at, Some(3))
}

fn root_mean_square(at: &Place, set: &mut Parameters, has_offset: bool) -> Result<RmsNorm> {
    let w = at.parameter(set, "w", &[6])?;
    if has_offset { RmsNorm::with_unit_offset(w, 1e-6) } else { RmsNorm::new(w, 1e-6) }
}

pub(crate) fn rms_norm(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let (layer, x) = (root_mean_square(at, &mut set, false)?, at.variable("x", &[2, 3, 6])?);
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x)?]))
}

pub(crate) fn rms_norm_with_unit_offset(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let (layer, x) = (root_mean_square(at, &mut set, true)?, at.variable("x", &[2, 3, 6])?);
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x)?]))
}

pub(crate) fn rms_norm_of_a_sum(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let layer = root_mean_square(at, &mut set, false)?;
    let (x, r) = (at.variable("x", &[2, 3, 6])?, at.variable("r", &[2, 3, 6])?);
    at.gradients(&[&x, &r], &set, || {
        let (sum, y) = layer.forward_residual(&x, &r)?;
        Ok(vec![sum, y])
    })
}

pub(crate) fn layer_norm(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let (w, b) = (at.parameter(&mut set, "w", &[6])?, at.parameter(&mut set, "b", &[6])?);
    let (layer, x) = (LayerNorm::new(w, Some(b), 1e-5)?, at.variable("x", &[2, 3, 6])?);
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x)?]))
}

pub(crate) fn layer_norm_without_bias(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let layer = LayerNorm::new(at.parameter(&mut set, "w", &[6])?, None, 1e-5)?;
    let x = at.variable("x", &[2, 3, 6])?;
    at.gradients(&[&x], &set, || Ok(vec![layer.forward(&x)?]))
}

/// Heads wider than the rotation, which arrive as a transposed view.
pub(crate) fn rotary(at: &Place) -> Result<Vec<Number>> {
    let rotary = RotaryEmbedding::with_theta(4, 100.)?.with_factor(1.25);
    let rotation = rotary.rotation(&Tensor::arange(0u32, 5, &at.device)?, at.dtype)?;
    let x = at.variable("x", &[2, 5, 3, 6])?;
    at.gradients(&[&x], &Parameters::new(), || Ok(vec![rotation.apply(&x.transpose(1, 2)?)?]))
}

/// Rows whose parts turn differently.
pub(crate) fn rotary_of_rows(at: &Place) -> Result<Vec<Number>> {
    let part = |theta, len| {
        let positions = Tensor::arange(0u32, len, &at.device)?;
        RotaryEmbedding::with_theta(6, theta)?.rotation(&positions, at.dtype)
    };
    let rotation = Rotation::of_rows(&[part(100., 4)?, part(7., 6)?], 2)?;
    let x = at.variable("x", &[2, 3, 5, 6])?;
    at.gradients(&[&x], &Parameters::new(), || Ok(vec![rotation.apply(&x)?]))
}

pub(crate) fn swiglu(at: &Place) -> Result<Vec<Number>> {
    let (gate, up) = (at.variable("gate", &[3, 8])?, at.variable("up", &[3, 8])?);
    at.gradients(&[&gate, &up], &Parameters::new(), || Ok(vec![autopipe_nn::swiglu(&gate, &up)?]))
}

pub(crate) fn gelu(at: &Place) -> Result<Vec<Number>> {
    let x = at.variable("x", &[3, 8])?;
    at.gradients(&[&x], &Parameters::new(), || {
        Ok(vec![autopipe_nn::gelu(&x, Gelu::Exact)?, autopipe_nn::gelu(&x, Gelu::Tanh)?])
    })
}

pub(crate) fn geglu(at: &Place) -> Result<Vec<Number>> {
    let (gate, up) = (at.variable("gate", &[3, 8])?, at.variable("up", &[3, 8])?);
    at.gradients(&[&gate, &up], &Parameters::new(), || {
        let geglu = |form| autopipe_nn::geglu(&gate, &up, form);
        Ok(vec![geglu(Gelu::Exact)?, geglu(Gelu::Tanh)?])
    })
}
