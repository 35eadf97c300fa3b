//! The load-balancing loss: its value, and its gradient without the loss.

use candle_core::{CustomOp1, DType, Result, Tensor};

use super::Chosen;
use crate::Error;
use crate::every_device::{copy, on_every_device};

/// How often the tokens of each sequence chose each expert.
pub(super) struct Balance {
    /// `E f[e]` of the first sequence, then those of the next.
    rates: Vec<f64>,
    num_experts: usize,
    tokens_per_row: usize,
}

impl Balance {
    /// # Errors
    /// If the tokens are not `batch` sequences of one length.
    pub(super) fn new(chosen: &Chosen, num_tokens: usize, batch: usize) -> Result<Self> {
        if batch == 0 || !num_tokens.is_multiple_of(batch) {
            return Err(Error::TokensOfBatch { num_tokens, batch }.into());
        }
        let (num_experts, tokens_per_row) = (chosen.num_experts, num_tokens / batch);
        let mut rates = vec![0.; batch * num_experts];
        let one = number(num_experts) / number(tokens_per_row.max(1));
        let choices = chosen.experts.chunks((tokens_per_row * chosen.k).max(1));
        for (rates, experts) in rates.chunks_exact_mut(num_experts).zip(choices) {
            experts.iter().for_each(|&expert| rates[expert as usize] += one);
        }
        Ok(Self { rates, num_experts, tokens_per_row })
    }

    /// The mean over sequences of `E Σ f[e] P[e]`.
    pub(super) fn value(&self, logits: &Tensor) -> Result<f64> {
        let mut loss = 0.;
        self.for_each_token(logits, |p, rates| loss += dot(p, rates))?;
        Ok(loss / self.num_tokens().max(1.))
    }

    /// The logits, such that the gradient of `weight` times the loss comes to theirs.
    pub(super) fn attach(self, logits: &Tensor, weight: f64) -> Result<Tensor> {
        logits.apply_op1(Attached { balance: self, weight })
    }

    /// `dz = p (E f - Σ p E f) / tokens`, times `weight`; tokens are those of all sequences.
    fn gradient(&self, logits: &Tensor, weight: f64) -> Result<Tensor> {
        let factor = weight / self.num_tokens().max(1.);
        let mut grads = Vec::with_capacity(logits.elem_count());
        self.for_each_token(logits, |p, rates| {
            let mean = dot(p, rates);
            grads.extend(p.iter().zip(rates).map(|(p, rate)| factor * p * (rate - mean)));
        })?;
        Tensor::from_vec(grads, logits.shape(), logits.device())?.to_dtype(logits.dtype())
    }

    /// Hands the probabilities of each token to `f`, with the rates of its sequence.
    fn for_each_token(&self, logits: &Tensor, mut f: impl FnMut(&[f64], &[f64])) -> Result<()> {
        let logits: Vec<f64> = logits.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let rows = logits.chunks_exact((self.tokens_per_row * self.num_experts).max(1));
        for (rates, tokens) in self.rates.chunks_exact(self.num_experts).zip(rows) {
            for logits in tokens.chunks_exact(self.num_experts) {
                let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut p: Vec<f64> = logits.iter().map(|z| (z - largest).exp()).collect();
                let total: f64 = p.iter().sum();
                p.iter_mut().for_each(|p| *p /= total);
                f(&p, rates);
            }
        }
        Ok(())
    }

    fn num_tokens(&self) -> f64 {
        number(self.tokens_per_row * (self.rates.len() / self.num_experts))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The same logits, with a gradient of their own.
struct Attached {
    balance: Balance,
    weight: f64,
}

impl CustomOp1 for Attached {
    fn name(&self) -> &'static str {
        "balance of experts"
    }

    on_every_device!(copy, a);

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (grad.detach() + self.balance.gradient(logits, self.weight)?).map(Some)
    }
}
