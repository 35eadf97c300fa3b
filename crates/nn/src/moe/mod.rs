//! A mixture of experts: which experts each token goes to, and the way there and back.

mod balance;
mod choose;
mod combine;
mod order;
mod rows;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::{Error, TensorParallelGroup, enter};
use balance::Balance;
use order::Order;

/// The experts of each token, with the weights of their results.
///
/// The router's logits become probabilities by a softmax over all experts, in float32 whatever their
/// dtype (float64 stays); the `k` largest are the weights, divided by their sum if so wanted, and
/// rounded to the dtype of the logits. Gradients go through the weights to the logits. Of equal
/// logits the one of the lower index is the larger.
///
/// Papers: [Shazeer et al., 2017](https://arxiv.org/abs/1701.06538),
/// [Jiang et al., 2024](https://arxiv.org/abs/2401.04088).
///
/// # Examples
/// ```
/// use autopipe_nn::Routing;
/// use candle_core::{DType, Device, Tensor};
///
/// // Two tokens, three experts that multiply by 1, 10 and 100.
/// let logits = Tensor::new(&[[0f32, 9., 0.], [1., -9., 1.]], &Device::Cpu)?;
/// let x = Tensor::ones((2, 4), DType::F32, &Device::Cpu)?;
/// let routing = Routing::top_k(&logits, 2, true)?;
/// assert_eq!(routing.experts(), [1, 0, 0, 2]);
/// let y = routing.apply(&x, 3, |expert, rows| rows * [1., 10., 100.][expert])?;
/// assert_eq!(y.get(1)?.to_vec1::<f32>()?, [0.5 * 1. + 0.5 * 100.; 4]);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Routing {
    logits: Tensor,
    /// Of shape `[tokens, k]`.
    weights: Tensor,
    chosen: Chosen,
}

/// Which experts were chosen, and how the weights come from their probabilities.
#[derive(Clone, Debug)]
struct Chosen {
    /// The experts of the first token by falling probability, then those of the next.
    experts: Arc<[u32]>,
    num_experts: usize,
    k: usize,
    normalise: bool,
}

impl Routing {
    /// Chooses `k` experts for each row of `logits`, of shape `[tokens, experts]`; `normalise` says
    /// whether the weights of a token have the sum 1.
    ///
    /// The choice is made on the host: on another device this waits for the logits.
    ///
    /// # Errors
    /// If `logits` is no matrix, or `k` is 0 or more than there are experts.
    pub fn top_k(logits: &Tensor, k: usize, normalise: bool) -> Result<Self> {
        let &[_, num_experts] = logits.dims() else {
            return Err(wrong("router", "logits of shape [tokens, experts]".to_owned(), logits));
        };
        if !(1..=num_experts).contains(&k) {
            return Err(Error::ExpertCount { k, num_experts }.into());
        }
        let experts = choose::top_k(logits, k)?.into();
        let chosen = Chosen { experts, num_experts, k, normalise };
        let weights = choose::weights(logits, &chosen)?;
        Ok(Self { logits: logits.clone(), weights, chosen })
    }

    /// The experts of the first token, the one of the largest weight first, then those of the next.
    pub fn experts(&self) -> &[u32] {
        &self.chosen.experts
    }

    /// The weights, of shape `[tokens, k]`, in the order of [`Self::experts`].
    pub fn weights(&self) -> &Tensor {
        &self.weights
    }

    /// Lets every expert see its tokens, and adds up their results for each token:
    /// `y[t] = Σ w[t, i] · expert(x[t])` over the `i`-th of its `k` experts.
    ///
    /// `x` has shape `[tokens, hidden]`. `expert` gets an expert's number, below `num_experts`, and the
    /// rows `[some, hidden]` of its tokens in their order, and returns as many rows, all experts of
    /// one width. One that no token goes to is not called: its parameters get no gradient.
    ///
    /// # Errors
    /// If `x` has not as many rows as the logits, `num_experts` is not their number of columns, an
    /// expert fails or returns another number of rows.
    pub fn apply(
        &self,
        x: &Tensor,
        num_experts: usize,
        expert: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (num_tokens, num_columns) = self.logits.dims2()?;
        if num_experts != num_columns {
            let expected = format!("logits of shape [tokens, {num_experts}]");
            return Err(wrong("mixture of experts", expected, &self.logits));
        }
        if x.rank() != 2 || x.dims()[0] != num_tokens {
            let expected = format!("an input of shape [{num_tokens}, hidden]");
            return Err(wrong("mixture of experts", expected, x));
        }
        if num_tokens == 0 {
            return Ok(x.clone());
        }
        let order = Order::new(&self.chosen);
        let mut results = Vec::new();
        for (i, rows) in rows::split(x, &order)? {
            let y = expert(i, &rows)?;
            if y.rank() != 2 || y.dims()[0] != rows.dims()[0] {
                let expected = format!("{} rows from expert {i}", rows.dims()[0]);
                return Err(wrong("mixture of experts", expected, &y));
            }
            results.push(y);
        }
        combine::combine(&Tensor::cat(&results, 0)?, &self.weights, &order)
    }

    /// Adds the gradient of `weight` times [`Self::balance_loss`] to that of the logits in every
    /// backward that reaches the weights, whatever gradient it brings. Results stay as they are.
    ///
    /// Call it before [`Self::apply`]: the loss never appears as a number in the graph, so that a
    /// pipeline need not carry it from stage to stage.
    ///
    /// # Errors
    /// If the tokens are not `batch` sequences of one length, or `weight` is not finite.
    pub fn with_balance_loss(self, batch: usize, weight: f64) -> Result<Self> {
        let balance = Balance::new(&self.chosen, self.logits.dims()[0], batch)?;
        if !weight.is_finite() {
            let what = "the weight of the balance loss";
            return Err(Error::Setting { what, expected: "finite", actual: weight }.into());
        }
        if !self.logits.track_op() || weight == 0. {
            return Ok(self);
        }
        let logits = balance.attach(&self.logits, weight)?;
        let weights = choose::weights(&logits, &self.chosen)?;
        Ok(Self { logits, weights, ..self })
    }

    /// Lets the experts be in parts on the ranks of a group, each of which routes all tokens alike and
    /// has a part of what every expert says: the gradients of the weights are summed over them. The
    /// input of [`Self::apply`] is to [`enter`] too, and its result to [`leave`](crate::leave).
    ///
    /// Call it after [`Self::with_balance_loss`], whose gradient is whole on each rank.
    ///
    /// # Errors
    /// If the weights cannot be copied.
    pub fn among(self, group: &Arc<dyn TensorParallelGroup>) -> Result<Self> {
        let weights = enter(&self.weights, group)?;
        Ok(Self { weights, ..self })
    }

    /// The load-balancing loss, the mean over `batch` sequences of `E · Σ f[e] P[e]`: `f[e]` is how
    /// often the tokens of a sequence chose expert `e`, divided by their number, and `P[e]` the mean
    /// of its probability. The tokens are those of the first sequence, then those of the next.
    ///
    /// It is `k` where all experts are alike. Taken for each sequence, it does not depend on how a
    /// batch is cut. A float32 of no dimension, outside of the graph.
    ///
    /// Paper: [Fedus et al., 2021](https://arxiv.org/abs/2101.03961).
    ///
    /// # Errors
    /// If the tokens are not `batch` sequences of one length.
    pub fn balance_loss(&self, batch: usize) -> Result<Tensor> {
        let balance = Balance::new(&self.chosen, self.logits.dims()[0], batch)?;
        Tensor::new(balance.value(&self.logits)?, self.logits.device())?.to_dtype(DType::F32)
    }
}

fn wrong(layer: &'static str, expected: String, actual: &Tensor) -> candle_core::Error {
    Error::InputShape { layer, expected, actual: actual.shape().clone() }.into()
}
