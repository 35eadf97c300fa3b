//! A decoder of text, read from the fields of its config and not yet named.

use super::block::Block;
use super::blocks::Window;
use super::fields::{Fields, MAX_LAYERS};

/// The sizes that every decoder has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_layers: usize,
    pub(super) max_positions: usize,
    /// Whether the output head is the embedding.
    pub(super) is_tied: bool,
}

/// A decoder without names around it.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    pub(super) sizes: Sizes,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Block,
    /// Layers for multi-token prediction, which a checkpoint has behind the others.
    pub(super) num_mtp_layers: usize,
}

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) block: Block,
    pub(super) window: Window,
}

impl Sizes {
    /// Reads them, `default` where the config says nothing.
    pub(super) fn read(fields: &Fields<'_>, default: Self) -> Self {
        Self {
            vocab_size: fields.size("vocab_size", default.vocab_size),
            hidden_size: fields.size("hidden_size", default.hidden_size),
            intermediate_size: fields.size("intermediate_size", default.intermediate_size),
            num_layers: fields
                .range("num_hidden_layers", 1, MAX_LAYERS)
                .unwrap_or(default.num_layers),
            max_positions: fields
                .range("max_position_embeddings", 1, usize::MAX)
                .unwrap_or(default.max_positions),
            is_tied: fields.flag("tie_word_embeddings", default.is_tied),
        }
    }

    /// A decoder of equal layers without windows.
    pub(super) fn decoder(self, block: Block) -> Decoder {
        self.decoder_with(vec![None; self.num_layers], |_| block.clone())
    }

    /// A decoder of the layers that `block` makes from their numbers, with a window each.
    pub(super) fn decoder_with(
        self,
        windows: Vec<Window>,
        block: impl Fn(usize) -> Block,
    ) -> Decoder {
        let layers = windows.into_iter().enumerate();
        let layers = layers.map(|(layer, window)| Layer { block: block(layer), window }).collect();
        let norm = Block::rms_norm(self.hidden_size);
        Decoder { sizes: self, layers, norm, num_mtp_layers: 0 }
    }
}
