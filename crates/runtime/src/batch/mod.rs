//! A batch and how it is cut into microbatches.

use candle_core::Tensor;

/// What one pipeline step computes.
///
/// Every rank may be given all of it; each takes what it needs: the inputs where the first stage
/// is, the target where the last one is. What a rank does not need can be left out there. If the
/// batch of one rank does not fit, all ranks refuse the step and name that rank.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs of the first stage; the samples lie along dimension 0 of each.
    pub inputs: Vec<Tensor>,
    /// What the loss compares with; samples along dimension 0.
    pub target: Option<Tensor>,
    /// Each microbatch's loss is multiplied by this before its backward and in what is reported.
    ///
    /// With a loss that sums over tokens, one over the number of label tokens of the whole
    /// optimiser step gives their mean, however unevenly they lie in the microbatches.
    pub loss_scale: f64,
}

/// A batch that does not fit its program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Not every microbatch would have a sample.
    #[error(
        "{name} has {samples} samples along dimension 0, but the schedule has {num_microbatches} microbatches and each needs one"
    )]
    TooFewSamples {
        /// `input 0`, `target`, ...
        name: String,
        /// Its length in dimension 0.
        samples: usize,
        /// Microbatches of the program.
        num_microbatches: usize,
    },
    /// A tensor without dimensions.
    #[error("{name} is a scalar; samples lie along dimension 0")]
    Scalar {
        /// `input 0`, `target`, ...
        name: String,
    },
    /// Inputs and target of different length.
    #[error("{name} has {samples} samples along dimension 0, input 0 has {expected}")]
    Uneven {
        /// `input 1`, `target`, ...
        name: String,
        /// Its length in dimension 0.
        samples: usize,
        /// Input 0's length.
        expected: usize,
    },
    /// The first stage has nothing to compute from.
    #[error("the batch has no input, which the first stage on this rank needs")]
    NoInput,
    /// The last stage has nothing to compare with.
    #[error("the batch has no target, which the loss on this rank needs")]
    NoTarget,
}

/// What a rank takes of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    /// It has the first stage.
    pub(crate) inputs: bool,
    /// It has the last stage.
    pub(crate) target: bool,
}

impl Batch {
    /// A batch with one input, whose losses are summed as they are.
    pub fn new(input: Tensor, target: Tensor) -> Self {
        Self { inputs: vec![input], target: Some(target), loss_scale: 1.0 }
    }

    /// The same batch with another [`loss_scale`](Self::loss_scale).
    #[must_use]
    pub fn with_loss_scale(self, loss_scale: f64) -> Self {
        Self { loss_scale, ..self }
    }

    /// Checks that the batch has what a rank needs and can be cut into `num_microbatches`.
    pub(crate) fn check(&self, num_microbatches: usize, needs: Needs) -> Result<(), BatchError> {
        if needs.inputs && self.inputs.is_empty() {
            return Err(BatchError::NoInput);
        }
        if needs.target && self.target.is_none() {
            return Err(BatchError::NoTarget);
        }
        let expected = self.inputs.first().and_then(|first| first.dims().first().copied());
        let named = self.inputs.iter().enumerate().map(|(i, t)| (format!("input {i}"), t));
        for (name, tensor) in named.chain(self.target.iter().map(|t| ("target".to_owned(), t))) {
            let Some(&samples) = tensor.dims().first() else {
                return Err(BatchError::Scalar { name });
            };
            if samples < num_microbatches {
                return Err(BatchError::TooFewSamples { name, samples, num_microbatches });
            }
            if let Some(expected) = expected.filter(|&expected| expected != samples) {
                return Err(BatchError::Uneven { name, samples, expected });
            }
        }
        Ok(())
    }
}

/// Rows of `index` among `num_chunks` near-even chunks of `len`: start and length. The first
/// `len % num_chunks` chunks are one longer, as `torch.tensor_split` has it.
pub(crate) fn chunk(len: usize, num_chunks: usize, index: usize) -> (usize, usize) {
    let (base, longer) = (len / num_chunks, len % num_chunks);
    (index * base + index.min(longer), base + usize::from(index < longer))
}

/// The samples of one microbatch of `tensor`.
pub(crate) fn microbatch(
    tensor: &Tensor,
    num_microbatches: usize,
    index: usize,
) -> candle_core::Result<Tensor> {
    let (start, len) = chunk(tensor.dim(0)?, num_microbatches, index);
    tensor.narrow(0, start, len)?.contiguous()
}

#[cfg(test)]
mod tests;
