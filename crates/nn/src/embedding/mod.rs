//! The embedding: one row of the weight per token id.

mod lookup;

#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use crate::{Error, Parameter};
use lookup::Lookup;

/// The embedding `y[i] = W[id[i]]`, the weight of shape `[vocabulary, hidden]`.
///
/// The backward, all of which can wait, adds each row of the output's gradient to its token's row;
/// that of the padding, if there is one ([`Self::with_padding`]), gets none.
#[derive(Clone, Debug)]
pub struct Embedding {
    weight: Parameter,
    /// The row without a gradient.
    padding: Option<usize>,
}

impl Embedding {
    /// A layer from a weight `[vocabulary, hidden]`.
    ///
    /// # Errors
    /// If the weight is not a matrix.
    pub fn new(weight: Parameter) -> Result<Self> {
        if weight.shape().rank() != 2 {
            return Err(Error::WeightShape {
                layer: "embedding",
                name: weight.name().to_owned(),
                expected: "[vocabulary, hidden]".to_owned(),
                actual: weight.shape().clone(),
            }
            .into());
        }
        Ok(Self { weight, padding: None })
    }

    /// Keeps the gradient of this layer from the row `id`, as the `padding_idx` of torch does. What
    /// others add to it, such as a tied head, it still gets.
    ///
    /// # Errors
    /// If the vocabulary has no such row.
    pub fn with_padding(self, id: usize) -> Result<Self> {
        let (vocab_size, _) = self.weight.shape().dims2()?;
        let id = check(i64::try_from(id).unwrap_or(i64::MAX), vocab_size)?;
        Ok(Self { padding: Some(id), ..self })
    }

    /// Maps ids (u32 or i64) of any shape `[..]` to `[.., hidden]`.
    ///
    /// The ids are checked on the host: on another device this waits for them.
    ///
    /// # Errors
    /// If an id is not in the vocabulary; the message names it.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (vocab_size, hidden) = self.weight.value().dims2()?;
        let flat = ids.flatten_all()?;
        let rows = match ids.dtype() {
            DType::U32 => {
                flat.to_vec1::<u32>()?.into_iter().map(|id| check(id.into(), vocab_size)).collect()
            }
            DType::I64 => {
                flat.to_vec1::<i64>()?.into_iter().map(|id| check(id, vocab_size)).collect()
            }
            actual => {
                Err(Error::InputDType { layer: "embedding", expected: "ids of u32 or i64", actual })
            }
        }?;
        let lookup = Lookup { weight: self.weight.clone(), rows, padding: self.padding };
        let y = self.weight.value().apply_op2(&flat.contiguous()?, lookup)?;
        y.reshape(ids.shape().clone().extend(&[hidden]))
    }

    /// The weight, of shape `[vocabulary, hidden]`.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }
}

fn check(id: i64, vocab_size: usize) -> std::result::Result<usize, Error> {
    usize::try_from(id)
        .ok()
        .filter(|&row| row < vocab_size)
        .ok_or(Error::TokenOutOfRange { id, vocab_size })
}
