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
    /// A field that another one makes necessary.
    #[error("`{key}` is missing")]
    Missing {
        /// The field.
        key: String,
    },
    /// A list of another length than the rest asks for.
    #[error("`{key}` has {len} entries, expected {expected}")]
    Length {
        /// The field.
        key: String,
        /// Its length.
        len: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A number outside of its range.
    #[error("`{key}` is {value:?}, expected {expected}")]
    Number {
        /// The field.
        key: String,
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
    #[error("`{first}` is {first_value}, but `{second}` is {second_value}; keep one of them")]
    Disagreement {
        /// A field.
        first: String,
        /// Its value, as JSON.
        first_value: String,
        /// The other field.
        second: String,
        /// Its value, as JSON.
        second_value: String,
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
    #[error(
        "{dim} numbers of each head would be turned, expected an even number above 0: rotary \
         embeddings turn pairs; see `head_dim` and `partial_rotary_factor`"
    )]
    OddHeadDim {
        /// How many numbers they are.
        dim: usize,
    },
    /// More experts for each token than there are.
    #[error("`num_experts_per_tok` is {per_token}, expected at most {num}, the number of experts")]
    Experts {
        /// How many each token is sent to.
        per_token: usize,
        /// How many there are.
        num: usize,
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
            Self::NotAnObject { .. }
            | Self::Type { .. }
            | Self::Misspelt { .. }
            | Self::Size { .. }
            | Self::Missing { .. } => true,
            Self::Number { .. }
            | Self::Length { .. }
            | Self::Unsupported { .. }
            | Self::Disagreement { .. }
            | Self::NotAMultiple { .. }
            | Self::OddHeadDim { .. }
            | Self::Experts { .. }
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
