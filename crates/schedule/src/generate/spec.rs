//! What a schedule's file says about its schedule: names, sizes it can have, facts, and its rows.

use super::Extent;
use crate::{PlacementStyle, Work};

/// Everything that sets one kind apart from the others; each schedule's file has one.
pub(super) struct Spec {
    /// The name that torch or the paper has for it.
    pub(super) name: &'static str,
    /// The name of torch's class, if torch has one.
    pub(super) class_name: Option<&'static str>,
    /// Other names under which it is known.
    pub(super) aliases: &'static [&'static str],
    pub(super) stages_per_rank: StagesPerRank,
    pub(super) placement: PlacementStyle,
    pub(super) microbatches: MicrobatchRule,
    pub(super) backward: BackwardStyle,
    pub(super) summary: Summary,
    /// The rows of an extent that the rules allow.
    pub(super) rows: fn(&Extent) -> Vec<Vec<Work>>,
}

/// How many stages a rank can have under a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagesPerRank {
    /// This many, neither more nor fewer.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
    /// At least the first number and at most the second.
    Between(usize, usize),
}

impl StagesPerRank {
    /// Whether it can be this many.
    #[must_use]
    pub fn allows(self, stages_per_rank: usize) -> bool {
        match self {
            Self::Exactly(required) => stages_per_rank == required,
            Self::AtLeast(fewest) => stages_per_rank >= fewest,
            Self::Between(fewest, most) => (fewest..=most).contains(&stages_per_rank),
        }
    }

    /// The fewest that it can be.
    #[must_use]
    pub fn fewest(self) -> usize {
        match self {
            Self::Exactly(fewest) | Self::AtLeast(fewest) | Self::Between(fewest, _) => fewest,
        }
    }

    /// How many it is if nobody says: as few as there can be, but two where a rank is meant to
    /// have several.
    #[must_use]
    pub fn usual(self) -> usize {
        match self {
            Self::Exactly(required) => required,
            Self::AtLeast(fewest) | Self::Between(fewest, _) => fewest.max(2),
        }
    }

    /// Whether a rank has one stage and never several.
    #[must_use]
    pub fn is_single(self) -> bool {
        self == Self::Exactly(1)
    }
}

/// How many microbatches a schedule can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MicrobatchRule {
    /// Any number from 1 on.
    Any,
    /// No fewer than there are stages.
    AsManyAsStages,
    /// Rounds of equal length, of at least as many microbatches as there are ranks: a multiple of
    /// the number of microbatches divided by the number of ranks, rounded down.
    EqualRounds,
}

/// How a schedule goes backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackwardStyle {
    /// In one go: `B`.
    Whole,
    /// Gradients of the inputs first, those of the weights when there is time: `I` and `W`.
    Split,
    /// Both, and some of the whole ones as one with a forward: `OVERLAP_F_B`.
    Overlapped,
}

/// What there is to know about a schedule before it is generated, as text for people.
///
/// In the formulas p is the number of ranks, v that of stages per rank, m that of microbatches, r
/// a rank; F, I, W and B are what one stage takes, B for I and W together. All are without latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its idea in one sentence.
    pub idea: &'static str,
    /// How long a rank idles in a step.
    pub bubble: &'static str,
    /// The most activations that a rank holds at once, each of one stage and microbatch.
    pub activations: &'static str,
    /// Which numbers of microbatches it can have, besides 0, which none can.
    pub microbatches: &'static str,
    /// Authors, title and year of the paper.
    pub paper: &'static str,
    /// Where the paper is.
    pub link: &'static str,
}
