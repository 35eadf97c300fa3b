//! What a training step computes with.

use candle_core::Tensor;

/// Sequences of tokens and, for each token, the one that follows it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tokens that the model reads: `[batch_size, seq_len]`, u32.
    pub input_ids: Tensor,
    /// The next token after each, aligned with the logits so that a loss shifts nothing:
    /// `[batch_size, seq_len]`, i64.
    pub labels: Tensor,
}

impl Batch {
    /// How many labels there are, which is by how many a loss that sums over them is divided. All
    /// of them count: text has no padding.
    pub fn num_label_tokens(&self) -> usize {
        self.labels.elem_count()
    }
}
