//! What can be wrong with the positions of packed rows.

use candle_core::DType;

/// What is wrong with the keyword input `position_ids`, which a stage's forward refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionProblem {
    /// There is not one for each token.
    #[error(
        "`position_ids` have shape {actual:?}, the microbatch is [{batch}, {seq_len}]; give one position for each token, cut with the batch along dimension 0"
    )]
    Shape {
        /// The shape given.
        actual: Vec<usize>,
        /// How many rows the microbatch has.
        batch: usize,
        /// How many tokens each row has.
        seq_len: usize,
    },
    /// They are not whole numbers.
    #[error("`position_ids` are {dtype:?}, expected U32 or I64")]
    Type {
        /// The dtype given.
        dtype: DType,
    },
    /// A row begins in the midst of a document.
    #[error(
        "`position_ids` of row {row} begin with {position}, expected 0, where a document begins"
    )]
    Start {
        /// The row of the microbatch.
        row: usize,
        /// Its first position.
        position: i64,
    },
    /// A document that goes on elsewhere.
    #[error(
        "`position_ids` of row {row} have {position} at token {token}, expected {next}, or 0 where another document begins"
    )]
    Jump {
        /// The row of the microbatch.
        row: usize,
        /// The token of that row, counted from 0.
        token: usize,
        /// Its position.
        position: i64,
        /// The position after the token before.
        next: i64,
    },
    /// A document that is longer than the model was made for.
    #[error(
        "`position_ids` of row {row} reach {position} at token {token}, the model's max_position_embeddings is {max}; cut the document"
    )]
    TooLong {
        /// The row of the microbatch.
        row: usize,
        /// The token of that row, counted from 0.
        token: usize,
        /// Its position.
        position: i64,
        /// How many positions there are.
        max: i64,
    },
}

impl From<PositionProblem> for candle_core::Error {
    fn from(problem: PositionProblem) -> Self {
        // Not `wrap`: it is the caller's to correct, a backtrace would hide the message.
        Self::Wrapped(Box::new(problem))
    }
}
