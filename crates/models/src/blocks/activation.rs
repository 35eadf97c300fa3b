//! The activation of a gated block: `act(gate) · up`.

use autopipe_nn::{Gelu, geglu, swiglu};
use candle_core::{Result, Tensor};

/// An activation, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    Gelu(Gelu),
}

impl Activation {
    /// What [`named`](Self::named) knows, for messages.
    pub(crate) const NAMES: &str =
        "\"silu\", \"gelu\" or \"gelu_pytorch_tanh\", and other names of these";

    /// The activation that transformers has under this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" | "gelu_python" => Self::Gelu(Gelu::Exact),
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Self::Gelu(Gelu::Tanh),
            _ => return None,
        })
    }

    pub(super) fn gated(self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        match self {
            Self::Silu => swiglu(gate, up),
            Self::Gelu(gelu) => geglu(gate, up, gelu),
        }
    }
}
