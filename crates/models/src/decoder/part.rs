//! The modules that a decoder is cut into.

use autopipe_splitter::{Cost, Role};

use super::DecoderShape;
use crate::Recompute;
use crate::blocks::{Declaration, Numbers};

/// One module: what is never cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Embedding,
    Layer(usize),
    Norm,
    /// The rotary tables: computed from the config, so every stage has its own.
    Rotary,
    Head,
}

/// All of a decoder, in the order in which transformers registers them; data flows the same way.
pub(super) fn parts(num_layers: usize) -> impl Iterator<Item = Part> {
    let layers = (0..num_layers).map(Part::Layer);
    std::iter::once(Part::Embedding).chain(layers).chain([Part::Norm, Part::Rotary, Part::Head])
}

impl Part {
    /// The fully qualified name, as in a checkpoint.
    pub(super) fn name(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens".to_owned(),
            Self::Layer(index) => format!("model.layers.{index}"),
            Self::Norm => "model.norm".to_owned(),
            Self::Rotary => "model.rotary_emb".to_owned(),
            Self::Head => "lm_head".to_owned(),
        }
    }

    pub(super) fn role(self) -> Role {
        match self {
            Self::Layer(_) => Role::Layer,
            Self::Embedding | Self::Norm | Self::Head => Role::Boundary,
            Self::Rotary => Role::EveryStage,
        }
    }

    pub(super) fn declare(self, shape: &DecoderShape) -> Declaration {
        let hidden_size = shape.hidden_size;
        match self {
            Self::Embedding => Declaration::embedding(shape.vocab_size, hidden_size),
            Self::Layer(layer) => shape.layers[layer].declare(),
            Self::Norm => Declaration::norm(hidden_size, shape.norm),
            Self::Rotary => Declaration::empty(),
            Self::Head => Declaration::linear(hidden_size, shape.vocab_size, false)
                .cut_by_outputs(&[shape.vocab_size]),
        }
    }

    /// Operations of the forward.
    pub(super) fn flops(self, shape: &DecoderShape) -> Cost {
        match self {
            Self::Layer(layer) => Cost {
                per_pair: shape.layers[layer].attention.flops_per_pair(),
                ..Cost::per_token(shape.layers[layer].flops_per_token())
            },
            Self::Head => Cost::per_token(self.declare(shape).flops_per_token()),
            // A row is looked up, nothing is multiplied with a matrix.
            Self::Embedding | Self::Norm | Self::Rotary => Cost::default(),
        }
    }

    /// How many numbers per token the forward keeps: the results of its operations, which candle
    /// holds as long as the graph of the backward. A module's input is counted where it was made.
    pub(super) fn kept_per_token(self, shape: &DecoderShape, recompute: Recompute) -> Numbers {
        let hidden_size = shape.hidden_size;
        match self {
            // Of several ranks each also keeps what it has looked up, before and after it has left out
            // the rows of others.
            Self::Embedding => Numbers::whole(hidden_size) + Numbers::added(2 * hidden_size),
            Self::Norm => Numbers::whole(hidden_size),
            Self::Layer(layer) if recompute.has(layer) => Numbers::whole(hidden_size),
            Self::Layer(layer) => shape.layers[layer].kept_per_token(),
            // Sine and cosine are shared by all layers and small.
            Self::Rotary => Numbers::default(),
            Self::Head => {
                // Before and after the cap, and what is between.
                let num_kept = if shape.logit_softcap.is_some() { 4 } else { 1 };
                Numbers::cut(num_kept * shape.vocab_size) + Numbers::added(hidden_size)
            }
        }
    }
}
