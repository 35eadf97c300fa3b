//! What can be wrong with a layout: its text, or what it says of a model.

use std::fmt;

/// A text that is no layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutError {
    /// Where it goes wrong, in characters from 0.
    pub position: usize,
    /// What is wrong there.
    pub message: String,
    text: String,
}

/// How many characters of a long text are shown on each side.
const AROUND: usize = 30;

impl LayoutError {
    pub(super) fn new(text: &str, position: usize, message: impl Into<String>) -> Self {
        let (text, message) = (text.to_owned(), message.into());
        Self { position, message, text }
    }
}

impl fmt::Display for LayoutError {
    /// One clause, then the text with a mark below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, message, text } = self;
        let first = position.saturating_sub(AROUND);
        // Whatever else stands in the text, it is to be one line.
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let part: String = text.chars().skip(first).take(2 * AROUND).map(shown).collect();
        let dots = if first > 0 { "..." } else { "" };
        let space = " ".repeat(dots.len() + position - first);
        write!(f, "character {} of the layout: {message}\n  {dots}{part}\n  {space}^", position + 1)
    }
}

impl std::error::Error for LayoutError {}

/// One reason why a layout does not fit a model. Stages are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutProblem {
    /// A stage without a letter.
    #[error("stage {stage} is empty, and here each stage computes something; leave one `|` out")]
    Empty {
        /// The stage.
        stage: usize,
    },
    /// Not one embedding at the beginning.
    #[error("it has {count} `E`, it needs exactly 1, in the first stage")]
    Embedding {
        /// How many it has.
        count: usize,
    },
    /// An embedding that is not at the beginning.
    #[error("`E` is in stage {stage}, it has to be in the first")]
    EmbeddingStage {
        /// The stage.
        stage: usize,
    },
    /// Not one loss at the end.
    #[error("it has {count} `L`, it needs exactly 1, in the last stage")]
    Loss {
        /// How many it has.
        count: usize,
    },
    /// A loss that is not at the end.
    #[error("`L` is in stage {stage}, it has to be in the last, which is {last}")]
    LossStage {
        /// The stage.
        stage: usize,
        /// The last stage.
        last: usize,
    },
    /// Too many layers or too few.
    #[error("it has {in_layout} `t`, the model has {in_model} layers")]
    Layers {
        /// How many the layout has.
        in_layout: usize,
        /// How many the model has.
        in_model: usize,
    },
    /// Too many modules for multi-token prediction or too few.
    #[error(
        "it has {in_layout} `m`, the model has {in_model} modules for multi-token prediction \
         (with `mtp` in their names)"
    )]
    Predictions {
        /// How many the layout has.
        in_layout: usize,
        /// How many the model has.
        in_model: usize,
    },
}
