//! What can be wrong with a batch.

use std::io;
use std::path::PathBuf;

/// One thing that is wrong with a batch. Rows and columns are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchProblem {
    /// The file cannot be read.
    #[error("cannot read the batch `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{}` is no safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: candle_core::Error,
    },
    /// Tensors are not in the file.
    #[error(
        "`{}` has no `{names}`; a batch has `input_ids` and `labels`, this file has {has}",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// Which.
        names: String,
        /// The tensors that are there, with their types and shapes.
        has: String,
    },
    /// A tensor of numbers that are not whole.
    #[error("`{name}` of the batch is of {dtype}; whole numbers are needed, such as I64")]
    DType {
        /// The tensor.
        name: &'static str,
        /// What it is of.
        dtype: String,
    },
    /// A tensor that is no table.
    #[error("`{name}` of the batch has the shape {dims:?}; [batch, sequence] is needed")]
    Shape {
        /// The tensor.
        name: &'static str,
        /// Its shape.
        dims: Vec<usize>,
    },
    /// Labels for other tokens.
    #[error(
        "`input_ids` of the batch has the shape {input_ids:?} and `labels` {labels:?}; each token \
         needs a label, -100 if it has none"
    )]
    Shapes {
        /// The tokens'.
        input_ids: Vec<usize>,
        /// The labels'.
        labels: Vec<usize>,
    },
    /// No tokens.
    #[error("a batch of {batch_size} samples of {seq_len} tokens is empty")]
    Empty {
        /// Rows.
        batch_size: usize,
        /// Tokens of each.
        seq_len: usize,
    },
    /// The rows cannot be shared out evenly.
    #[error(
        "{num_microbatches} microbatches cannot share a batch of {batch_size} samples evenly; {}",
        way_out(*batch_size, *num_microbatches)
    )]
    Uneven {
        /// Rows.
        batch_size: usize,
        /// Microbatches.
        num_microbatches: usize,
    },
    /// A token that the model has no embedding for.
    #[error(
        "token {id} in row {}, column {} of the batch{} is not in the model's vocabulary, 0 to {}",
        place.0, place.1, others(*num_others), vocab_size.saturating_sub(1)
    )]
    Token {
        /// The token.
        id: i64,
        /// Its row and column.
        place: (usize, usize),
        /// How many more there are.
        num_others: usize,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// A label that is no token.
    #[error(
        "label {label} in row {}, column {} of the batch{} is neither in the model's vocabulary, 0 to \
         {}, nor -100 for none",
        place.0, place.1, others(*num_others), vocab_size.saturating_sub(1)
    )]
    Label {
        /// The label.
        label: i64,
        /// Its row and column.
        place: (usize, usize),
        /// How many more there are.
        num_others: usize,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// Nothing to compute a loss of.
    #[error("all labels of the batch are -100, so that none counts; at least one has to")]
    NoLabels,
}

fn others(num: usize) -> String {
    if num == 0 { String::new() } else { format!(" (and {num} more)") }
}

/// The numbers of microbatches that are possible, if they are few; and what to change otherwise.
fn way_out(batch_size: usize, num_microbatches: usize) -> String {
    const MOST: usize = 8;
    let divisors: Vec<String> = (1..=batch_size.min(1 << 16))
        .filter(|num| batch_size.is_multiple_of(*num))
        .take(MOST + 1)
        .map(|num| num.to_string())
        .collect();
    match divisors.split_last() {
        Some((last, others)) if !others.is_empty() && divisors.len() <= MOST => {
            format!("{} or {last} can", others.join(", "))
        }
        _ if num_microbatches == 0 => "there is at least 1".to_owned(),
        _ => format!("take a multiple of {num_microbatches} samples"),
    }
}
