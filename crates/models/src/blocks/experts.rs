//! A mixture of experts: a router sends each token to a few of many feed-forward blocks.

use autopipe_nn::Routing;
use candle_core::{Result, Tensor};

use super::mlp::GatedMlp;
use super::{Declaration, MlpShape, Numbers, Pass, Projection, Ranks, Scope};

/// The sizes of a mixture of experts.
#[derive(Clone, Debug)]
pub(crate) struct ExpertsShape {
    pub(crate) hidden_size: usize,
    pub(crate) num_experts: usize,
    /// How many of them each token is sent to.
    pub(crate) num_per_token: usize,
    /// Whether the weights of a token's experts add up to one.
    pub(crate) is_normalised: bool,
    /// The weight of the loss that keeps the experts' loads alike, where there is one.
    pub(crate) balance: Option<f64>,
    /// What a layer calls the block.
    pub(crate) block_name: &'static str,
    /// Without biases.
    pub(crate) expert: MlpShape,
}

#[derive(Debug)]
pub(crate) struct Experts {
    router: Projection,
    experts: Vec<GatedMlp>,
    num_per_token: usize,
    is_normalised: bool,
    /// The weight of the balance loss in a layer: the mean over those with a router is taken.
    balance: Option<f64>,
    ranks: Ranks,
}

const ROUTER: &str = "gate";
const EXPERTS: &str = "experts";

impl ExpertsShape {
    pub(super) fn declare(&self) -> Declaration {
        let expert = self.expert.declare();
        let experts = (0..self.num_experts).map(|i| (i.to_string(), expert.clone()));
        Declaration::of([
            (ROUTER, Declaration::linear(self.hidden_size, self.num_experts, false)),
            (EXPERTS, Declaration::of(experts)),
        ])
    }

    /// Operations per token of the forward's products: those of the router and of the experts that
    /// a token is sent to.
    pub(super) fn flops_per_token(&self) -> u64 {
        let router = 2 * (self.hidden_size * self.num_experts) as u64;
        router + self.num_per_token as u64 * self.expert.declare().flops_per_token()
    }

    /// How many numbers per token are kept: the router's results, with a balance loss twice, and for
    /// each of a token's experts its input, what is inside, and its output, alone and beside those of
    /// the others.
    pub(super) fn kept_per_token(&self) -> Numbers {
        let of_expert = Numbers::whole(3 * self.hidden_size) + self.expert.kept_per_token();
        let num_copies = if self.balance.is_some() { 2 } else { 1 };
        Numbers::whole(num_copies * self.num_experts) + self.num_per_token * of_expert
    }

    pub(super) fn build(&self, scope: &Scope<'_>, num_sparse: usize) -> Result<Experts> {
        let inner = scope.part(EXPERTS);
        let build = |i: usize| self.expert.build(&inner.part(&i.to_string()));
        Ok(Experts {
            router: scope.part(ROUTER).linear()?,
            experts: (0..self.num_experts).map(build).collect::<Result<_>>()?,
            num_per_token: self.num_per_token,
            is_normalised: self.is_normalised,
            balance: self.balance.map(|weight| weight / num_sparse as f64),
            ranks: scope.ranks().clone(),
        })
    }
}

impl Experts {
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (batch, seq_len, hidden_size) = x.dims3()?;
        let tokens = x.reshape((batch * seq_len, hidden_size))?;
        // Before rows are tokens: what an adapter drops depends on the row of the batch.
        let logits = self.router.forward(x, pass)?.flatten(0, 1)?;
        let mut routing = Routing::top_k(&logits, self.num_per_token, self.is_normalised)?;
        if let Some(weight) = self.balance {
            routing = routing.with_balance_loss(batch, weight * pass.share)?;
        }
        // The router is whole on every rank; its experts are in parts, and so is what they say.
        let routing = self.ranks.route(routing)?;
        let expert = |i: usize, rows: &Tensor| self.experts[i].summand(rows, pass);
        let y = routing.apply(&self.ranks.enter(&tokens)?, self.experts.len(), expert)?;
        self.ranks.leave(y)?.reshape(x.shape())
    }
}
