//! Qwen2: biases behind queries, keys and values, and a window in the last layers if one is asked for.

use std::num::NonZeroUsize;

use super::Spec;
use super::sizes::{Defaults, Sizes, local_layers, window};
use crate::blocks::AttentionShape;
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "qwen2", architecture: "Qwen2ForCausalLM", describe };

pub(super) const DEFAULTS: Defaults = Defaults {
    vocab_size: 151_936,
    intermediate_size: 22_016,
    num_kv_heads: Some(32),
    max_positions: 32_768,
    ..Defaults::LLAMA
};

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let attention = AttentionShape { has_qkv_bias: true, ..sizes.attention() };
    let windows = last_layers_windows(fields, sizes.num_layers);
    sizes.decoder(fields, |layer| {
        let attention = AttentionShape { window: windows[layer], ..attention.clone() };
        sizes.layer(attention, sizes.mlp())
    })
}

/// A window from layer `max_window_layers` on, where `use_sliding_window` is set.
pub(super) fn last_layers_windows(
    fields: &mut Fields,
    num_layers: usize,
) -> Vec<Option<NonZeroUsize>> {
    let first = fields.count("max_window_layers", 28);
    let window = asked_for_window(fields);
    let local = local_layers(fields, num_layers, |layer| window.is_some() && layer >= first);
    local.into_iter().map(|is_local| window.filter(|_| is_local)).collect()
}

/// The window, where `use_sliding_window` is set.
pub(super) fn asked_for_window(fields: &mut Fields) -> Option<NonZeroUsize> {
    let is_used = fields.flag("use_sliding_window", false);
    window(fields, Some(4096)).filter(|_| is_used)
}
