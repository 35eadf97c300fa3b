//! What a normalised number is multiplied by, and how it is rounded before.

use crate::cpu::Number;

/// The factor of a column, from its weight.
pub(super) trait Factor: Copy + Send + Sync + 'static {
    /// Whether it is one more than the weight.
    const HAS_OFFSET: bool;

    /// The factor.
    fn of<N: Number>(self, w: N) -> N::Real;
    /// `x r` as the product takes it.
    fn rounded<N: Number>(self, normal: N::Real) -> N::Real;
}

/// `w`, after a rounding: half precision is so in Hugging Face's Llama.
#[derive(Clone, Copy)]
pub(super) struct Weight;

/// `1 + w`, and one rounding at the end: half precision is so in Hugging Face's Gemma.
#[derive(Clone, Copy)]
pub(super) struct OnePlusWeight;

impl Factor for Weight {
    const HAS_OFFSET: bool = false;

    #[inline(always)]
    fn of<N: Number>(self, w: N) -> N::Real {
        w.wide()
    }

    #[inline(always)]
    fn rounded<N: Number>(self, normal: N::Real) -> N::Real {
        N::narrow(normal).wide()
    }
}

impl Factor for OnePlusWeight {
    const HAS_OFFSET: bool = true;

    #[inline(always)]
    fn of<N: Number>(self, w: N) -> N::Real {
        N::one().wide() + w.wide()
    }

    #[inline(always)]
    fn rounded<N: Number>(self, normal: N::Real) -> N::Real {
        normal
    }
}
