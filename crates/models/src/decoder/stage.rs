//! A consecutive piece of a decoder on one rank.

use std::sync::Arc;

use autopipe_nn::{Embedding, Parameters, RmsNorm, Rotation, recompute};
use autopipe_runtime::{Keywords, StageModel};
use candle_core::{Error, Result, Tensor, bail};

use super::documents::{Documents, POSITION_IDS};
use crate::blocks::{DecoderLayer, Pass, Projection, Ranks};
use crate::rope::Rope;

/// Maps token ids `[batch, sequence]` if it has the embedding, else hidden states `[batch, sequence,
/// hidden]`, to logits `[batch, sequence, vocabulary]` if it has the head, else hidden states. Among
/// ranks the logits are those of this rank's part of the vocabulary.
#[derive(Debug)]
pub(crate) struct DecoderStage {
    pub(super) embed_tokens: Option<Embedding>,
    pub(super) embedding_scale: Option<f64>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Option<RmsNorm>,
    pub(super) lm_head: Option<Projection>,
    pub(super) logit_softcap: Option<f64>,
    pub(super) ropes: Vec<Rope>,
    /// How many positions a document may have.
    pub(super) max_positions: Option<usize>,
    pub(super) hidden_size: usize,
    pub(super) parameters: Parameters,
    pub(super) ranks: Ranks,
}

/// A layer, and whether it keeps only its input for the backward.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) layer: Arc<DecoderLayer>,
    pub(super) is_recomputed: bool,
    /// Whether anything in it is trained: without that and before anything that is, no backward
    /// comes for which something would be computed again.
    pub(super) is_trained: bool,
}

impl DecoderStage {
    fn hidden_states(&self, input: &Tensor) -> Result<Tensor> {
        match (&self.embed_tokens, input.dims()) {
            (Some(embed_tokens), [_, _]) => {
                let x = embed_tokens.forward(input)?;
                self.embedding_scale.map_or(Ok(x.clone()), |scale| x * scale)
            }
            (None, [_, _, width]) if *width == self.hidden_size => Ok(input.clone()),
            (Some(_), other) => {
                bail!("the first stage takes token ids [batch, sequence], got {other:?}")
            }
            (None, other) => {
                let hidden_size = self.hidden_size;
                bail!(
                    "a later stage takes hidden states [batch, sequence, {hidden_size}], got {other:?}"
                )
            }
        }
    }

    /// What all layers share: the rotations, the documents, and what the step says.
    fn pass(&self, x: &Tensor, keywords: &Keywords) -> Result<Pass> {
        let documents = Documents::of(keywords, x, self.max_positions)?;
        let ropes: &[Rope] = if self.layers.is_empty() { &[] } else { &self.ropes };
        let rotations = match &documents {
            Some(documents) => {
                ropes.iter().map(|rope| documents.rotation(rope, x.dtype())).collect()
            }
            None => whole(ropes, x),
        };
        Ok(Pass {
            rotations: rotations?,
            segments: documents.map(|documents| documents.segments().clone()),
            share: keywords.share(),
            noise: keywords.noise(),
        })
    }

    fn layer(&self, layer: &Layer, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Layer { layer, is_recomputed, is_trained } = layer;
        if !is_recomputed || !(*is_trained || x.track_op()) {
            return layer.forward(x, pass);
        }
        let (layer, pass) = (Arc::clone(layer), pass.clone());
        recompute(&self.parameters, x, Arc::new(move |x| layer.forward(x, &pass)))
    }
}

/// The rotations of the positions 0, 1, .. of rows that are one document each.
fn whole(ropes: &[Rope], x: &Tensor) -> Result<Vec<Rotation>> {
    let seq_len = x.dim(1)?;
    let positions = Tensor::arange(0, u32::try_from(seq_len).map_err(Error::wrap)?, x.device())?;
    ropes.iter().map(|rope| rope.embedding(seq_len)?.rotation(&positions, x.dtype())).collect()
}

impl StageModel for DecoderStage {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> Result<Vec<Tensor>> {
        let [input] = inputs else { bail!("a decoder takes one input, got {}", inputs.len()) };
        let mut x = self.hidden_states(input)?;
        let pass = self.pass(&x, keywords)?;
        for layer in &self.layers {
            x = self.layer(layer, &x, &pass)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        if let Some(lm_head) = &self.lm_head {
            x = lm_head.forward(&self.ranks.enter(&x)?, &pass)?;
            if let Some(cap) = self.logit_softcap {
                x = ((x / cap)?.tanh()? * cap)?;
            }
        }
        Ok(vec![x])
    }

    fn keywords(&self) -> &[&str] {
        &[POSITION_IDS]
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}
