//! The text of Gemma 3: Gemma 2 with a norm per head, a window in all layers but every sixth, and
//! slower rotations in that one.

use super::gemma2::{self, Caps, attention, layer_of, with_cap};
use super::sizes::{Defaults, Sizes, local_layers, window};
use super::{Spec, gemma};
use crate::blocks::AttentionShape;
use crate::config::Fields;
use crate::decoder::DecoderShape;
use crate::rope;

pub(super) const SPEC: Spec =
    Spec { model_type: "gemma3_text", architecture: "Gemma3ForCausalLM", describe };

const DEFAULTS: Defaults =
    Defaults { vocab_size: 262_208, max_positions: 131_072, theta: 1e6, ..gemma2::DEFAULTS };

/// The base of the rotations in layers with a window.
const LOCAL_THETA: f64 = 10_000.0;

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let caps = Caps::read(fields, &Caps { scores: None, logits: None });
    let attention =
        AttentionShape { head_norm: Some(gemma::norm(&sizes)), ..attention(fields, &sizes, &caps) };
    // Some writers have kept it as a private field.
    let period = ["sliding_window_pattern", "_sliding_window_pattern"]
        .map(|key| fields.optional_size(key, None))
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(6);
    fields.unset("_sliding_window_pattern");
    fields.set("sliding_window_pattern", period);
    let window = window(fields, Some(4096));
    let local = local_layers(fields, sizes.num_layers, |layer| !(layer + 1).is_multiple_of(period));
    let (slow, fast) = rope::per_layer_type(fields, sizes.rope_context(), LOCAL_THETA);
    let decoder = sizes.decoder_with(vec![slow, fast], |layer| {
        let (window, rope) = (window.filter(|_| local[layer]), usize::from(local[layer]));
        layer_of(&sizes, AttentionShape { window, rope, ..attention.clone() })
    });
    with_cap(&sizes, &caps, decoder)
}
