//! What can be wrong with a batch.

/// A batch that does not fit its program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Not every microbatch would have a sample.
    #[error(
        "{name} has {samples} samples along dimension {dim}, but the schedule has {num_microbatches} \
         microbatches and each needs one"
    )]
    TooFewSamples {
        /// `input 0`, `keyword input mask`, `target`, ...
        name: String,
        /// Its length in that dimension.
        samples: usize,
        /// Where the samples lie.
        dim: usize,
        /// Microbatches of the program.
        num_microbatches: usize,
    },
    /// A tensor without the dimension that it is to be cut along.
    #[error(
        "{name} has {rank} dimensions, so it cannot be cut along dimension {dim}; `Input::same` \
         gives all of it to every microbatch"
    )]
    NoDimension {
        /// `input 0`, `keyword input mask`, `target`, ...
        name: String,
        /// How many it has.
        rank: usize,
        /// Where its samples should lie.
        dim: usize,
    },
    /// Inputs and target of different length.
    #[error("{name} has {samples} samples along dimension {dim}, {other} has {expected}")]
    Uneven {
        /// `input 1`, `keyword input mask`, `target`, ...
        name: String,
        /// Its length in that dimension.
        samples: usize,
        /// Where the samples lie.
        dim: usize,
        /// The first one that is cut.
        other: String,
        /// Its length.
        expected: usize,
    },
    /// An input that is cut already, for another number of microbatches.
    #[error("{name} comes in {pieces} pieces, the schedule has {num_microbatches} microbatches")]
    WrongPieces {
        /// `input 0`, `keyword input mask`, `target`, ...
        name: String,
        /// How many there are.
        pieces: usize,
        /// Microbatches of the program.
        num_microbatches: usize,
    },
    /// An input by position, or the target, is no tensor.
    #[error("{name} is {kind}; only a keyword input can be something other than a tensor")]
    NoTensor {
        /// `input 0`, `target`, ...
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A keyword that no stage takes.
    #[error("stage {stage} takes no keyword input `{name}`; it takes {}", list(.known))]
    UnknownKeyword {
        /// The name in the batch.
        name: String,
        /// The stage that does not know it.
        stage: usize,
        /// Those it knows.
        known: Vec<String>,
    },
    /// A batch of another sequence length than was promised.
    #[error(
        "the batch has sequences of {got} tokens, {expected} were promised; call \
         `update_seq_len({got})` first, or promise none"
    )]
    SeqLen {
        /// Dimension 1 of the batch's first input.
        got: usize,
        /// What was promised.
        expected: usize,
    },
    /// A loss scale with which no gradient is a number.
    #[error("the loss scale is {loss_scale}; it has to be finite: a batch without labels has none")]
    LossScale {
        /// The batch's.
        loss_scale: String,
    },
    /// A share of the optimiser's step that is none.
    #[error(
        "the batch's share of the optimiser's step is {share}; it has to be between 0 and 1: 1 over \
         the number of batches that make the step, if they are equal"
    )]
    Share {
        /// The batch's.
        share: String,
    },
    /// The first stage has nothing to compute from.
    #[error("the batch has no input, which the first stage on this rank needs")]
    NoInput,
    /// The last stage has nothing to compare with.
    #[error("the batch has no target, which the loss on this rank needs")]
    NoTarget,
    /// Several things at once.
    #[error("{}", joined(.0))]
    Several(Vec<BatchError>),
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) }
}

fn joined(errors: &[BatchError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
