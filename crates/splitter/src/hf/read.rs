//! From the fields of a config to a model with its names.

use serde_json::Value;

use super::decoder::Decoder;
use super::families::ReadDecoder;
use super::fields::{Fields, shortened, shown};
use super::graph::NamedModel;
use super::kind::{chosen_family, family};
use super::nested::{Nested, Places, Text};
use super::towers::Tower;
use super::{HfError, HfNesting, HfProblem};
use crate::ElementType;

/// A model of text alone.
pub(super) fn named_text(fields: &Fields<'_>, read: ReadDecoder) -> NamedModel {
    let decoder = read(fields);
    let is_tied = decoder.sizes.is_tied;
    let places = Places { towers: "", text: "model.", lm_head: "lm_head" };
    named(fields, (decoder, Vec::new()), places, is_tied)
}

/// A model of text beside an encoder.
pub(super) fn named_nested(
    fields: &Fields<'_>,
    nested: &Nested,
    nesting: HfNesting,
) -> Result<NamedModel, HfError> {
    let is_tied_outside = fields.optional_flag("tie_word_embeddings");
    let (text, is_tied_inside, decoder) = text_decoder(fields, &nested.text)?;
    let is_tied = match (is_tied_outside, is_tied_inside) {
        (None, None) => decoder.sizes.is_tied,
        (outside, inside) => outside == Some(true) || inside == Some(true),
    };
    let towers = (nested.towers)(fields, &decoder);
    let places = match nesting {
        HfNesting::Modules => nested.modules,
        HfNesting::Checkpoint => nested.checkpoint,
    };
    let mut named = named(fields, (decoder, towers), places, is_tied);
    if let Some(text) = text {
        if ["dtype", "torch_dtype"].iter().all(|key| fields.get(key).is_none()) {
            named.dtype = dtype(&text);
        }
        fields.absorb(text);
    }
    Ok(named)
}

/// The fields of the text if they stand apart, whether they say that it is tied, and the decoder.
fn text_decoder<'a>(
    fields: &Fields<'a>,
    text: &Text,
) -> Result<(Option<Fields<'a>>, Option<bool>, Decoder), HfError> {
    let expected = "an object of the decoder's fields";
    let (inner, read) = match *text {
        Text::Flat(read) if fields.get("text_config").is_none() => {
            return Ok((None, None, read(fields)));
        }
        Text::Flat(read) | Text::Fixed(read) => {
            (fields.required_object("text_config", expected), read)
        }
        Text::Chosen(default) => {
            let inner = fields.required_object("text_config", expected);
            let read = match &inner {
                None => family(default),
                Some(inner) => chosen_family(inner, default)?,
            };
            (inner, read)
        }
    };
    let empty = Fields::empty();
    let decoder = read(inner.as_ref().unwrap_or(&empty));
    let is_tied = inner.as_ref().and_then(|inner| inner.optional_flag("tie_word_embeddings"));
    Ok((inner, is_tied, decoder))
}

/// The parts of a model by the names that they have in it.
fn named(
    fields: &Fields<'_>,
    (decoder, towers): (Decoder, Vec<Tower>),
    places: Places,
    is_tied: bool,
) -> NamedModel {
    let has_head = has_head(fields);
    // A model without a head is what stands under `model.` otherwise.
    let bare = |place: &str| {
        let inner = if has_head { place } else { place.strip_prefix("model.").unwrap_or(place) };
        inner.to_owned()
    };
    NamedModel {
        towers,
        tower_prefix: bare(places.towers),
        decoder,
        text_prefix: bare(places.text),
        lm_head: has_head.then(|| places.lm_head.to_owned()),
        is_tied: has_head && is_tied,
        dtype: dtype(fields),
    }
}

/// Whether the class that the weights were saved from has an output head.
fn has_head(fields: &Fields<'_>) -> bool {
    let expected = "a list of classes that end in `ForCausalLM`, `ForConditionalGeneration` or, \
                    without a head, `Model`";
    let key = "architectures";
    let ends = [("ForCausalLM", true), ("ForConditionalGeneration", true), ("Model", false)];
    let has_head = |class: &Value| {
        let class = class.as_str()?;
        ends.iter().find(|(end, _)| class.ends_with(end)).map(|(_, has_head)| *has_head)
    };
    let classes = fields.list(key, expected, has_head).unwrap_or_default();
    classes.is_empty() || classes.contains(&true)
}

/// The type of the weights, by either of its names.
fn dtype(fields: &Fields<'_>) -> ElementType {
    let read = |key| {
        let given = fields.text(key)?;
        let dtype = match given.trim_start_matches("torch.") {
            "bfloat16" => ElementType::Bf16,
            "float16" => ElementType::F16,
            "float32" | "auto" => ElementType::F32,
            "float64" => ElementType::F64,
            _ => {
                let expected = "bfloat16, float16, float32 or float64".to_owned();
                fields.refuse_shown(key, shown(&given.into()), expected);
                return None;
            }
        };
        Some((dtype, given))
    };
    match (read("dtype"), read("torch_dtype")) {
        (Some((new, first_value)), Some((old, second_value))) if new != old => {
            fields.report(HfProblem::Disagreement {
                first: fields.key("dtype"),
                first_value: first_value.to_owned(),
                second: fields.key("torch_dtype"),
                second_value: second_value.to_owned(),
            });
            new
        }
        (Some((dtype, _)), _) | (None, Some((dtype, _))) => dtype,
        (None, None) => ElementType::F32,
    }
}

/// How the checkpoint is quantized, if it is.
pub(super) fn quantization(fields: &Fields<'_>) -> Option<String> {
    let table = fields.get("quantization_config")?;
    let method = table.get("quant_method").and_then(Value::as_str).unwrap_or("unknown");
    Some(shortened(method))
}
