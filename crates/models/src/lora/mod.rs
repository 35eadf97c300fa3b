//! Low-rank adapters: small matrices that are trained beside large ones that stay as they are.

mod adapter;
mod target;

#[cfg(test)]
mod tests;

use crate::config::MAX_SIZE;
use crate::{AdapterWeights, Error};
pub use adapter::Adapter;
pub(crate) use adapter::{ADAPTER_CONFIG, ADAPTER_FILE, saved_name};
pub(crate) use target::targets;

/// An adapter's matrices, as PEFT names them within the module that they belong to.
pub(crate) const LORA_A: &str = "lora_A.weight";
pub(crate) const LORA_B: &str = "lora_B.weight";

/// Adapters of low rank, `y = x Wᵀ + s · dropout(x) Aᵀ Bᵀ`, with `s` one of [`scale`](Self::scale).
///
/// Paper: [Hu et al., 2021](https://arxiv.org/abs/2106.09685). Adapters are float32 where the model
/// is of half precision.
#[derive(Clone, Debug)]
pub struct Lora {
    /// The width between the two matrices, at least 1.
    pub rank: usize,
    /// What the adapter's result is multiplied by, times the rank.
    pub alpha: f64,
    /// The part of an adapter's input that is dropped in training, from 0 to below 1. Only a batch
    /// with a seed drops anything.
    pub dropout: f64,
    /// The matrices with an adapter: names or ends of names (`q_proj`, `layers.3.mlp.up_proj`), in
    /// which `*`, `?` and `[..]` stand for what they do in file names, or `all-linear` for all of
    /// them but the head.
    pub targets: Vec<String>,
    /// Whether `s` is `alpha / sqrt(rank)`, not `alpha / rank`
    /// ([Kalajdzievski, 2023](https://arxiv.org/abs/2312.03732)).
    pub use_rslora: bool,
    /// Modules that are trained whole beside the adapters and saved with them: names or ends of
    /// names, such as `lm_head`.
    pub modules_to_save: Vec<String>,
    /// What the adapters are in the beginning.
    pub weights: AdapterWeights,
}

impl Lora {
    /// Adapters of this rank that change nothing at first, on these matrices; `alpha` is twice the
    /// rank, nothing is dropped.
    pub fn new(rank: usize, targets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            rank,
            alpha: 2.0 * rank as f64,
            dropout: 0.0,
            targets: targets.into_iter().map(Into::into).collect(),
            use_rslora: false,
            modules_to_save: Vec::new(),
            weights: AdapterWeights::Random { seed: 0 },
        }
    }

    /// What an adapter's result is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// # Errors
    /// If a number is outside of its range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |what, value: f64, expected| Error::Adapter { what, value, expected };
        if self.rank == 0 {
            return Err(refused("rank", 0.0, "at least 1"));
        }
        if self.rank > MAX_SIZE {
            return Err(refused("rank", self.rank as f64, "at most 16777216"));
        }
        // What is saved is read again within these bounds.
        if !(0.0..=f64::from(f32::MAX)).contains(&self.alpha) {
            return Err(refused("alpha", self.alpha, "a finite number, at least 0"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(refused("dropout", self.dropout, "at least 0 and below 1"));
        }
        Ok(())
    }
}
