//! What can be wrong with data that becomes batches.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use autopipe_config::Arrange;

use crate::Error;
use crate::data::{RecordProblem, Skipped};

/// Why no batch can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderProblem {
    /// There is nothing to read from.
    #[error("no source of data is given; name at least one")]
    NoSource,
    /// A weight by which nothing can be drawn.
    #[error(
        "the weight {weight} of source {source_number} is none; give a number above 0, 1 is usual"
    )]
    Weight {
        /// The source, counted from 1.
        source_number: usize,
        /// Its weight.
        weight: f64,
    },
    /// The weights do not add up to a number.
    #[error(
        "the weights of the sources are too large to be added; only their ratios count, so divide all"
    )]
    Weights,
    /// A part of the data that does not exist.
    #[error("part {index} of {count} of the data does not exist; parts are counted from 0")]
    Shard {
        /// The part asked for.
        index: usize,
        /// Parts there are.
        count: usize,
    },
    /// There is not one whole sequence in the files of tokens.
    #[error(
        "a sequence of {seq_len} tokens needs one more, the files have {num_tokens}; add files or lower \
         `seq_len`"
    )]
    TooFewTokens {
        /// The sequence length asked for.
        seq_len: usize,
        /// Tokens of all files.
        num_tokens: u64,
    },
    /// A token in a file that the model does not know.
    #[error(
        "token {offset} of `{}` is {token}, the model's vocabulary has {vocab_size}; give the files of \
         the model's own tokenizer, or another `token_dtype`",
        path.display()
    )]
    Token {
        /// The file.
        path: PathBuf,
        /// Where in it, in tokens, counted from 0.
        offset: u64,
        /// The number that is there.
        token: i64,
        /// The model's.
        vocab_size: usize,
    },
    /// A token of a sample that the model does not know.
    #[error(
        "sample {number} has the token {token}, the model's vocabulary has {vocab_size}; give the \
         tokenizer of the model"
    )]
    SampleToken {
        /// The sample, counted from 0 in the order of the files.
        number: u64,
        /// The token.
        token: u32,
        /// The model's.
        vocab_size: usize,
    },
    /// The token that fills rows up is none of the model's.
    #[error("the padding token is {pad_token}, the model's vocabulary has {vocab_size}")]
    PadToken {
        /// The token.
        pad_token: u32,
        /// The model's.
        vocab_size: usize,
    },
    /// A sample that does not fit into a row.
    #[error(
        "sample {number} has {num_tokens} tokens, a row of {seq_len} takes {} at most; raise `seq_len`, \
         or choose `too_long: truncate` or `skip`",
        *seq_len as u128 + 1
    )]
    SampleTooLong {
        /// The sample, counted from 0 in the order of the files.
        number: u64,
        /// Its tokens.
        num_tokens: usize,
        /// Tokens of a row.
        seq_len: usize,
    },
    /// Files without any record.
    #[error("source {source_number} has no samples")]
    NoSamples {
        /// The source, counted from 1.
        source_number: usize,
    },
    /// Nothing to learn from in a whole epoch.
    #[error(
        "none of the {num_samples} samples of source {source_number} can be learnt from: {} cannot be \
         read, {} are longer than a row, {} have no label within it{}",
        skipped.bad,
        skipped.too_long,
        skipped.unlabelled,
        first.as_ref().map(|first| format!("; the first that cannot be read: {first}")).unwrap_or_default()
    )]
    EmptyEpoch {
        /// The source, counted from 1.
        source_number: usize,
        /// Its samples.
        num_samples: u64,
        /// Why each was left out.
        skipped: Skipped,
        /// The first that could not be read.
        first: Option<Box<RecordProblem>>,
    },
    /// Rows of tokens in an arrangement of samples.
    #[error(
        "`arrange: {arrange}` is about samples and tokens have none: they are cut into rows as they come; \
         leave it out"
    )]
    ArrangedTokens {
        /// The arrangement asked for.
        arrange: Arrange,
    },
    /// Tokens and text in one source.
    #[error(
        "`{}` holds tokens and `{}` does not; make two sources of them",
        tokens.display(),
        other.display()
    )]
    MixedFormats {
        /// A file of tokens.
        tokens: PathBuf,
        /// A file of something else.
        other: PathBuf,
    },
    /// A type of tokens for files that have none.
    #[error(
        "`token_dtype` is given and the files of source {source_number} are not `.bin`; leave it out"
    )]
    UnusedDtype {
        /// The source, counted from 1.
        source_number: usize,
    },
    /// A position of another number of sources.
    #[error(
        "the position is of {position} sources, there are {sources}; go on with the same sources"
    )]
    NumSources {
        /// Those of the position.
        position: usize,
        /// Those of the loader.
        sources: usize,
    },
    /// A position behind the last row or sample.
    #[error(
        "position {index} is beyond the {len} {what} of an epoch of source {source_number}; its files or \
         `seq_len` have changed since the position was saved"
    )]
    Index {
        /// The source, counted from 1.
        source_number: usize,
        /// Where the position is.
        index: u64,
        /// How many there are.
        len: u64,
        /// Rows or samples.
        what: &'static str,
    },
    /// A position within what has no places within.
    #[error(
        "the position is {offset} tokens into what comes next from source {source_number}, which has \
         {len}; its files, tokenizer or arrangement have changed since the position was saved"
    )]
    Offset {
        /// The source, counted from 1.
        source_number: usize,
        /// How far it is.
        offset: u64,
        /// How far it could be.
        len: u64,
    },
    /// No thread to read in.
    #[error("cannot start the thread that reads the data: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// The thread that reads has ended without a word of its own.
    #[error("the thread that reads the data has panicked; what it said is on standard error")]
    Panicked,
    /// The thread that reads has told everybody the same.
    #[error("{0}")]
    Ahead(Arc<Error>),
}
