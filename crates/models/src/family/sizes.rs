//! The fields that all families have, each with defaults of its own.

use std::num::NonZeroUsize;

use serde_json::Value;

use crate::blocks::{
    Activation, AttentionShape, FeedForward, LayerShape, MlpShape, NormPlacement, NormShape,
};
use crate::config::{ConfigProblem, Fields, MAX_LAYERS, Min};
use crate::decoder::DecoderShape;
use crate::rope::{self, Rope};

/// What transformers has for a field that a config lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
    /// As many as there are heads, if none.
    pub(super) num_kv_heads: Option<usize>,
    /// The hidden size's part of each head, if none.
    pub(super) head_dim: Option<usize>,
    pub(super) max_positions: usize,
    pub(super) eps: f64,
    pub(super) theta: f64,
    pub(super) is_tied: bool,
    pub(super) pad_token_id: Option<usize>,
    /// The field that names the activation, and the name where it is missing.
    pub(super) activation: (&'static str, &'static str),
}

impl Defaults {
    /// Those of Llama, from which the others differ.
    pub(super) const LLAMA: Self = Self {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_layers: 32,
        num_heads: 32,
        num_kv_heads: None,
        head_dim: None,
        max_positions: 2048,
        eps: 1e-6,
        theta: 10_000.0,
        is_tied: false,
        pad_token_id: None,
        activation: ("hidden_act", "silu"),
    };
}

/// The fields that all families have.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
    pub(super) num_kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) max_positions: usize,
    pub(super) eps: f64,
    pub(super) theta: f64,
    pub(super) is_tied: bool,
    pub(super) padding_id: Option<usize>,
    pub(super) activation: Activation,
    pub(super) initializer_range: f64,
}

impl Sizes {
    pub(super) fn read(fields: &mut Fields, default: &Defaults) -> Self {
        let hidden_size = fields.size("hidden_size", default.hidden_size);
        let num_heads = fields.size("num_attention_heads", default.num_heads);
        let num_kv_heads =
            fields.optional_size("num_key_value_heads", default.num_kv_heads).unwrap_or(num_heads);
        fields.set("num_key_value_heads", num_kv_heads);
        let head_dim = match fields.optional_size("head_dim", default.head_dim) {
            Some(head_dim) => head_dim,
            None => {
                fields.unset("head_dim");
                even_part(fields, hidden_size, num_heads)
            }
        };
        let vocab_size = fields.size("vocab_size", default.vocab_size);
        let is_silent = |value: &Value| value.as_f64() == Some(0.0);
        fields.refuse_unless("attention_dropout", is_silent, "0.0");
        fields.refuse_unless(
            "quantization_config",
            |_| false,
            "a checkpoint that is not quantized",
        );
        Self {
            vocab_size,
            hidden_size,
            intermediate_size: fields.size("intermediate_size", default.intermediate_size),
            num_layers: fields.size_up_to("num_hidden_layers", default.num_layers, MAX_LAYERS),
            num_heads,
            num_kv_heads,
            head_dim,
            max_positions: fields.size_up_to(
                "max_position_embeddings",
                default.max_positions,
                usize::MAX,
            ),
            eps: fields.number("rms_norm_eps", default.eps, Min::Zero),
            theta: default.theta,
            is_tied: fields.flag("tie_word_embeddings", default.is_tied),
            padding_id: padding(fields, default.pad_token_id, vocab_size),
            activation: activation(fields, default.activation),
            initializer_range: fields.number("initializer_range", 0.02, Min::Zero),
        }
    }

    /// Attention with rotary positions and without biases.
    pub(super) fn attention(&self) -> AttentionShape {
        AttentionShape {
            hidden_size: self.hidden_size,
            num_heads: self.num_heads,
            num_kv_heads: self.num_kv_heads,
            head_dim: self.head_dim,
            has_qkv_bias: false,
            has_o_bias: false,
            is_fused: false,
            head_norm: None,
            scale: (self.head_dim as f64).sqrt().recip(),
            softcap: None,
            window: None,
            rope: 0,
        }
    }

    /// The gated feed-forward block.
    pub(super) fn mlp(&self) -> MlpShape {
        MlpShape {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            activation: self.activation,
            has_bias: false,
            names: MlpShape::NAMES,
            is_fused: false,
        }
    }

    /// The norm of Llama.
    pub(super) fn norm(&self) -> NormShape {
        NormShape { eps: self.eps, has_unit_offset: false }
    }

    /// A layer of these blocks, with a norm before each.
    pub(super) fn layer(
        &self,
        attention: AttentionShape,
        feed_forward: impl Into<FeedForward>,
    ) -> LayerShape {
        LayerShape {
            hidden_size: self.hidden_size,
            norm: self.norm(),
            norms: NormPlacement::Before,
            attention,
            feed_forward: feed_forward.into(),
        }
    }

    /// What [`rope::read`] needs.
    pub(super) fn rope_context(&self) -> rope::Context {
        rope::Context {
            theta: self.theta,
            head_dim: self.head_dim,
            max_positions: self.max_positions,
            dialect: rope::Dialect::Usual,
        }
    }

    /// A decoder of these layers with one rotary embedding for all.
    pub(super) fn decoder(
        &self,
        fields: &mut Fields,
        layer: impl FnMut(usize) -> LayerShape,
    ) -> DecoderShape {
        let rope = rope::read(fields, self.rope_context());
        self.decoder_with(vec![rope], layer)
    }

    /// The same with embeddings that the layers choose from by number.
    pub(super) fn decoder_with(
        &self,
        ropes: Vec<Rope>,
        layer: impl FnMut(usize) -> LayerShape,
    ) -> DecoderShape {
        DecoderShape {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            max_positions: self.max_positions,
            padding_id: self.padding_id,
            embedding_scale: None,
            layers: (0..self.num_layers).map(layer).collect(),
            ropes,
            norm: self.norm(),
            logit_softcap: None,
            is_tied: self.is_tied,
            initializer_range: self.initializer_range,
        }
    }
}

fn even_part(fields: &mut Fields, hidden_size: usize, num_heads: usize) -> usize {
    if !hidden_size.is_multiple_of(num_heads) && !fields.hide_a_value() {
        fields.report(ConfigProblem::NotAMultiple {
            key: "hidden_size",
            value: hidden_size,
            divisor_key: "num_attention_heads",
            divisor: num_heads,
            way_out: "; or give `head_dim`",
        });
        return 2;
    }
    (hidden_size / num_heads).max(1)
}

/// The id whose row of the embedding gets no gradient, as torch has it for `pad_token_id`.
fn padding(fields: &mut Fields, default: Option<usize>, vocab_size: usize) -> Option<usize> {
    let given = match fields.take("pad_token_id") {
        None => default.filter(|&row| row < vocab_size),
        Some(Value::Null) => None,
        // torch counts what is below zero from the end.
        value => {
            let row = |value: &Value| {
                let id = value.as_i64()?;
                let vocab_size = i64::try_from(vocab_size).ok()?;
                usize::try_from(if id < 0 { id.saturating_add(vocab_size) } else { id }).ok()
            };
            fields.convert("pad_token_id", value, row, "a token id or null")
        }
    };
    match given {
        Some(row) if row >= vocab_size => {
            let value = Value::from(row);
            fields.refuse("pad_token_id", &value, "null, or an id within the vocabulary");
        }
        Some(row) => fields.set("pad_token_id", row),
        None => fields.set("pad_token_id", Value::Null),
    }
    given.filter(|&row| row < vocab_size)
}

fn activation(fields: &mut Fields, (key, default): (&'static str, &'static str)) -> Activation {
    let value = fields.take_optional(key).unwrap_or_else(|| default.into());
    let activation = value.as_str().and_then(Activation::named);
    if activation.is_none() {
        fields.refuse(key, &value, Activation::NAMES);
    }
    fields.set(key, value);
    activation.unwrap_or(Activation::Silu)
}

/// A window by its number of tokens; `None` is no window.
pub(super) fn window(fields: &mut Fields, default: Option<usize>) -> Option<NonZeroUsize> {
    fields.optional_size("sliding_window", default).and_then(NonZeroUsize::new)
}

/// Which layers have the window: by `layer_types`, or where `is_local` says so.
pub(super) fn local_layers(
    fields: &mut Fields,
    num_layers: usize,
    is_local: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let kind = |value: &Value| match value.as_str()? {
        "full_attention" => Some(false),
        "sliding_attention" => Some(true),
        _ => None,
    };
    let expected = "a list of `full_attention` and `sliding_attention`";
    let mut local = fields
        .list("layer_types", kind, expected)
        .unwrap_or_else(|| (0..num_layers).map(is_local).collect());
    if local.len() != num_layers {
        let (key, len) = ("layer_types".to_owned(), local.len());
        fields.report(ConfigProblem::Length { key, len, expected: num_layers });
        local.resize(num_layers, false);
    }
    let name = |&is_local: &bool| if is_local { "sliding_attention" } else { "full_attention" };
    fields.set("layer_types", local.iter().map(name).collect::<Vec<_>>());
    local
}
