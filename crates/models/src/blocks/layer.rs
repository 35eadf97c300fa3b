//! One decoder layer: an attention and a feed-forward block, each added to what it was given.

use autopipe_nn::RmsNorm;
use candle_core::{Result, Tensor};

use super::attention::{AttentionShape, SelfAttention};
use super::feed_forward::{Built, FeedForward};
use super::{Declaration, NormShape, Numbers, Pass, Scope};

/// The sizes of a decoder layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerShape {
    pub(crate) hidden_size: usize,
    pub(crate) norm: NormShape,
    pub(crate) norms: NormPlacement,
    pub(crate) attention: AttentionShape,
    pub(crate) feed_forward: FeedForward,
}

/// Where a layer has its norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormPlacement {
    /// `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`.
    Before,
    /// `h = x + norm(attention(norm(x)))`, `y = h + norm(mlp(norm(h)))`, as in Gemma 2.
    Around,
}

#[derive(Debug)]
pub(crate) struct DecoderLayer {
    input_norm: RmsNorm,
    self_attn: SelfAttention,
    /// Of what the attention gives.
    attention_norm: Option<RmsNorm>,
    mlp_input_norm: RmsNorm,
    feed_forward: Built,
    /// Of what the feed-forward block gives.
    mlp_norm: Option<RmsNorm>,
}

const INPUT: &str = "input_layernorm";
const POST_ATTENTION: &str = "post_attention_layernorm";
const PRE_FEEDFORWARD: &str = "pre_feedforward_layernorm";
const POST_FEEDFORWARD: &str = "post_feedforward_layernorm";

impl NormPlacement {
    /// The norms' names, in the order in which transformers registers them.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Before => &[INPUT, POST_ATTENTION],
            Self::Around => &[INPUT, POST_ATTENTION, PRE_FEEDFORWARD, POST_FEEDFORWARD],
        }
    }
}

impl LayerShape {
    pub(crate) fn declare(&self) -> Declaration {
        let norm = Declaration::norm(self.hidden_size, self.norm);
        let norms = self.norms.names().iter().map(|name| (*name, norm.clone()));
        let blocks = [
            ("self_attn", self.attention.declare()),
            (self.feed_forward.name(), self.feed_forward.declare()),
        ];
        Declaration::of(blocks.into_iter().chain(norms))
    }

    /// Operations per token of the forward's products with weights.
    pub(crate) fn flops_per_token(&self) -> u64 {
        self.attention.declare().flops_per_token() + self.feed_forward.flops_per_token()
    }

    /// How many numbers per token the forward makes and keeps for the backward: the norms, the
    /// results of both blocks, and both sums, beside what is inside of the blocks.
    pub(crate) fn kept_per_token(&self) -> Numbers {
        let outside = (self.norms.names().len() + 4) * self.hidden_size;
        Numbers::whole(outside)
            + self.attention.kept_per_token()
            + self.feed_forward.kept_per_token()
    }

    /// The layer of a decoder in which `num_sparse` layers have a router.
    pub(crate) fn build(&self, scope: &Scope<'_>, num_sparse: usize) -> Result<DecoderLayer> {
        let norm = |name| scope.part(name).norm(self.norm);
        let (attention_norm, mlp_input_norm, mlp_norm) = match self.norms {
            NormPlacement::Before => (None, norm(POST_ATTENTION)?, None),
            NormPlacement::Around => {
                (Some(norm(POST_ATTENTION)?), norm(PRE_FEEDFORWARD)?, Some(norm(POST_FEEDFORWARD)?))
            }
        };
        let feed_forward = scope.part(self.feed_forward.name());
        Ok(DecoderLayer {
            input_norm: norm(INPUT)?,
            self_attn: self.attention.build(&scope.part("self_attn"))?,
            attention_norm,
            mlp_input_norm,
            feed_forward: self.feed_forward.build(&feed_forward, num_sparse)?,
            mlp_norm,
        })
    }
}

impl DecoderLayer {
    /// Maps hidden states `[batch, sequence, hidden]` to the next layer's.
    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let normed = |norm: &Option<RmsNorm>, x: Tensor| match norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        };
        let mixed = self.self_attn.forward(&self.input_norm.forward(x)?, pass)?;
        let mixed = normed(&self.attention_norm, mixed)?;
        let (h, input) = self.mlp_input_norm.forward_residual(x, &mixed)?;
        h + normed(&self.mlp_norm, self.feed_forward.forward(&input, pass)?)?
    }
}
