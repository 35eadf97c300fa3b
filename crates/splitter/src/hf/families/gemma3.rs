//! The text of Gemma 3: Gemma 2 with a norm per head, and a window in all layers but every sixth.

use super::gemma2;
use crate::hf::blocks::{Attention, HeadNorm, Heads, alternating, per_layer, windows};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes { vocab_size: 262_208, max_positions: 131_072, ..gemma2::SIZES };

pub(in crate::hf) fn gemma3_text(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let attention = Attention::new(hidden, Heads::read(fields, hidden, gemma2::HEADS))
        .with_bias(fields.flag("attention_bias", false))
        .with_norm(HeadNorm::PerHead);
    let layer = gemma2::four_norm_layer(sizes, attention);
    // Some writers have kept it as a private field.
    let keys = ["sliding_window_pattern", "_sliding_window_pattern"];
    let period = keys.map(|key| fields.optional_size(key)).into_iter().flatten().next();
    let window = windows(fields, Some(4096));
    let windows = per_layer(fields, sizes.num_layers, window, alternating(period.unwrap_or(6)));
    sizes.decoder_with(windows, |_| layer.clone())
}
