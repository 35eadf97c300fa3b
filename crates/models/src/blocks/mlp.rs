//! The gated feed-forward block: `y = W_down (act(W_gate x) * (W_up x))`.

use candle_core::{D, Result, Tensor};

use super::{Activation, Declaration, Numbers, Pass, Projection, Ranks, Scope};

/// The sizes of a feed-forward block.
#[derive(Clone, Debug)]
pub(crate) struct MlpShape {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) activation: Activation,
    pub(crate) has_bias: bool,
    /// What the matrices of gate, up and down are called.
    pub(crate) names: [&'static str; 3],
    /// Whether gate and up are one matrix, `gate_up_proj`.
    pub(crate) is_fused: bool,
}

#[derive(Debug)]
pub(crate) struct GatedMlp {
    factors: Factors,
    down_proj: Projection,
    activation: Activation,
    ranks: Ranks,
}

#[derive(Debug)]
enum Factors {
    Apart { gate_proj: Projection, up_proj: Projection },
    Fused { gate_up_proj: Projection },
}

const FUSED: &str = "gate_up_proj";

impl MlpShape {
    /// What most families call the three matrices.
    pub(crate) const NAMES: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

    pub(super) fn declare(&self) -> Declaration {
        let &Self { hidden_size, intermediate_size: inner, has_bias, .. } = self;
        let [gate, up, down] = self.names;
        let down = (down, Declaration::linear(inner, hidden_size, has_bias).cut_by_inputs());
        let activation = ("act_fn", Declaration::empty());
        let factors = |widths: &[usize]| {
            let matrix = Declaration::linear(hidden_size, widths.iter().sum(), has_bias);
            matrix.cut_by_outputs(widths)
        };
        if self.is_fused {
            return Declaration::of([(FUSED, factors(&[inner, inner])), down, activation]);
        }
        let (of_gate, of_up) = (factors(&[inner]), factors(&[inner]));
        Declaration::of([(gate, of_gate), (up, of_up), down, activation])
    }

    /// How many numbers per token are kept: both factors and their product; where there are biases,
    /// also without them.
    pub(super) fn kept_per_token(&self) -> Numbers {
        let inner = self.intermediate_size;
        let kept = Numbers::cut(3 * inner);
        if self.has_bias {
            return kept + Numbers::cut(2 * inner) + Numbers::whole(self.hidden_size);
        }
        kept
    }

    pub(super) fn build(&self, scope: &Scope<'_>) -> Result<GatedMlp> {
        let [gate, up, down] = self.names;
        let factors = if self.is_fused {
            Factors::Fused { gate_up_proj: scope.part(FUSED).linear()? }
        } else {
            let (gate_proj, up_proj) = (scope.part(gate).linear()?, scope.part(up).linear()?);
            Factors::Apart { gate_proj, up_proj }
        };
        Ok(GatedMlp {
            factors,
            down_proj: scope.part(down).linear()?,
            activation: self.activation,
            ranks: scope.ranks().clone(),
        })
    }
}

impl GatedMlp {
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let inner = self.inner(&self.ranks.enter(x)?, pass)?;
        self.down_proj.forward(&inner, pass)
    }

    /// What this rank has of the result, for one who sees to both ends of many blocks: of one without
    /// biases it is what the ranks are to sum.
    pub(super) fn summand(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.down_proj.summand(&self.inner(x, pass)?, pass)
    }

    fn inner(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (gate, up) = match &self.factors {
            Factors::Apart { gate_proj, up_proj } => {
                (gate_proj.forward(x, pass)?, up_proj.forward(x, pass)?)
            }
            Factors::Fused { gate_up_proj } => {
                let both = gate_up_proj.forward(x, pass)?;
                let inner = both.dim(D::Minus1)? / 2;
                (both.narrow(D::Minus1, 0, inner)?, both.narrow(D::Minus1, inner, inner)?)
            }
        };
        self.activation.gated(&gate, &up)
    }
}
