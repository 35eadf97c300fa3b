//! Text as training data: files on disk become batches of bytes, in an order that can be repeated.
//!
//! A token is a byte, so there are [`VOCAB_SIZE`] of them and no tokenizer. The files stand one
//! after the other with [`SEPARATOR`] after each; the whole is a row of tokens that is cut into
//! sequences:
//!
//! ```text
//! corpus        o n e . 0 t w o . 0 s i x . 0    three files, in the order of the patterns
//! sequence 0    o n e .                          seq_len = 4: what the model reads,
//!   labels        n e . 0                        and the token after each
//! sequence 1            0 t w o
//!   labels                t w o .
//! ```
//!
//! Neither the inputs of two sequences overlap nor their labels: in an epoch every token but the very
//! first is a label exactly once, apart from a rest at the end that is shorter than a sequence.
//! Sequences go over file ends; the separator is how a model can tell.

mod batch;
mod corpus;
mod documents;
mod find;
mod loader;
mod open_files;
mod permutation;
mod problem;
mod random;
mod record;
mod sample;

pub use batch::Batch;
pub use corpus::{Corpus, Document};
pub use documents::{Documents, DocumentsProblem, Encoder, EncoderOptions};
pub use loader::{Loader, Position};
pub use problem::CorpusProblem;
pub(crate) use random::{RandomSize, draw, random_batch, rng};
pub use record::{RecordFault, RecordPlace, RecordProblem};
pub use sample::{Sample, Samples};

/// How many different tokens there are: one per byte.
pub const VOCAB_SIZE: usize = 256;

/// The token after each file. Text has no zero bytes; a file that has some looks like several.
pub const SEPARATOR: u8 = 0;
