//! What layers are put together to: attention, experts, what is dropped, computed again, or in parts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use autopipe_nn::{
    Attention, Dropout, Embedding, Linear, Mask, Noise, Parameters, Recomputed, Routing, Segments,
    dropout, enter, leave, recompute,
};
use candle_core::{Result, Tensor};

use super::losses::{Alone, group};
use super::{Number, Place};

const NOISE: Noise = Noise { seed: 42, first_row: 3 };

/// Two queries share a key, and heads arrive as a transposed view.
fn attended(
    at: &Place,
    attention: &Attention,
    num_keys: usize,
    segments: Option<&Segments>,
) -> Result<Vec<Number>> {
    let q = at.variable("q", &[2, 5, 4, 8])?;
    let (k, v) = (at.variable("k", &[2, 2, num_keys, 8])?, at.variable("v", &[2, 2, num_keys, 8])?);
    at.gradients(&[&q, &k, &v], &Parameters::new(), || {
        let q = q.transpose(1, 2)?;
        let y = match segments {
            Some(segments) => attention.forward_packed(&q, &k, &v, segments)?,
            None => attention.forward(&q, &k, &v)?,
        };
        Ok(vec![y])
    })
}

fn attention(mask: Mask) -> Attention {
    Attention::new(1. / 8f64.sqrt(), mask)
}

pub(crate) fn causal_attention(at: &Place) -> Result<Vec<Number>> {
    attended(at, &attention(Mask::Causal), 5, None)
}

pub(crate) fn window_attention(at: &Place) -> Result<Vec<Number>> {
    let window = NonZeroUsize::new(2).expect("two is not zero");
    attended(at, &attention(Mask::SlidingWindow(window)), 5, None)
}

pub(crate) fn full_attention(at: &Place) -> Result<Vec<Number>> {
    attended(at, &attention(Mask::Full), 7, None)
}

pub(crate) fn capped_attention(at: &Place) -> Result<Vec<Number>> {
    attended(at, &attention(Mask::Causal).with_softcap(2.), 5, None)
}

pub(crate) fn packed_attention(at: &Place) -> Result<Vec<Number>> {
    let segments = Segments::from_lengths(&[vec![2, 3], vec![5]])?;
    attended(at, &attention(Mask::Causal), 5, Some(&segments))
}

/// Three experts that are linear layers, two for each of six tokens.
fn routed(at: &Place, balance: f64) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let router = Linear::new(at.parameter(&mut set, "router", &[3, 8])?, None)?;
    let experts = (0..3).map(|i| {
        let weight = at.parameter(&mut set, &format!("experts.{i}"), &[8, 8])?;
        Linear::new(weight, None)
    });
    let experts = experts.collect::<Result<Vec<_>>>()?;
    // Logits are only compared with each other, so that rounding does not change who is chosen.
    let logits = at.variable("logits", &[6, 3])?;
    let x = at.variable("x", &[6, 8])?;
    at.gradients(&[&x, &logits], &set, || {
        let logits = (logits.as_tensor() + (router.forward(&x)? * 0.01)?)?;
        let routing = Routing::top_k(&logits, 2, true)?.with_balance_loss(2, balance)?;
        let y = routing.apply(&x, 3, |expert, rows| experts[expert].forward(rows))?;
        Ok(vec![y, routing.weights().clone()])
    })
}

pub(crate) fn experts(at: &Place) -> Result<Vec<Number>> {
    routed(at, 0.)
}

pub(crate) fn experts_in_balance(at: &Place) -> Result<Vec<Number>> {
    let logits = at.random("logits", &[6, 3])?;
    let loss = Routing::top_k(&logits, 1, false)?.balance_loss(2)?;
    let mut found = routed(at, 0.5)?;
    found.push(Number::new("balance loss", loss));
    Ok(found)
}

pub(crate) fn dropped(at: &Place) -> Result<Vec<Number>> {
    let x = at.variable("x", &[3, 4, 8])?;
    at.gradients(&[&x], &Parameters::new(), || Ok(vec![dropout(&x, 0.4, &NOISE, "layer")?]))
}

pub(crate) fn dropped_columns(at: &Place) -> Result<Vec<Number>> {
    let layer = Dropout::new(0.4, "layer")?.of_columns(3..8, 10)?;
    let x = at.variable("x", &[3, 4, 5])?;
    at.gradients(&[&x], &Parameters::new(), || Ok(vec![layer.forward(&x, &NOISE)?]))
}

pub(crate) fn recomputed(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let layer = Linear::new(at.parameter(&mut set, "w", &[8, 8])?, None)?;
    let x = at.variable("x", &[3, 8])?;
    let block: Recomputed = Arc::new(move |x| layer.forward(x)?.tanh());
    let of_set = set.clone();
    at.gradients(&[&x], &set, || Ok(vec![recompute(&of_set, &x, Arc::clone(&block))?]))
}

pub(crate) fn ends_of_ranks(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let summed = at.random("summed", &[8])?;
    let summed = set.add_summed("summed", summed, true, &group())?;
    let x = at.variable("x", &[3, 8])?;
    at.gradients(&[&x], &set, || {
        let part = autopipe_nn::add_bias(&enter(&x, &group())?, &summed)?;
        Ok(vec![leave(&part, &group())?])
    })
}

pub(crate) fn embedding_among_ranks(at: &Place) -> Result<Vec<Number>> {
    let mut set = Parameters::new();
    let cut = Alone.rows(9, 4)?;
    let weight = set.add_cut("w", cut.take(&at.random("w", &[9, 4])?)?, true, cut)?;
    let layer = Embedding::among(weight, &group())?;
    let ids = Tensor::new(&[[3u32, 0, 8], [3, 3, 1]], &candle_core::Device::Cpu)?;
    at.gradients(&[], &set, || Ok(vec![layer.forward(&ids)?]))
}
