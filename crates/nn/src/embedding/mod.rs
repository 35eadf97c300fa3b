//! The embedding: one row of the weight per token id.

mod lookup;
mod on_gpu;
mod own;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::{Cut, Error, Parameter, TensorParallelGroup, leave};
use lookup::Lookup;
use own::Own;

/// The embedding `y[i] = W[id[i]]`, the weight of shape `[vocabulary, hidden]`.
///
/// The backward, all of which can wait, adds each row of the output's gradient to its token's row;
/// that of the padding, if there is one ([`Self::with_padding`]), gets none.
#[derive(Clone, Debug)]
pub struct Embedding {
    weight: Parameter,
    /// The row without a gradient.
    padding: Option<usize>,
    among: Option<Among>,
}

/// The ranks that have a part of the vocabulary each.
#[derive(Clone, Debug)]
struct Among {
    group: Arc<dyn TensorParallelGroup>,
    vocab_size: usize,
    /// The ids of this rank's rows.
    own: Range<usize>,
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
        Ok(Self { weight, padding: None, among: None })
    }

    /// A layer of which each rank of a group has some rows, as the weight's [`cut`](Parameter::cut)
    /// says. Ids are those of the whole vocabulary: each rank looks up what it has, and the results
    /// are summed.
    ///
    /// # Errors
    /// If the weight is not a matrix cut along its rows, or a rank has none.
    pub fn among(weight: Parameter, group: &Arc<dyn TensorParallelGroup>) -> Result<Self> {
        let has_rows = |cut: &&Cut| cut.dim() == 0 && cut.whole_shape().dims()[0] >= cut.count();
        let cut = weight.cut().filter(has_rows).filter(|cut| cut.ranges().count() == 1);
        let among = cut.and_then(|cut| {
            let (group, vocab_size) = (Arc::clone(group), cut.whole_shape().dims()[0]);
            cut.ranges().next().map(|own| Among { group, vocab_size, own })
        });
        match among {
            Some(among) => Ok(Self { among: Some(among), ..Self::new(weight)? }),
            None => Err(Error::EmbeddingCut { parameter: weight.name().to_owned() }.into()),
        }
    }

    /// Keeps the gradient of this layer from the row `id`, as the `padding_idx` of torch does. What
    /// others add to it, such as a tied head, it still gets.
    ///
    /// # Errors
    /// If the vocabulary has no such row.
    pub fn with_padding(self, id: usize) -> Result<Self> {
        let id = check(i64::try_from(id).unwrap_or(i64::MAX), self.vocab_size()?)?;
        let padding = match &self.among {
            None => Some(id),
            Some(among) => among.own.contains(&id).then(|| id - among.own.start),
        };
        Ok(Self { padding, ..self })
    }

    /// How many ids there are.
    fn vocab_size(&self) -> Result<usize> {
        match &self.among {
            Some(among) => Ok(among.vocab_size),
            None => Ok(self.weight.shape().dims2()?.0),
        }
    }

    /// Maps ids (u32 or i64) of any shape `[..]` to `[.., hidden]`.
    ///
    /// The ids are checked on the host, and are best there, wherever the weight is: those that are on
    /// another device this waits for.
    ///
    /// # Errors
    /// If an id is not in the vocabulary; the message names it. Among ranks, whatever their group says.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (vocab_size, (_, hidden)) = (self.vocab_size()?, self.weight.value().dims2()?);
        let flat = ids.flatten_all()?;
        let rows: Vec<usize> = match ids.dtype() {
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
        let y = match &self.among {
            None => {
                let ids = flat.contiguous()?.to_device(self.weight.device())?;
                self.lookup(&ids, rows.into_iter().map(Some))?
            }
            Some(among) => {
                let own = Own::of(&rows, &among.own);
                let ids = own.ids(self.weight.device())?;
                own.only(&self.lookup(&ids, own.rows.iter().copied())?)?
            }
        };
        let y = y.reshape(ids.shape().clone().extend(&[hidden]))?;
        self.among.as_ref().map_or(Ok(y.clone()), |among| leave(&y, &among.group))
    }

    /// The rows of this weight, one for each of a flat list of ids; those of them that are meant get gradients,
    /// but for that of the padding.
    fn lookup(&self, ids: &Tensor, rows: impl Iterator<Item = Option<usize>>) -> Result<Tensor> {
        let rows = rows.map(|row| row.filter(|&row| self.padding != Some(row))).collect();
        self.weight.value().apply_op2(ids, Lookup { weight: self.weight.clone(), rows })
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
