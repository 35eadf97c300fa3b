//! Hands out the sequences of a corpus, batch by batch, and knows where it stands.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::permutation::Permutation;
use super::{Batch, Corpus};
use crate::Error;

/// Where in the data a run stands: all it takes to go on with the sequences that an unbroken run
/// would have seen.
///
/// It means the same text, sequence length and seed; those are the recipe's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Times the whole corpus has been handed out.
    pub epoch: u64,
    /// Sequences of this epoch that have been handed out.
    pub index: u64,
}

/// The sequences of a corpus in shuffled order, without end.
///
/// An epoch is every sequence once, in an order of its own that depends on seed and epoch only. A
/// batch in which an epoch ends goes on with the next one, so that all batches have the same size.
/// Ranks that train on the same batch each have a clone of one loader and see the same.
#[derive(Clone, Debug)]
pub struct Loader {
    corpus: Corpus,
    /// At least 1, and less than the corpus has tokens.
    seq_len: usize,
    seed: u64,
    /// At least 1.
    num_sequences: u64,
    /// Its index is less than `num_sequences`.
    position: Position,
    /// Of the position's epoch.
    order: Permutation,
}

impl Loader {
    /// Starts at the beginning; sequences are `seq_len` tokens long.
    ///
    /// # Errors
    /// If the corpus has not one sequence of that length.
    pub fn new(corpus: Corpus, seq_len: usize, seed: u64) -> Result<Self, Error> {
        if seq_len == 0 {
            return Err(Error::Zero { name: "seq_len" });
        }
        let num_tokens = corpus.num_tokens();
        // The last label of a sequence is the first input of the next: one token more than inputs.
        let num_sequences = num_tokens.saturating_sub(1) / seq_len as u64;
        if num_sequences == 0 {
            return Err(Error::CorpusTooShort { seq_len: seq_len as u64, num_tokens });
        }
        let position = Position::default();
        let order = Permutation::new(num_sequences, seed, position.epoch);
        Ok(Self { corpus, seq_len, seed, num_sequences, position, order })
    }

    /// Goes to where a loader of the same corpus, sequence length and seed stood.
    ///
    /// # Errors
    /// If an epoch has fewer sequences than that.
    pub fn seek(&mut self, position: Position) -> Result<(), Error> {
        if position.index >= self.num_sequences {
            return Err(Error::Position {
                index: position.index,
                num_sequences: self.num_sequences,
            });
        }
        self.go_to(position);
        Ok(())
    }

    /// Where the next batch starts.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Sequences per epoch, at least 1.
    pub fn num_sequences(&self) -> u64 {
        self.num_sequences
    }

    /// Tokens per sequence.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// The text that the sequences come from.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The next `batch_size` sequences, on `device`.
    ///
    /// # Errors
    /// If a file cannot be read or no longer has the text, or memory is short. The loader then stays
    /// where it was.
    pub fn next_batch(&mut self, batch_size: usize, device: &Device) -> Result<Batch, Error> {
        if batch_size == 0 {
            return Err(Error::Zero { name: "batch_size" });
        }
        let before = self.position;
        let batch = self.read_batch(batch_size, device);
        if batch.is_err() {
            self.go_to(before);
        }
        batch
    }

    fn read_batch(&mut self, batch_size: usize, device: &Device) -> Result<Batch, Error> {
        let seq_len = self.seq_len;
        let too_large = || Error::BatchTooLarge { batch_size, seq_len };
        let num_tokens = batch_size.checked_mul(seq_len).ok_or_else(too_large)?;
        let mut input_ids: Vec<u32> = Vec::new();
        let mut labels: Vec<i64> = Vec::new();
        input_ids.try_reserve_exact(num_tokens).map_err(|_| too_large())?;
        labels.try_reserve_exact(num_tokens).map_err(|_| too_large())?;

        let mut tokens = vec![0; seq_len + 1];
        for _ in 0..batch_size {
            let sequence = self.order.at(self.position.index);
            self.corpus.read(sequence * seq_len as u64, &mut tokens)?;
            input_ids.extend(tokens[..seq_len].iter().map(|&token| u32::from(token)));
            labels.extend(tokens[1..].iter().map(|&token| i64::from(token)));
            self.advance();
        }
        Ok(Batch {
            input_ids: Tensor::from_vec(input_ids, (batch_size, seq_len), device)?,
            labels: Tensor::from_vec(labels, (batch_size, seq_len), device)?,
        })
    }

    fn advance(&mut self) {
        let Position { epoch, index } = self.position;
        if index + 1 < self.num_sequences {
            self.position.index += 1;
        } else {
            // Nobody trains for 2^64 epochs, but a position read from a file may be there.
            self.go_to(Position { epoch: epoch.wrapping_add(1), index: 0 });
        }
    }

    /// Orders differ by epoch, so the two change together.
    fn go_to(&mut self, position: Position) {
        if position.epoch != self.position.epoch {
            self.order = Permutation::new(self.num_sequences, self.seed, position.epoch);
        }
        self.position = position;
    }
}

#[cfg(test)]
mod tests;
