//! To how many tokens before it a token attends, layer by layer.

use std::num::NonZeroUsize;

use crate::hf::fields::Fields;

/// How many tokens a token attends to at most, itself included; none for all before it.
pub(in crate::hf) type Window = Option<NonZeroUsize>;

/// The words of `layer_types` that say whether a window holds in a layer.
const LAYER_TYPES: &str = "a list of \"full_attention\" and \"sliding_attention\", one per layer";

/// The window of `sliding_window`, where the field is missing `default`; a `null` or 0 is no window.
pub(in crate::hf) fn windows(fields: &Fields<'_>, default: Option<usize>) -> Window {
    let size = fields.range("sliding_window", 0, usize::MAX);
    let default = if fields.is_null("sliding_window") { None } else { default };
    size.or(default).and_then(NonZeroUsize::new)
}

/// The window of each layer: where `layer_types` says so, or `is_sliding` in its absence.
pub(in crate::hf) fn per_layer(
    fields: &Fields<'_>,
    num_layers: usize,
    window: Window,
    is_sliding: impl Fn(usize) -> bool,
) -> Vec<Window> {
    let given =
        fields.per_layer("layer_types", num_layers, LAYER_TYPES, |entry| match entry.as_str()? {
            "full_attention" => Some(false),
            "sliding_attention" => Some(true),
            _ => None,
        });
    let slides = |layer: usize| match &given {
        Some(slides) => slides[layer],
        None => is_sliding(layer),
    };
    (0..num_layers).map(|layer| window.filter(|_| slides(layer))).collect()
}

/// All layers slide but every `period`-th.
pub(in crate::hf) fn alternating(period: usize) -> impl Fn(usize) -> bool {
    move |layer| !(layer + 1).is_multiple_of(period)
}
