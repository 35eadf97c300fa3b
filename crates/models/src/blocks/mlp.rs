//! The gated feed-forward block: `y = W_down (silu(W_gate x) * (W_up x))`.

use autopipe_nn::{Linear, swiglu};
use candle_core::{Result, Tensor};

use super::{Declaration, Scope};

/// The sizes of a feed-forward block.
#[derive(Clone, Debug)]
pub(crate) struct MlpShape {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) has_bias: bool,
}

#[derive(Debug)]
pub(crate) struct GatedMlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl MlpShape {
    pub(super) fn declare(&self) -> Declaration {
        let Self { hidden_size, intermediate_size, has_bias } = *self;
        Declaration::of([
            ("gate_proj", Declaration::linear(hidden_size, intermediate_size, has_bias)),
            ("up_proj", Declaration::linear(hidden_size, intermediate_size, has_bias)),
            ("down_proj", Declaration::linear(intermediate_size, hidden_size, has_bias)),
            ("act_fn", Declaration::empty()),
        ])
    }
}

impl MlpShape {
    /// How many numbers per token are kept: both factors and their product; where there are biases,
    /// also without them.
    pub(super) fn kept_per_token(&self) -> usize {
        let inner = self.intermediate_size;
        3 * inner + if self.has_bias { 2 * inner + self.hidden_size } else { 0 }
    }
}

impl GatedMlp {
    pub(super) fn new(scope: &Scope<'_>) -> Result<Self> {
        Ok(Self {
            gate_proj: scope.part("gate_proj").linear()?,
            up_proj: scope.part("up_proj").linear()?,
            down_proj: scope.part("down_proj").linear()?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = swiglu(&self.gate_proj.forward(x)?, &self.up_proj.forward(x)?)?;
        self.down_proj.forward(&inner)
    }
}
