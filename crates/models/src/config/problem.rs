//! What can be wrong with one field of a config.

/// One thing that is wrong with a model's config.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The file holds something else than fields.
    #[error("a config is an object of fields, not {value}")]
    NotAnObject {
        /// What it holds.
        value: String,
    },
    /// A field of another type.
    #[error("`{key}` is {value}, expected {expected}")]
    Type {
        /// The field.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A size of zero, or an absurd one.
    #[error("`{key}` is {value}, expected 1 to {max}")]
    Size {
        /// The field.
        key: String,
        /// Its value.
        value: usize,
        /// The largest size.
        max: usize,
    },
    /// A number outside of its range.
    #[error("`{key}` is {value:?}, expected {expected}")]
    Number {
        /// The field.
        key: &'static str,
        /// Its value.
        value: f64,
        /// Which numbers would do.
        expected: &'static str,
    },
    /// A value that asks for computations which are not implemented.
    #[error("`{key}` is {value}, which is not implemented; supported is {supported}")]
    Unsupported {
        /// The field.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// The values that are.
        supported: &'static str,
    },
    /// A field that no model has and that looks like one that matters.
    #[error("there is no `{key}`, did you mean `{nearest}`?")]
    Misspelt {
        /// The field.
        key: String,
        /// The existing field.
        nearest: String,
    },
    /// Two fields that say the same thing say it differently.
    #[error("`{first}` is {first_value:?}, but `{second}` is {second_value:?}; keep one of them")]
    Disagreement {
        /// A field.
        first: &'static str,
        /// Its value.
        first_value: f64,
        /// The other field.
        second: &'static str,
        /// Its value.
        second_value: f64,
    },
    /// A size has to be a multiple of another one.
    #[error(
        "`{key}` is {value}, expected a multiple of `{divisor_key}`, which is {divisor}{way_out}"
    )]
    NotAMultiple {
        /// The field.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The other field.
        divisor_key: &'static str,
        /// Its value.
        divisor: usize,
        /// What to do if both are as they should be; begins with a separator or is empty.
        way_out: &'static str,
    },
    /// The rotation takes the halves of a head.
    #[error("`head_dim` is {head_dim}, expected an even number: rotary embeddings turn pairs")]
    OddHeadDim {
        /// The head's size, given or computed.
        head_dim: usize,
    },
    /// Each size would do, but not all together.
    #[error("the model would have {num_parameters} parameters, the limit is {max}")]
    TooManyParameters {
        /// How many they would be.
        num_parameters: u128,
        /// The limit.
        max: u128,
    },
}

impl ConfigProblem {
    /// Whether a field's value stays unknown, so that nothing can be said of how it fits others.
    pub(crate) fn hides_a_value(&self) -> bool {
        match self {
            Self::NotAnObject { .. } | Self::Type { .. } | Self::Misspelt { .. } => true,
            Self::Size { .. }
            | Self::Number { .. }
            | Self::Unsupported { .. }
            | Self::Disagreement { .. }
            | Self::NotAMultiple { .. }
            | Self::OddHeadDim { .. }
            | Self::TooManyParameters { .. } => false,
        }
    }
}

/// Problems as the end of a message: a single one in its line, several as a list below it.
pub(crate) fn listed<T: std::fmt::Display>(problems: &[T]) -> String {
    match problems {
        [only] => format!(" {only}"),
        several => several.iter().map(|problem| format!("\n  - {problem}")).collect(),
    }
}
