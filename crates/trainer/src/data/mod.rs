//! Data for training: files on disk become batches of tokens, in an order that can be repeated.
//!
//! A [`Loader`] reads from sources of two kinds. **Tokens** lie one after the other in files: text
//! of which each byte is a token ([`Corpus`]), or numbers ([`TokenFiles`]). They are cut into rows
//! of `seq_len`, any of which can be read at once, wherever it is:
//!
//! ```text
//! corpus        o n e . 0 t w o . 0 s i x . 0    three files, in the order of the patterns
//! row 0         o n e .                          seq_len = 4: what the model reads,
//!   labels        n e . 0                        and the token after each
//! row 1                 0 t w o
//!   labels                t w o .
//! ```
//!
//! Neither the inputs of two rows overlap nor their labels: in an epoch every token but the very
//! first is a label exactly once, apart from a rest at the end that is shorter than a row. Rows go
//! over file ends; in text the [`SEPARATOR`] after each file is how a model can tell.
//!
//! **Samples** are documents, prompts with completions, or conversations ([`Samples`]), each of
//! some length, and say of which of their tokens is learnt. There are three arrangements:
//!
//! ```text
//! samples       a b c 0   d e 0   f g 0          seq_len = 6
//!
//! stream        a b c 0 d e | e→0 ...            one after the other over the ends of rows, as above
//! pad           a b c _ _ _ | d e _ _ _ _ |...   one a row, the rest filled up
//! pack          a b c d e _ | f g _ _ _ _        as many whole ones as fit, in order
//!   positions   0 1 2 0 1 0 | 0 1 0 1 2 3        from which follows what a token may attend to
//! ```
//!
//! In the latter two, labels are the tokens that follow within the sample, never those of another;
//! so its last token is no input. Padding is a document of its own whose labels are -100, as are
//! those of which nothing is to be learnt. No row goes over the end of an epoch.
//!
//! A [`Position`] is where a loader stands, in a few numbers. One that is set to it goes on with
//! exactly the rows that an unbroken run would have seen.

mod batch;
mod corpus;
mod documents;
mod evaluation;
mod find;
mod loader;
#[cfg(test)]
mod memory;
mod mix;
mod open_files;
mod order;
mod permutation;
mod position;
mod problem;
mod random;
mod record;
mod row;
mod sample;
mod sample_rows;
mod source;
mod token_rows;
mod tokens;
mod window;

pub use batch::Batch;
pub use corpus::{Corpus, Document};
pub use documents::{Documents, DocumentsProblem, Encoder, EncoderOptions, format_by_name};
pub use evaluation::{Batches, Evaluation};
pub use loader::{Content, DataContext, Loader, LoaderOptions, LoaderProblem, SourceSize};
pub use position::{Position, Skipped, SourcePosition};
pub use problem::CorpusProblem;
pub(crate) use random::{RandomSize, draw, random_batch, rng};
pub use record::{RecordFault, RecordPlace, RecordProblem};
pub use sample::{Sample, Samples};
pub use tokens::{TokenFiles, TokensProblem};
pub use window::{Reader, Window, WindowShape, feed};

/// How many different tokens text has: one per byte.
pub const VOCAB_SIZE: usize = 256;

/// The token after each file. Text has no zero bytes; a file that has some looks like several.
pub const SEPARATOR: u8 = 0;
