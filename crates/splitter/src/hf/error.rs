//! What can be wrong with a `config.json` of which a graph is to be made.

use crate::error::listed;
use crate::nearest::did_you_mean;

/// A config that no graph can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HfError {
    /// The file holds something else than fields.
    #[error("a config.json is an object of fields, not {value}")]
    NotAnObject {
        /// The beginning of what it holds.
        value: String,
    },
    /// Nothing says what kind of model it is.
    #[error("the config has no `{key}`, which says what kind of model it is; known are {}", .known.join(", "))]
    NoModelType {
        /// Where it is missing: `model_type`, `text_config.model_type`.
        key: String,
        /// The kinds whose layout is known.
        known: Vec<String>,
    },
    /// A kind of model whose layout is not known.
    #[error(
        "`{key}` is {value}, whose layout is not known{}; known are {}",
        did_you_mean(.nearest),
        .known.join(", ")
    )]
    UnknownModelType {
        /// The field.
        key: String,
        /// The beginning of its value, as JSON.
        value: String,
        /// The kind that was probably meant.
        nearest: Option<String>,
        /// The kinds whose layout is known.
        known: Vec<String>,
    },
    /// An encoder and a decoder, which no chain of layers describes.
    #[error(
        "the config describes an encoder and a decoder (`{key}`), the stages of a pipeline are cut \
         from a decoder alone"
    )]
    EncoderDecoder {
        /// The field that says so.
        key: String,
    },
    /// Fields that are wrong, each for itself or with others. Holds everything that was found, at
    /// least one problem.
    #[error("the config of a {model_type} describes no model:{}", listed(.problems))]
    Config {
        /// The kind of model.
        model_type: String,
        /// What is wrong.
        problems: Vec<HfProblem>,
    },
}

/// One thing that is wrong with the fields of a config. Fields are named with the way to them:
/// `text_config.hidden_size`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HfProblem {
    /// A field of another type, or with a word that is not known.
    #[error("`{key}` is {value}, expected {expected}")]
    Value {
        /// The field.
        key: String,
        /// The beginning of its value, as JSON.
        value: String,
        /// What would do.
        expected: String,
    },
    /// A size that is zero or absurd.
    #[error("`{key}` is {value}, expected {min} to {max}")]
    Size {
        /// The field.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// The smallest size.
        min: usize,
        /// The largest size.
        max: usize,
    },
    /// A field without which nothing can be said.
    #[error("there is no `{key}`, expected {expected}")]
    Missing {
        /// The field.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field that no model has and that looks like one that matters.
    #[error("there is no field `{key}`, did you mean `{nearest}`?")]
    Misspelt {
        /// The field.
        key: String,
        /// The existing field.
        nearest: String,
    },
    /// A size has to be a multiple of another one.
    #[error(
        "`{key}` is {value}, expected a multiple of `{divisor_key}`, which is {divisor}{way_out}"
    )]
    NotAMultiple {
        /// The field.
        key: String,
        /// Its value.
        value: usize,
        /// The other field.
        divisor_key: String,
        /// Its value.
        divisor: usize,
        /// What to do if both are as they should be; begins with a separator or is empty.
        way_out: &'static str,
    },
    /// A token cannot be sent to more experts than there are.
    #[error("`{key}` is {value}, more than the {num_experts} of `{experts_key}`")]
    TooFewExperts {
        /// The field.
        key: String,
        /// How many experts a token is sent to.
        value: usize,
        /// The other field.
        experts_key: String,
        /// How many there are.
        num_experts: usize,
    },
    /// A list with an entry per layer, of another length.
    #[error("`{key}` has {len} entries, the model has {num_layers} layers")]
    NotOnePerLayer {
        /// The field.
        key: String,
        /// How many entries it has.
        len: usize,
        /// How many layers the model has.
        num_layers: usize,
    },
    /// Two fields that say the same thing say it differently.
    #[error("`{first}` is {first_value}, but `{second}` is {second_value}; keep one of them")]
    Disagreement {
        /// A field.
        first: String,
        /// Its value.
        first_value: String,
        /// The other field.
        second: String,
        /// Its value.
        second_value: String,
    },
    /// Each size would do, but not all together.
    #[error("the model would have {num_parameters} parameters, the limit is {max}")]
    TooManyParameters {
        /// How many they would be.
        num_parameters: u128,
        /// The limit.
        max: u128,
    },
    /// A graph holds each parameter and each part by its name.
    #[error("the model would have {num_names} named parameters and parts, the limit is {max}")]
    TooManyNames {
        /// How many they would be.
        num_names: u128,
        /// The limit.
        max: u128,
    },
}
