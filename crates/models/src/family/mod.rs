//! The families of models that there are: one file each, from a config to a decoder.

mod gemma;
mod gemma2;
mod gemma3;
mod llama;
mod mistral;
mod mixtral;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod sizes;
mod sparse;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::config::Fields;
use crate::decoder::DecoderShape;
use crate::nearest::nearest;

/// A family of models: those that one description covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// `gemma`: Google's first Gemma.
    Gemma,
    /// `gemma2`: caps on scores and logits, a window in every other layer.
    Gemma2,
    /// `gemma3_text`: the text models of Gemma 3, and the text part of its larger ones.
    Gemma3Text,
    /// `llama`: Llama 2, 3, 3.1 and 3.2, and the many models that share its layout.
    Llama,
    /// `mistral`: with a sliding window or without.
    Mistral,
    /// `mixtral`: a mixture of experts.
    Mixtral,
    /// `phi3`: Phi-3, 3.5 and 4, with fused matrices.
    Phi3,
    /// `qwen2`: Qwen 2 and 2.5.
    Qwen2,
    /// `qwen3`: with a norm in each head.
    Qwen3,
    /// `qwen3_moe`: Qwen 3 with experts.
    Qwen3Moe,
}

/// What a family is called, and what it makes of a config.
struct Spec {
    model_type: &'static str,
    architecture: &'static str,
    describe: fn(&mut Fields) -> DecoderShape,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Gemma,
        Self::Gemma2,
        Self::Gemma3Text,
        Self::Llama,
        Self::Mistral,
        Self::Mixtral,
        Self::Phi3,
        Self::Qwen2,
        Self::Qwen3,
        Self::Qwen3Moe,
    ];

    fn spec(self) -> &'static Spec {
        match self {
            Self::Gemma => &gemma::SPEC,
            Self::Gemma2 => &gemma2::SPEC,
            Self::Gemma3Text => &gemma3::SPEC,
            Self::Llama => &llama::SPEC,
            Self::Mistral => &mistral::SPEC,
            Self::Mixtral => &mixtral::SPEC,
            Self::Phi3 => &phi3::SPEC,
            Self::Qwen2 => &qwen2::SPEC,
            Self::Qwen3 => &qwen3::SPEC,
            Self::Qwen3Moe => &qwen3_moe::SPEC,
        }
    }

    /// What a config's `model_type` says.
    pub fn name(self) -> &'static str {
        self.spec().model_type
    }

    /// The family that a config is of.
    pub(crate) fn of(config: &Value) -> Result<Self, Error> {
        match config.get("model_type") {
            None | Some(Value::Null) => Err(Error::NoModelType { supported: supported() }),
            Some(Value::String(model_type)) => model_type.parse(),
            Some(other) => other.to_string().parse(),
        }
    }

    /// The decoder that a config describes, and the config with every field as it was understood,
    /// so that transformers 4 and 5 read the same from it.
    ///
    /// # Errors
    /// Every field that is wrong or asks for what is not implemented, all at once.
    pub(crate) fn describe(
        self,
        config: &Value,
    ) -> Result<(DecoderShape, Map<String, Value>), Error> {
        let Spec { model_type, architecture, describe } = *self.spec();
        let mut fields = Fields::new(config);
        fields.refuse_unless("architectures", |names| has(names, architecture), architecture);
        let shape = describe(&mut fields);
        if !fields.hide_a_value() {
            for problem in shape.problems() {
                fields.report(problem);
            }
        }
        fields.set("model_type", model_type);
        fields.set("architectures", json!([architecture]));
        let (config, problems) = fields.finish();
        if problems.is_empty() { Ok((shape, config)) } else { Err(Error::Config { problems }) }
    }
}

/// Whether a list of architectures is empty or has a certain one.
fn has(names: &Value, architecture: &str) -> bool {
    names
        .as_array()
        .is_some_and(|names| names.is_empty() || names.iter().any(|name| name == architecture))
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(model_type: &str) -> Result<Self, Error> {
        let names = || Self::ALL.into_iter().map(Self::name);
        Self::ALL.into_iter().find(|family| family.name() == model_type).ok_or_else(|| {
            Error::UnknownFamily {
                model_type: model_type.to_owned(),
                nearest: nearest(model_type, names()).map(str::to_owned),
                supported: supported(),
            }
        })
    }
}

fn supported() -> String {
    Family::ALL.map(Family::name).join(", ")
}
