//! Qwen2, and the text of Qwen2-VL and Qwen2.5-VL: biases behind queries, keys and values, and a
//! window in the last layers if one is asked for.

use crate::hf::block::Bias;
use crate::hf::blocks::{
    Attention, HeadDefaults, Heads, Window, gated_mlp, per_layer, pre_norm_layer, windows,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) const SIZES: Sizes = Sizes {
    vocab_size: 151_936,
    hidden_size: 4096,
    intermediate_size: 22_016,
    num_layers: 32,
    max_positions: 32_768,
    is_tied: false,
};

const VL_SIZES: Sizes = Sizes {
    vocab_size: 152_064,
    hidden_size: 8192,
    intermediate_size: 29_568,
    num_layers: 80,
    ..SIZES
};

pub(super) fn qwen2(fields: &Fields<'_>) -> Decoder {
    let heads = HeadDefaults { num: 32, num_kv: Some(32), dim: None };
    decoder(fields, SIZES, heads, 28)
}

pub(in crate::hf) fn qwen2_vl_text(fields: &Fields<'_>) -> Decoder {
    let heads = HeadDefaults { num: 64, num_kv: Some(8), dim: None };
    decoder(fields, VL_SIZES, heads, 80)
}

fn decoder(
    fields: &Fields<'_>,
    default: Sizes,
    heads: HeadDefaults,
    max_window_layers: usize,
) -> Decoder {
    let sizes = Sizes::read(fields, default);
    let hidden = sizes.hidden_size;
    let heads = Heads::read(fields, hidden, heads);
    let attention = Attention::new(hidden, heads).with_qkv_bias(true).block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let layer = pre_norm_layer(hidden, attention, mlp);
    let windows = last_layers_windows(fields, sizes.num_layers, max_window_layers);
    sizes.decoder_with(windows, |_| layer.clone())
}

/// A window from layer `max_window_layers` on, where `use_sliding_window` is set.
pub(super) fn last_layers_windows(
    fields: &Fields<'_>,
    num_layers: usize,
    default_first: usize,
) -> Vec<Window> {
    let first = fields.any_count(&["max_window_layers"], default_first).1;
    per_layer(fields, num_layers, asked_for_window(fields), |layer| layer >= first)
}

/// The window, where `use_sliding_window` is set.
pub(super) fn asked_for_window(fields: &Fields<'_>) -> Window {
    let window = windows(fields, Some(4096));
    window.filter(|_| fields.flag("use_sliding_window", false))
}
