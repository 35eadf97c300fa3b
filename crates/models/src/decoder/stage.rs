//! A consecutive piece of a decoder on one rank.

use autopipe_nn::{Embedding, Linear, Parameters, RmsNorm, RotaryEmbedding, Rotation};
use autopipe_runtime::{Keywords, StageModel};
use candle_core::{Error, Result, Tensor, bail};

use crate::blocks::DecoderLayer;

/// Maps token ids `[batch, sequence]` if it has the embedding, else hidden states `[batch, sequence,
/// hidden]`, to logits `[batch, sequence, vocabulary]` if it has the head, else hidden states.
#[derive(Debug)]
pub(crate) struct DecoderStage {
    pub(super) embed_tokens: Option<Embedding>,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) norm: Option<RmsNorm>,
    pub(super) lm_head: Option<Linear>,
    pub(super) rotary_emb: RotaryEmbedding,
    pub(super) hidden_size: usize,
    pub(super) parameters: Parameters,
}

impl DecoderStage {
    fn hidden_states(&self, input: &Tensor) -> Result<Tensor> {
        match (&self.embed_tokens, input.dims()) {
            (Some(embed_tokens), [_, _]) => embed_tokens.forward(input),
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

    /// The rotation of the positions 0, 1, .. that all layers share.
    fn rotation(&self, x: &Tensor) -> Result<Rotation> {
        let seq_len = u32::try_from(x.dim(1)?).map_err(Error::wrap)?;
        self.rotary_emb.rotation(&Tensor::arange(0, seq_len, x.device())?, x.dtype())
    }
}

impl StageModel for DecoderStage {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        let [input] = inputs else { bail!("a decoder takes one input, got {}", inputs.len()) };
        let mut x = self.hidden_states(input)?;
        if !self.layers.is_empty() {
            let rotation = self.rotation(&x)?;
            for layer in &self.layers {
                x = layer.forward(&x, &rotation)?;
            }
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x)?;
        }
        if let Some(lm_head) = &self.lm_head {
            x = lm_head.forward(&x)?;
        }
        Ok(vec![x])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}
