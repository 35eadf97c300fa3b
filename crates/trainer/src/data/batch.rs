//! What a training step computes with.

use autopipe_nn::IGNORE_INDEX;
use candle_core::{Device, Tensor};

use super::row::Row;
use crate::Error;

/// Sequences of tokens and, for each token, the one that follows it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tokens that the model reads: `[batch_size, seq_len]`, u32.
    pub input_ids: Tensor,
    /// The next token after each, aligned with the logits so that a loss shifts nothing, and -100
    /// where none is to be learnt: `[batch_size, seq_len]`, i64.
    pub labels: Tensor,
    /// In rows that hold several documents, the place of each token in its own, from which follows
    /// what it may attend to: `[batch_size, seq_len]`, u32.
    pub position_ids: Option<Tensor>,
    num_label_tokens: usize,
    num_tokens: usize,
}

impl Batch {
    /// How many labels count, which is by how many a loss that sums over them is divided.
    pub fn num_label_tokens(&self) -> usize {
        self.num_label_tokens
    }

    /// How many of the tokens that the model reads are no padding.
    pub fn num_tokens(&self) -> usize {
        self.num_tokens
    }
}

/// The numbers of a batch, row by row.
#[derive(Debug)]
pub(super) struct BatchRows {
    batch_size: usize,
    seq_len: usize,
    input_ids: Vec<u32>,
    labels: Vec<i64>,
    position_ids: Option<Vec<u32>>,
    num_tokens: usize,
}

impl BatchRows {
    /// Room for a batch, with positions if `has_positions`.
    pub(super) fn new(
        batch_size: usize,
        seq_len: usize,
        has_positions: bool,
    ) -> Result<Self, Error> {
        let too_large = || Error::BatchTooLarge { batch_size, seq_len };
        let num_tokens = batch_size.checked_mul(seq_len).ok_or_else(too_large)?;
        let (mut input_ids, mut labels, mut position_ids) = (Vec::new(), Vec::new(), Vec::new());
        input_ids.try_reserve_exact(num_tokens).map_err(|_| too_large())?;
        labels.try_reserve_exact(num_tokens).map_err(|_| too_large())?;
        if has_positions {
            position_ids.try_reserve_exact(num_tokens).map_err(|_| too_large())?;
        }
        let position_ids = has_positions.then_some(position_ids);
        Ok(Self { batch_size, seq_len, input_ids, labels, position_ids, num_tokens: 0 })
    }

    /// Adds a row, filled up with `pad_token` where it is shorter than the others.
    pub(super) fn push(&mut self, row: &mut Row, pad_token: u32) {
        self.num_tokens += row.num_tokens();
        row.fill(self.seq_len, pad_token);
        self.input_ids.extend(row.input_ids());
        self.labels.extend(row.labels());
        if let Some(position_ids) = &mut self.position_ids {
            position_ids.extend(row.position_ids());
        }
    }

    /// The batch of all rows that were added, which are as many as there was to be room for.
    pub(super) fn into_batch(self) -> Result<Batch, Error> {
        let shape = (self.batch_size, self.seq_len);
        let device = &Device::Cpu;
        let num_label_tokens = self.labels.iter().filter(|&&label| label != IGNORE_INDEX).count();
        let position_ids = self.position_ids;
        Ok(Batch {
            input_ids: Tensor::from_vec(self.input_ids, shape, device)?,
            labels: Tensor::from_vec(self.labels, shape, device)?,
            position_ids: position_ids
                .map(|ids| Tensor::from_vec(ids, shape, device))
                .transpose()?,
            num_label_tokens,
            num_tokens: self.num_tokens,
        })
    }
}
