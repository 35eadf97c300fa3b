//! The modules that a decoder is cut into.

use autopipe_splitter::Role;

use super::DecoderShape;
use crate::blocks::Declaration;

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
        let hidden_size = shape.layer.hidden_size;
        match self {
            Self::Embedding => Declaration::embedding(shape.vocab_size, hidden_size),
            Self::Layer(_) => shape.layer.declare(),
            Self::Norm => Declaration::norm(hidden_size),
            Self::Rotary => Declaration::empty(),
            Self::Head => Declaration::linear(hidden_size, shape.vocab_size, false),
        }
    }

    /// Operations of the forward for one token, as far as they do not depend on its place in the
    /// sequence: the attention's scores are left out.
    pub(super) fn flops_per_token(self, declaration: &Declaration) -> u64 {
        match self {
            // A row is looked up, nothing is multiplied.
            Self::Embedding => 0,
            Self::Layer(_) | Self::Norm | Self::Rotary | Self::Head => {
                declaration.flops_per_token()
            }
        }
    }
}
