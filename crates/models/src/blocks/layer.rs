//! One decoder layer, norms before the blocks: `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`.

use autopipe_nn::{RmsNorm, Rotation};
use candle_core::{Result, Tensor};

use super::attention::{AttentionShape, SelfAttention};
use super::mlp::{GatedMlp, MlpShape};
use super::{Declaration, Scope};

/// The sizes of a decoder layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerShape {
    pub(crate) hidden_size: usize,
    pub(crate) rms_norm_eps: f64,
    pub(crate) attention: AttentionShape,
    pub(crate) mlp: MlpShape,
}

#[derive(Debug)]
pub(crate) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: GatedMlp,
}

impl LayerShape {
    pub(crate) fn declare(&self) -> Declaration {
        Declaration::of([
            ("self_attn", self.attention.declare()),
            ("mlp", self.mlp.declare()),
            ("input_layernorm", Declaration::norm(self.hidden_size)),
            ("post_attention_layernorm", Declaration::norm(self.hidden_size)),
        ])
    }
}

impl LayerShape {
    /// How many numbers per token the forward makes and keeps for the backward: both norms, the
    /// results of both blocks, and both sums, beside what is inside of the blocks.
    pub(crate) fn kept_per_token(&self) -> usize {
        6 * self.hidden_size + self.attention.kept_per_token() + self.mlp.kept_per_token()
    }
}

impl DecoderLayer {
    pub(crate) fn new(shape: &LayerShape, scope: &Scope<'_>) -> Result<Self> {
        let eps = shape.rms_norm_eps;
        Ok(Self {
            input_layernorm: scope.part("input_layernorm").norm(eps)?,
            self_attn: SelfAttention::new(&shape.attention, &scope.part("self_attn"))?,
            post_attention_layernorm: scope.part("post_attention_layernorm").norm(eps)?,
            mlp: GatedMlp::new(&scope.part("mlp"))?,
        })
    }

    /// Maps hidden states `[batch, sequence, hidden]` to the next layer's.
    pub(crate) fn forward(&self, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let mixed = self.self_attn.forward(&self.input_layernorm.forward(x)?, rotation)?;
        let (h, normed) = self.post_attention_layernorm.forward_residual(x, &mixed)?;
        h + self.mlp.forward(&normed)?
    }
}
