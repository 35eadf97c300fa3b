//! The same rows again and again: what a model is evaluated on.

use super::{Batch, Loader, Skipped};
use crate::Error;

/// Every row of some data once, as batches of one size, as often as it is asked for.
///
/// Of several sources, rows come in the order in which they would be trained on, until all have
/// ended; weights so count if not all of them are looked at.
#[derive(Clone, Debug)]
pub struct Evaluation {
    loader: Loader,
    batch_size: usize,
    max_batches: Option<usize>,
}

impl Evaluation {
    /// Batches of `batch_size` rows, for each part of a loader that has parts, and at most `max_batches`
    /// of them.
    ///
    /// # Errors
    /// If there would be no batch.
    pub fn new(
        loader: Loader,
        batch_size: usize,
        max_batches: Option<usize>,
    ) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::Zero { name: "batch_size" });
        }
        if max_batches == Some(0) {
            return Err(Error::Zero { name: "max_batches" });
        }
        Ok(Self { loader, batch_size, max_batches })
    }

    /// One part of the batches, of a loader that has no parts: where there is a limit, all parts
    /// together have as many batches, rounded up to the next that are shared out evenly.
    ///
    /// # Errors
    /// If there is no such part.
    pub fn with_shard(self, index: usize, count: usize) -> Result<Self, Error> {
        let loader = self.loader.with_shard(index, count)?;
        let max_batches = self.max_batches.map(|max| max.div_ceil(count));
        Ok(Self { loader, max_batches, ..self })
    }

    /// All batches from the first one on, whatever has been read before. The last is filled up with
    /// rows without labels; all parts of a loader have as many. After an error there are no more.
    pub fn batches(&mut self) -> Batches<'_> {
        let start = self.loader.start();
        self.loader.go_to(&start);
        let has_ended = vec![false; start.sources.len()];
        let rest = self.max_batches.unwrap_or(usize::MAX);
        Batches { evaluation: self, has_ended, rest }
    }

    /// What was left out of the batches that were asked for last.
    pub fn skipped(&self) -> Skipped {
        self.loader.position().skipped()
    }
}

/// The batches of one evaluation.
#[derive(Debug)]
pub struct Batches<'a> {
    evaluation: &'a mut Evaluation,
    /// For each source, whether it has.
    has_ended: Vec<bool>,
    /// Batches that may still come.
    rest: usize,
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.checked_sub(1)?;
        let Self { evaluation, has_ended, rest } = self;
        let next = |loader: &mut Loader, fate| loader.next_row_of_pass(has_ended, fate);
        let batch = evaluation.loader.read_batch(evaluation.batch_size, next).transpose();
        if !matches!(batch, Some(Ok(_))) {
            *rest = 0;
        }
        batch
    }
}

#[cfg(test)]
mod tests;
