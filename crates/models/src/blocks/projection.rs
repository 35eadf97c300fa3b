//! A matrix of a block, perhaps with a low-rank adapter beside it.

use autopipe_nn::{Dropout, Linear, Parameter, add_bias};
use candle_core::{Result, Tensor};

use super::{Pass, Ranks};

/// `y = x Wᵀ + b`, and with an adapter `+ s · dropout(x) Aᵀ Bᵀ`.
///
/// Paper of the adapter: [Hu et al., 2021](https://arxiv.org/abs/2106.09685).
#[derive(Debug)]
pub(crate) struct Projection {
    base: Linear,
    /// Apart, as most matrices have none.
    adapter: Option<Box<Adapter>>,
    sum: Option<Sum>,
}

/// What comes behind a matrix of which each rank has a part of the inputs.
#[derive(Debug)]
struct Sum {
    ranks: Ranks,
    bias: Option<Parameter>,
}

/// The two small matrices of an adapter.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// From the input to the rank.
    pub(super) a: Linear,
    /// From the rank to the output.
    pub(super) b: Linear,
    pub(super) scale: f64,
    pub(super) dropout: Option<Dropout>,
}

impl Projection {
    pub(crate) fn new(base: Linear, adapter: Option<Adapter>) -> Self {
        Self { base, adapter: adapter.map(Box::new), sum: None }
    }

    /// One of a matrix cut by its inputs, whose results are summed and then get the bias.
    pub(super) fn summed(
        base: Linear,
        adapter: Option<Adapter>,
        ranks: Ranks,
        bias: Option<Parameter>,
    ) -> Self {
        Self { base, adapter: adapter.map(Box::new), sum: Some(Sum { ranks, bias }) }
    }

    pub(crate) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.summand(x, pass)?;
        let Some(Sum { ranks, bias }) = &self.sum else { return Ok(y) };
        let y = ranks.leave(y)?;
        bias.as_ref().map_or(Ok(y.clone()), |bias| add_bias(&y, bias))
    }

    /// What there is before anything is summed.
    pub(super) fn summand(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.base.forward(x)?;
        match &self.adapter {
            // Rounded once, where the model is of half precision.
            Some(adapter) => {
                let added = adapter.forward(x, pass)?;
                (y.to_dtype(added.dtype())? + added)?.to_dtype(x.dtype())
            }
            None => Ok(y),
        }
    }
}

impl Adapter {
    /// What is added to the result of the matrix, in the adapter's own dtype.
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let x = x.to_dtype(self.a.weight().dtype())?;
        let x = match (&self.dropout, &pass.noise) {
            (Some(dropout), Some(noise)) => dropout.forward(&x, noise)?,
            (None, _) | (_, None) => x,
        };
        self.b.forward(&self.a.forward(&x)?)? * self.scale
    }
}
