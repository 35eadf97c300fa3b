//! The batch that both runs compute: read from a file or drawn, and checked against the model.

mod problem;
mod read;

use std::path::{Path, PathBuf};

use autopipe_models::AutoModel;
use autopipe_nn::IGNORE_INDEX;
use candle_core::{Device, Tensor};

use crate::Error;
use crate::data::{Batch, RandomSize, draw, random_batch, rng};
pub use problem::BatchProblem;

/// Where a batch comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSource {
    /// A safetensors file with `input_ids` and `labels`, whole numbers of shape `[batch, sequence]`.
    /// The labels are aligned with the logits: each is the token after the one at its place, or -100
    /// for none.
    File(PathBuf),
    /// Random tokens. Where each row's labels begin is random as well, so that microbatches do not
    /// count the same number of them.
    Random {
        /// Rows; `None` for as many as there are microbatches.
        batch_size: Option<usize>,
        /// Tokens of each row; `None` for 32, or the model's longest sequence if that is shorter.
        seq_len: Option<usize>,
    },
}

/// Tokens of a row of a random batch, unless told otherwise.
const SEQ_LEN: usize = 32;

/// A batch that the model can compute and the schedule can cut.
pub(super) struct Checked {
    /// `[batch_size, seq_len]`, i64.
    pub(super) input_ids: Tensor,
    /// `[batch_size, seq_len]`, i64.
    pub(super) labels: Tensor,
    pub(super) batch_size: usize,
    pub(super) seq_len: usize,
    /// Labels that count, at least 1.
    pub(super) num_labels: usize,
    /// Where it was read.
    pub(super) file: Option<PathBuf>,
}

impl Checked {
    /// What the sum of the cross entropy is divided by.
    pub(super) fn num_labels_f64(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^53 labels")]
        let num_labels = self.num_labels as f64;
        num_labels
    }
}

/// Reads or draws the batch.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn batch(
    source: &BatchSource,
    seed: u64,
    model: &AutoModel,
    num_microbatches: usize,
) -> Result<Checked, Vec<Error>> {
    let wrapped = |problems: Vec<BatchProblem>| -> Vec<Error> {
        problems.into_iter().map(Error::Batch).collect()
    };
    let one = |error| vec![error];
    let (rows, file) = match source {
        BatchSource::File(path) => (read::read(path).map_err(wrapped)?, Some(path.as_path())),
        BatchSource::Random { batch_size, seq_len } => {
            let size = RandomSize {
                vocab_size: model.vocab_size(),
                batch_size: batch_size.unwrap_or(num_microbatches),
                seq_len: seq_len.unwrap_or(SEQ_LEN.min(model.max_position_embeddings())),
            };
            // A long row is refused before it is drawn.
            let problems = sizes(size.batch_size, size.seq_len, num_microbatches);
            if !problems.is_empty() {
                return Err(wrapped(problems));
            }
            (drawn(size, seed).map_err(one)?, None)
        }
    };
    let problems = rows.problems(model, num_microbatches);
    if problems.is_empty() {
        rows.checked(file).map_err(|error| one(error.into()))
    } else {
        Err(wrapped(problems))
    }
}

/// Tokens and labels as numbers, one row after the other.
pub(super) struct Rows {
    batch_size: usize,
    seq_len: usize,
    input_ids: Vec<i64>,
    labels: Vec<i64>,
}

impl Rows {
    fn problems(&self, model: &AutoModel, num_microbatches: usize) -> Vec<BatchProblem> {
        let Self { batch_size, seq_len, ref input_ids, ref labels } = *self;
        let vocab_size = model.vocab_size();
        let mut problems = sizes(batch_size, seq_len, num_microbatches);
        let is_token = |id: &i64| usize::try_from(*id).is_ok_and(|id| id < vocab_size);
        let place = |index: usize| (index / seq_len.max(1), index % seq_len.max(1));
        let mut wrong = input_ids.iter().enumerate().filter(|(_, id)| !is_token(id));
        if let Some((index, &id)) = wrong.next() {
            let (place, num_others) = (place(index), wrong.count());
            problems.push(BatchProblem::Token { id, place, num_others, vocab_size });
        }
        let counts = || labels.iter().enumerate().filter(|(_, label)| **label != IGNORE_INDEX);
        let mut wrong = counts().filter(|(_, label)| !is_token(label));
        if let Some((index, &label)) = wrong.next() {
            let (place, num_others) = (place(index), wrong.count());
            problems.push(BatchProblem::Label { label, place, num_others, vocab_size });
        }
        if counts().next().is_none() && !labels.is_empty() {
            problems.push(BatchProblem::NoLabels);
        }
        problems
    }

    fn checked(self, file: Option<&Path>) -> candle_core::Result<Checked> {
        let Self { batch_size, seq_len, input_ids, labels } = self;
        let shape = (batch_size, seq_len);
        Ok(Checked {
            num_labels: labels.iter().filter(|label| **label != IGNORE_INDEX).count(),
            input_ids: Tensor::from_vec(input_ids, shape, &Device::Cpu)?,
            labels: Tensor::from_vec(labels, shape, &Device::Cpu)?,
            batch_size,
            seq_len,
            file: file.map(Path::to_owned),
        })
    }
}

fn sizes(batch_size: usize, seq_len: usize, num_microbatches: usize) -> Vec<BatchProblem> {
    let mut problems = Vec::new();
    if batch_size == 0 || seq_len == 0 {
        problems.push(BatchProblem::Empty { batch_size, seq_len });
    } else if num_microbatches == 0 || !batch_size.is_multiple_of(num_microbatches) {
        problems.push(BatchProblem::Uneven { batch_size, num_microbatches });
    }
    problems
}

/// Random rows. The labels before a random place of each row do not count.
fn drawn(size: RandomSize, seed: u64) -> Result<Rows, Error> {
    let RandomSize { batch_size, seq_len, .. } = size;
    let Batch { input_ids, labels, .. } = random_batch(size, seed, 0)?;
    let input_ids: Vec<u32> = input_ids.flatten_all()?.to_vec1()?;
    let mut labels: Vec<i64> = labels.flatten_all()?.to_vec1()?;
    let mut places = rng(seed, 1);
    for row in labels.chunks_mut(seq_len.max(1)) {
        let first = usize::try_from(draw(&mut places, row.len())).unwrap_or(0);
        // Below the row's length: its last label always counts.
        row[..first].fill(IGNORE_INDEX);
    }
    let input_ids = input_ids.into_iter().map(i64::from).collect();
    Ok(Rows { batch_size, seq_len, input_ids, labels })
}

#[cfg(test)]
mod tests;
