//! What can be wrong with a prompt, with how tokens are drawn, and with what a model makes of them.

use std::io;
use std::path::PathBuf;

/// Why nothing is generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateProblem {
    /// Nothing to go on with.
    #[error("the prompt has no token to go on with; give it some text")]
    EmptyPrompt,
    /// More tokens than positions.
    #[error(
        "the prompt has {num_tokens} tokens, the model's max_position_embeddings is {max}; shorten it"
    )]
    LongPrompt {
        /// The prompt's.
        num_tokens: usize,
        /// The model's limit.
        max: usize,
    },
    /// The tokenizer is of another model.
    #[error(
        "the prompt's token {token} is not in the model's vocabulary of {vocab_size}; its \
         tokenizer.json is another model's"
    )]
    Token {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// A file that tells how texts end cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that tells how texts end is no JSON.
    #[error("`{}` is no JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops to be.
        source: serde_json::Error,
    },
    /// The end of a text is no token.
    #[error("`eos_token_id` of `{}` is {value}; it is a token, or a list of them", path.display())]
    EndToken {
        /// The file.
        path: PathBuf,
        /// What it says.
        value: String,
    },
    /// Logits among which there is no order.
    #[error(
        "the model's logit of token {token} is {logit}, so that no token can be chosen; look at its \
         weights"
    )]
    Logit {
        /// The token.
        token: usize,
        /// What the model computed.
        logit: f32,
    },
}

/// A number by which nothing can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingProblem {
    /// Not above zero.
    #[error(
        "a temperature of {temperature} is none; it is above 0, or left out for the likeliest token"
    )]
    Temperature {
        /// The number given.
        temperature: f64,
    },
    /// No token is left.
    #[error("the 0 likeliest tokens (`top_k`) are none to draw from; the smallest number is 1")]
    TopK,
    /// No share of anything.
    #[error("a probability (`top_p`) of {top_p} is out of range; it is above 0 and at most 1")]
    TopP {
        /// The number given.
        top_p: f64,
    },
}
