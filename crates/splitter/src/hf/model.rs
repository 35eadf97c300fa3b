//! `hf_model`: what a `config.json` says of a model, and its graph.

use serde_json::Value;

use super::fields::{Fields, shown};
use super::graph::NamedModel;
use super::kind::{Kind, kind};
use super::read::{named_nested, named_text, quantization};
use super::{HfError, HfNames};
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
    /// As in checkpoints: `language_model.model.layers.0`, `vision_tower`. Within CLIP and SigLIP it
    /// is transformers 5's names in both; 4 has put `vision_model.` before them.
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
/// numbers in the model's type, more with biases and further norms; with experts the last term once for
/// each active one, with `3 hidden` for the way there and back. Among tensor-parallel ranks the terms in
/// `hidden` are whole on each, and `4 hidden` more. An encoder costs what one image of the config's size takes, or of 448 by 448
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
    let named = match kind {
        Kind::Text(read) => named_text(&fields, read),
        Kind::Nested(nested) => named_nested(&fields, nested, nesting)?,
    };
    let quantization = quantization(&fields);
    let mut problems = fields.finish();
    if problems.is_empty() {
        problems = named.problems();
    }
    if !problems.is_empty() {
        return Err(HfError::Config { model_type: model_type.to_owned(), problems });
    }
    Ok(model(model_type, &named, quantization))
}

fn model(model_type: &str, named: &NamedModel, quantization: Option<String>) -> HfModel {
    let sizes = named.decoder.sizes;
    let names = HfNames {
        prefix: named.text_prefix.clone(),
        embeddings: true,
        multimodal_encoders: false,
        extra: named.towers.iter().map(|tower| named.tower_name(tower)).collect(),
        lm_head: named.lm_head.clone(),
        rotary_emb: true,
    };
    HfModel {
        graph: named.graph(),
        model_type: model_type.to_owned(),
        names,
        dtype: named.dtype,
        vocab_size: sizes.vocab_size,
        hidden_size: sizes.hidden_size,
        num_layers: sizes.num_layers,
        max_positions: sizes.max_positions,
        is_tied: named.is_tied,
        num_mtp_layers: named.decoder.num_mtp_layers,
        quantization,
    }
}
