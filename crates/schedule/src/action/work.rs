//! What a rank computes: single computations, and pairs that overlap.

use std::fmt;

use super::Direction;
use crate::{MicroBatch, Stage};

/// What a stage computes of a microbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComputeOp {
    /// `F`: the outputs from the inputs.
    Forward,
    /// `I`: the gradient of the inputs, which the stage before waits for.
    BackwardInput,
    /// `W`: the gradients of the weights, which nobody waits for.
    BackwardWeight,
    /// `B`: `I` and `W` in one.
    Backward,
    /// `R`: the activations once more, which its forward has not kept. torch has no such action.
    Recompute,
}

impl ComputeOp {
    /// Which way the tensors go that it takes from one neighbouring stage and makes for the other:
    /// activations, gradients, or none.
    pub(crate) fn direction(self) -> Option<Direction> {
        match self {
            Self::Forward => Some(Direction::Forward),
            Self::BackwardInput | Self::Backward => Some(Direction::Backward),
            Self::BackwardWeight | Self::Recompute => None,
        }
    }

    /// Whether it is the last to need the activations of its microbatch.
    pub fn frees(self) -> bool {
        match self {
            Self::Backward | Self::BackwardWeight => true,
            Self::Forward | Self::BackwardInput | Self::Recompute => false,
        }
    }
}

impl fmt::Display for ComputeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "F",
            Self::BackwardInput => "I",
            Self::BackwardWeight => "W",
            Self::Backward => "B",
            Self::Recompute => "R",
        })
    }
}

/// One piece of work of one stage, such as `2F0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Compute {
    /// What is computed.
    pub op: ComputeOp,
    /// The stage that computes.
    pub stage: Stage,
    /// What it computes with.
    pub microbatch: MicroBatch,
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.stage, self.op, self.microbatch)
    }
}

/// A forward and a backward that a rank computes as one, so that what one of them waits for can be
/// hidden behind the other: `(0F1;3B2)OVERLAP_F_B`.
///
/// Its numbers are packed, so that an [`Action`](crate::Action) takes eight bytes; they end at
/// [`STAGE_LIMIT`](Self::STAGE_LIMIT) and [`MICROBATCH_LIMIT`](Self::MICROBATCH_LIMIT).
///
/// # Examples
/// ```
/// use autopipe_schedule::{MicroBatch, Overlap, Stage};
///
/// let forward = (Stage::new(0), MicroBatch::new(1));
/// let backward = (Stage::new(3), MicroBatch::new(2));
/// let overlap = Overlap::new(forward, backward).unwrap();
/// assert_eq!(overlap.to_string(), "(0F1;3B2)OVERLAP_F_B");
/// assert_eq!(overlap.backward().to_string(), "3B2");
/// assert_eq!(Overlap::new((Stage::new(8192), MicroBatch::new(0)), backward), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlap([u8; 7]);

const STAGE_BITS: u32 = 13;
const MICROBATCH_BITS: u32 = 15;

impl Overlap {
    /// The stages of an overlap are below it.
    pub const STAGE_LIMIT: usize = 1 << STAGE_BITS;

    /// The microbatches of an overlap are below it.
    pub const MICROBATCH_LIMIT: usize = 1 << MICROBATCH_BITS;

    /// Joins stage and microbatch of a forward with those of a backward; none if a number is too
    /// large.
    #[must_use]
    pub fn new(forward: (Stage, MicroBatch), backward: (Stage, MicroBatch)) -> Option<Self> {
        let mut bits = 0;
        for (stage, microbatch) in [forward, backward] {
            let (stage, microbatch) = (stage.index(), microbatch.index());
            if stage >= Self::STAGE_LIMIT || microbatch >= Self::MICROBATCH_LIMIT {
                return None;
            }
            bits = bits << STAGE_BITS | stage as u64;
            bits = bits << MICROBATCH_BITS | microbatch as u64;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        Some(Self(bytes))
    }

    /// The part that goes forward.
    #[must_use]
    pub fn forward(self) -> Compute {
        self.part(ComputeOp::Forward, STAGE_BITS + MICROBATCH_BITS)
    }

    /// The part that goes backward.
    #[must_use]
    pub fn backward(self) -> Compute {
        self.part(ComputeOp::Backward, 0)
    }

    fn part(self, op: ComputeOp, shift: u32) -> Compute {
        let [a, b, c, d, e, f, g] = self.0;
        let bits = u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> shift;
        let number = |shift: u32, width: u32| {
            let number = bits >> shift & ((1 << width) - 1);
            usize::try_from(number).expect("a number of at most 15 bits")
        };
        Compute {
            op,
            stage: Stage::new(number(MICROBATCH_BITS, STAGE_BITS)),
            microbatch: MicroBatch::new(number(0, MICROBATCH_BITS)),
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({};{})OVERLAP_F_B", self.forward(), self.backward())
    }
}

/// One entry of a [`Plan`](crate::Plan): what a rank computes in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// `F`, `I`, `W`, `B` or `R` of one stage.
    Compute(Compute),
    /// A forward and a backward as one.
    Overlap(Overlap),
}

impl Work {
    /// The computations, the forward of an overlap first.
    #[inline]
    #[must_use]
    pub fn parts(self) -> Parts {
        match self {
            Self::Compute(compute) => Parts { next: Some(compute), then: None },
            Self::Overlap(overlap) => {
                Parts { next: Some(overlap.forward()), then: Some(overlap.backward()) }
            }
        }
    }
}

/// The computations of an entry: none, one, or the two of an overlap.
#[derive(Clone, Debug)]
pub struct Parts {
    next: Option<Compute>,
    then: Option<Compute>,
}

impl Parts {
    /// Of an action that computes nothing.
    pub(crate) const NONE: Self = Self { next: None, then: None };
}

impl Iterator for Parts {
    type Item = Compute;

    #[inline]
    fn next(&mut self) -> Option<Compute> {
        std::mem::replace(&mut self.next, self.then.take())
    }
}

impl From<Compute> for Work {
    fn from(compute: Compute) -> Self {
        Self::Compute(compute)
    }
}

impl From<Overlap> for Work {
    fn from(overlap: Overlap) -> Self {
        Self::Overlap(overlap)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compute(compute) => compute.fmt(f),
            Self::Overlap(overlap) => overlap.fmt(f),
        }
    }
}
