//! One document as tokens, and where such come from.

use crate::Error;

/// The tokens of one document, prompt with completion, or conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// All of its tokens, with those that begin and end it.
    pub tokens: Vec<u32>,
    /// For each token, whether the model is to learn to predict it. The first is never predicted:
    /// nothing comes before it.
    pub is_label: Vec<bool>,
}

/// Samples by number, read when they are asked for.
pub trait Samples: std::fmt::Debug + Send + Sync {
    /// How many there are.
    fn num_samples(&self) -> u64;

    /// The sample of a number below [`num_samples`](Self::num_samples), the same each time.
    ///
    /// # Errors
    /// [`Error::Record`] if the sample itself is at fault, so that others can still be read; any other
    /// error if its file cannot be read.
    fn read(&mut self, number: u64) -> Result<Sample, Error>;

    /// Another reader of the same samples.
    fn another(&self) -> Box<dyn Samples>;
}
