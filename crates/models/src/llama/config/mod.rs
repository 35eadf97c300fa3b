//! `LlamaConfig`: the sizes of a Llama, read from and written to a `config.json`.

mod read;
mod rope;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::blocks::{AttentionShape, LayerShape, MlpShape};
use crate::config::{ConfigProblem, MAX_SIZE, check_size};
use crate::decoder::DecoderShape;

/// Far more layers than any model has.
const MAX_LAYERS: usize = 10_000;

/// A thousand times the largest models; bytes and operations counted from it do not overflow.
const MAX_PARAMETERS: u128 = 1 << 50;

/// The sizes and switches of a Llama, named as in transformers' `LlamaConfig`; the default is its
/// default.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// How many token ids there are.
    pub vocab_size: usize,
    /// The width of the hidden states.
    pub hidden_size: usize,
    /// The width inside the feed-forward block.
    pub intermediate_size: usize,
    /// How many decoder layers.
    pub num_hidden_layers: usize,
    /// How many query heads.
    pub num_attention_heads: usize,
    /// How many key and value heads; each serves a group of query heads.
    pub num_key_value_heads: usize,
    /// The width of a head.
    pub head_dim: usize,
    /// The longest sequence the model was made for. Nothing is computed from it.
    pub max_position_embeddings: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// The base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// Standard deviation of random initial weights.
    pub initializer_range: f64,
    /// Whether the projections of the attention have biases.
    pub attention_bias: bool,
    /// Whether the projections of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// Fields of a `config.json` that change nothing here, kept to be written back.
    pub extra: Map<String, Value>,
}

impl Default for LlamaConfig {
    fn default() -> Self {
        Self {
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            initializer_range: 0.02,
            attention_bias: false,
            mlp_bias: false,
            extra: Map::new(),
        }
    }
}

impl LlamaConfig {
    /// Reads the content of a `config.json` as transformers 4 or 5 writes it; a missing field has
    /// transformers' default.
    ///
    /// # Errors
    /// Every field that is wrong or asks for what is not implemented, all at once.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        let (config, mut problems) = read::read(json);
        if !problems.iter().any(ConfigProblem::hides_a_value) {
            problems.extend(config.problems());
        }
        if problems.is_empty() { Ok(config) } else { Err(Error::Config { problems }) }
    }

    /// The content of a `config.json` that transformers 4 and 5 read alike: what the two spell
    /// differently is there in both spellings.
    pub fn to_json(&self) -> Value {
        let mut map = self.extra.clone();
        let fields = [
            ("architectures", json!(["LlamaForCausalLM"])),
            ("model_type", json!("llama")),
            ("vocab_size", json!(self.vocab_size)),
            ("hidden_size", json!(self.hidden_size)),
            ("intermediate_size", json!(self.intermediate_size)),
            ("num_hidden_layers", json!(self.num_hidden_layers)),
            ("num_attention_heads", json!(self.num_attention_heads)),
            ("num_key_value_heads", json!(self.num_key_value_heads)),
            ("head_dim", json!(self.head_dim)),
            ("max_position_embeddings", json!(self.max_position_embeddings)),
            ("rms_norm_eps", json!(self.rms_norm_eps)),
            ("rope_theta", json!(self.rope_theta)),
            ("rope_parameters", json!({"rope_theta": self.rope_theta, "rope_type": "default"})),
            ("initializer_range", json!(self.initializer_range)),
            ("attention_bias", json!(self.attention_bias)),
            ("mlp_bias", json!(self.mlp_bias)),
            ("attention_dropout", json!(0.0)),
            ("hidden_act", json!("silu")),
            ("pretraining_tp", json!(1)),
            ("tie_word_embeddings", json!(false)),
        ];
        map.extend(fields.map(|(key, value)| (key.to_owned(), value)));
        map.sort_keys();
        Value::Object(map)
    }

    /// What does not fit together.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems: Vec<ConfigProblem> = [
            ("vocab_size", self.vocab_size, MAX_SIZE),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            ("num_key_value_heads", self.num_key_value_heads, MAX_SIZE),
            ("head_dim", self.head_dim, MAX_SIZE),
            ("max_position_embeddings", self.max_position_embeddings, usize::MAX),
        ]
        .into_iter()
        .filter_map(|(key, value, max)| check_size(key, value, max))
        .collect();
        let sizes_are_sane = problems.is_empty();

        // What is computed in float32 has to be a number there.
        let (least, most) = (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX));
        problems.extend(
            [
                ("rms_norm_eps", self.rms_norm_eps, 0.0, "a finite number, at least 0"),
                ("initializer_range", self.initializer_range, 0.0, "a finite number, at least 0"),
                ("rope_theta", self.rope_theta, least, "a finite number above 0"),
            ]
            .into_iter()
            .filter(|&(_, value, min, _)| !(min..=most).contains(&value))
            .map(|(key, value, _, expected)| ConfigProblem::Number {
                key,
                value,
                expected,
            }),
        );
        if sizes_are_sane {
            problems.extend(self.size_problems());
        }
        problems
    }

    /// What of the sizes contradicts another one; each for itself is known to be sane.
    fn size_problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            problems.push(ConfigProblem::NotAMultiple {
                key: "num_attention_heads",
                value: self.num_attention_heads,
                divisor_key: "num_key_value_heads",
                divisor: self.num_key_value_heads,
                way_out: "",
            });
        }
        if !self.head_dim.is_multiple_of(2) {
            problems.push(ConfigProblem::OddHeadDim { head_dim: self.head_dim });
        }
        let num_parameters = self.decoder_shape().num_parameters();
        if num_parameters > MAX_PARAMETERS {
            problems.push(ConfigProblem::TooManyParameters { num_parameters, max: MAX_PARAMETERS });
        }
        problems
    }

    /// The same in terms of the blocks a Llama is made of.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in the range of f32")]
    pub(super) fn decoder_shape(&self) -> DecoderShape {
        let hidden_size = self.hidden_size;
        DecoderShape {
            vocab_size: self.vocab_size,
            num_layers: self.num_hidden_layers,
            rope_theta: self.rope_theta as f32,
            initializer_range: self.initializer_range,
            layer: LayerShape {
                hidden_size,
                rms_norm_eps: self.rms_norm_eps,
                attention: AttentionShape {
                    hidden_size,
                    num_heads: self.num_attention_heads,
                    num_kv_heads: self.num_key_value_heads,
                    head_dim: self.head_dim,
                    has_bias: self.attention_bias,
                },
                mlp: MlpShape {
                    hidden_size,
                    intermediate_size: self.intermediate_size,
                    has_bias: self.mlp_bias,
                },
            },
        }
    }
}
