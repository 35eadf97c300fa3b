//! `hf_model`: what a `config.json` says of a model, and its graph.

use serde_json::Value;

use super::decoder::Decoder;
use super::families::{FAMILIES, ReadDecoder};
use super::fields::{Fields, shown};
use super::graph::Layout;
use super::nested::{NESTED, Nested, Places, Text};
use super::towers::Tower;
use super::{HfError, HfNames, HfProblem};
use crate::nearest::nearest;
use crate::{ElementType, ModuleGraph};

/// A model of Hugging Face's, as far as its config tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HfModel {
    /// Its modules: encoders of images or sound, the embedding, each layer, the last norm, the
    /// rotary tables, the output head.
    pub graph: ModuleGraph,
    /// What kind of model it is: `llama`.
    pub model_type: String,
    /// Where its names begin; what stands before the text is in `extra`.
    pub names: HfNames,
    /// The type of its weights and hidden states; `float32` if the config names none.
    pub dtype: ElementType,
    /// How many token ids there are.
    pub vocab_size: usize,
    /// The width of the hidden states.
    pub hidden_size: usize,
    /// How many layers the decoder has.
    pub num_layers: usize,
    /// The longest sequence the model was made for.
    pub max_positions: usize,
    /// Whether the output head is the embedding.
    pub is_tied: bool,
    /// How many layers for multi-token prediction the checkpoint has behind the others. They are not
    /// in the graph: transformers does not train them.
    pub num_mtp_layers: usize,
    /// How the checkpoint is quantized: `fp8`. The graph is of the model in its own `dtype`, as it
    /// has to be to train; the checkpoint holds fewer bytes, and scales beside them.
    pub quantization: Option<String>,
}

/// How modules are called where a decoder stands beside an encoder of images or sound; a model of
/// text alone has one name for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HfNesting {
    /// As in transformers' module tree: `model.language_model.layers.0`, `model.vision_tower`.
    #[default]
    Modules,
    /// As in checkpoints: `language_model.model.layers.0`, `vision_tower`.
    Checkpoint,
}

/// The model that a `config.json` describes, in its spelling of transformers 4 or 5; a missing field
/// has transformers' default.
///
/// Names and shapes are those of the checkpoint. Of experts, which transformers 5 holds as one
/// tensor, each is there with its own matrices, if the checkpoint has them so.
///
/// # Costs
/// Operations per token are two for each element of the matrices that a token is multiplied with, of
/// experts those that it is sent to; per pair of tokens that attend to each other, four for each
/// number in the queries. Per token a layer keeps `6 hidden + 4 queries + 3 keys + 3 intermediate`
/// numbers in the model's type, more with biases and further norms, and the last term once for each
/// active expert. An encoder costs what one image of the config's size takes, or of 448 by 448
/// pixels where the config takes any, or one clip of sound of full length.
///
/// # Examples
/// ```
/// use autopipe_splitter::{HfNesting, hf_model, split_even};
///
/// let config = serde_json::json!({
///     "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
///     "num_hidden_layers": 32, "num_key_value_heads": 8, "dtype": "bfloat16"
/// });
/// let model = hf_model(&config, HfNesting::default())?;
/// assert_eq!(model.graph.num_parameters(), 8_030_261_248);
/// let partition = split_even(&model.graph, 4)?;
/// assert_eq!(partition.stage_of("model.layers.31"), Some(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If it is no object, or of a kind that is not known or has no decoder of its own; or every field
/// that is wrong, misspelt or contradicts another, all at once.
pub fn hf_model(config: &Value, nesting: HfNesting) -> Result<HfModel, HfError> {
    let Value::Object(map) = config else {
        return Err(HfError::NotAnObject { value: shown(config) });
    };
    let fields = Fields::new(map);
    if fields.get("is_encoder_decoder").and_then(Value::as_bool) == Some(true) {
        return Err(HfError::EncoderDecoder { key: "is_encoder_decoder".to_owned() });
    }
    let (model_type, kind) = kind(&fields)?;
    let layout = match kind {
        Kind::Text(read) => text_layout(&fields, read),
        Kind::Nested(nested) => nested_layout(&fields, nested, nesting)?,
    };
    let quantization = quantization(&fields);
    let mut problems = fields.finish();
    if problems.is_empty() {
        problems = layout.problems();
    }
    if !problems.is_empty() {
        return Err(HfError::Config { model_type: model_type.to_owned(), problems });
    }
    Ok(model(model_type, &layout, quantization))
}

enum Kind {
    Text(ReadDecoder),
    Nested(&'static Nested),
}

/// All kinds that are known, by `model_type`.
fn kinds() -> impl Iterator<Item = (&'static str, Kind)> {
    static KINDS: &[(&str, Nested)] = &NESTED;
    let text = FAMILIES.into_iter().map(|(name, read)| (name, Kind::Text(read)));
    text.chain(KINDS.iter().map(|(name, nested)| (*name, Kind::Nested(nested))))
}

/// What `model_type` says.
fn kind<'a>(fields: &Fields<'a>) -> Result<(&'a str, Kind), HfError> {
    let known = || {
        let mut names: Vec<String> = kinds().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names
    };
    let key = fields.key("model_type");
    let Some(value) = fields.get("model_type") else {
        return Err(HfError::NoModelType { key, known: known() });
    };
    let found = value.as_str().and_then(|given| {
        let (_, kind) = kinds().find(|(name, _)| *name == given)?;
        Some((given, kind))
    });
    found.ok_or_else(|| unknown(key, value, known()))
}

fn unknown(key: String, value: &Value, known: Vec<String>) -> HfError {
    // A long text is like none of them, and would take long to compare.
    let given = value.as_str().filter(|given| given.len() <= 64);
    let nearest = given.and_then(|given| nearest(given, &known));
    HfError::UnknownModelType { key, value: shown(value), nearest, known }
}

fn text_layout(fields: &Fields<'_>, read: ReadDecoder) -> Layout {
    let decoder = read(fields);
    let is_tied = decoder.sizes.is_tied;
    let places = Places { towers: "", text: "model.", lm_head: "lm_head" };
    layout(fields, (decoder, Vec::new()), places, is_tied)
}

fn nested_layout(
    fields: &Fields<'_>,
    nested: &Nested,
    nesting: HfNesting,
) -> Result<Layout, HfError> {
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
    let mut layout = layout(fields, (decoder, towers), places, is_tied);
    if let Some(text) = text {
        if ["dtype", "torch_dtype"].iter().all(|key| fields.get(key).is_none()) {
            layout.dtype = dtype(&text);
        }
        fields.absorb(text);
    }
    Ok(layout)
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
                Some(inner) => chosen(inner, default)?,
            };
            (inner, read)
        }
    };
    let empty = Fields::empty();
    let decoder = read(inner.as_ref().unwrap_or(&empty));
    let is_tied = inner.as_ref().and_then(|inner| inner.optional_flag("tie_word_embeddings"));
    Ok((inner, is_tied, decoder))
}

/// The family that the text's own `model_type` names.
fn chosen(text: &Fields<'_>, default: &str) -> Result<ReadDecoder, HfError> {
    let Some(value) = text.get("model_type") else { return Ok(family(default)) };
    let found = FAMILIES.into_iter().find(|(name, _)| value == name);
    found.map(|(_, read)| read).ok_or_else(|| {
        let known = FAMILIES.map(|(name, _)| name.to_owned()).to_vec();
        unknown(text.key("model_type"), value, known)
    })
}

fn family(name: &str) -> ReadDecoder {
    let family = FAMILIES.into_iter().find(|(known, _)| *known == name);
    family.map(|(_, read)| read).expect("the default text of a nested kind is a family")
}

fn layout(
    fields: &Fields<'_>,
    (decoder, towers): (Decoder, Vec<Tower>),
    places: Places,
    is_tied: bool,
) -> Layout {
    let has_head = has_head(fields);
    // A model without a head is what stands under `model.` otherwise.
    let bare = |place: &str| {
        let inner = if has_head { place } else { place.strip_prefix("model.").unwrap_or(place) };
        inner.to_owned()
    };
    Layout {
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

fn quantization(fields: &Fields<'_>) -> Option<String> {
    let table = fields.get("quantization_config")?;
    let method = table.get("quant_method").and_then(Value::as_str).unwrap_or("unknown");
    Some(super::fields::shortened(method))
}

fn model(model_type: &str, layout: &Layout, quantization: Option<String>) -> HfModel {
    let sizes = layout.decoder.sizes;
    let names = HfNames {
        prefix: layout.text_prefix.clone(),
        embeddings: true,
        multimodal_encoders: false,
        extra: layout.towers.iter().map(|tower| layout.tower_name(tower)).collect(),
        lm_head: layout.lm_head.clone(),
        rotary_emb: true,
    };
    HfModel {
        graph: layout.graph(),
        model_type: model_type.to_owned(),
        names,
        dtype: layout.dtype,
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_layers: sizes.num_layers,
        max_positions: sizes.max_positions,
        is_tied: layout.is_tied,
        num_mtp_layers: layout.decoder.num_mtp_layers,
        quantization,
    }
}
