//! The schedules that can be generated, under the names that torch and their papers have for them.

use std::fmt;

use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use super::{
    dual_pipe_v, gpipe, hanayo, interleaved_one_f_one_b, interleaved_zero_bubble, looped_bfs,
    one_f_one_b, v_half, v_min, zb_h1, zb_h2, zbv_zero_bubble,
};
use crate::PlacementStyle;

/// A schedule that can be generated.
///
/// Its text is the name that torch's `get_schedule_class` takes, or that of its paper, in any case;
/// the names of torch's classes and those in NeMo AutoModel's documentation are understood too.
///
/// # Examples
/// ```
/// use autopipe_schedule::Kind;
///
/// let kind: Kind = "interleaved_1f1b".parse()?;
/// assert_eq!(kind.to_string(), "Interleaved1F1B");
/// assert_eq!(kind.class_name(), Some("ScheduleInterleaved1F1B"));
/// assert_eq!(kind.stages_per_rank().usual(), 2);
/// assert_eq!(kind.summary().bubble, "(p - 1) (F + B)");
/// # Ok::<(), autopipe_schedule::UnknownKind>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All forwards, then all backwards.
    GPipe,
    /// One backward for every forward as soon as there are gradients: 1F1B.
    OneFOneB,
    /// 1F1B over several stages a rank, in rounds.
    InterleavedOneFOneB,
    /// GPipe over several stages a rank, one stage after the other.
    LoopedBfs,
    /// Interleaved 1F1B with split backwards, the gradients of weights delayed.
    InterleavedZeroBubble,
    /// Two stages a rank, there and back, with split backwards and no bubble if all parts of a
    /// stage cost the same.
    ZbvZeroBubble,
    /// Two stages a rank, there and back, a forward overlapping a backward.
    DualPipeV,
    /// 1F1B with split backwards, in 1F1B's memory.
    ZbH1,
    /// 1F1B with split backwards, in twice 1F1B's memory.
    ZbH2,
    /// Two stages a rank, there and back, in as little memory as can be: a third of 1F1B's.
    VMin,
    /// Two stages a rank, there and back, in half of 1F1B's memory.
    VHalf,
    /// Waves over two or more stages a rank: there, back, there again, in 1F1B's memory.
    Hanayo,
}

impl Kind {
    /// Every kind, torch's first.
    pub const ALL: [Self; 12] = [
        Self::GPipe,
        Self::OneFOneB,
        Self::InterleavedOneFOneB,
        Self::LoopedBfs,
        Self::InterleavedZeroBubble,
        Self::ZbvZeroBubble,
        Self::DualPipeV,
        Self::ZbH1,
        Self::ZbH2,
        Self::VMin,
        Self::VHalf,
        Self::Hanayo,
    ];

    pub(super) fn spec(self) -> &'static Spec {
        match self {
            Self::GPipe => &gpipe::SPEC,
            Self::OneFOneB => &one_f_one_b::SPEC,
            Self::InterleavedOneFOneB => &interleaved_one_f_one_b::SPEC,
            Self::LoopedBfs => &looped_bfs::SPEC,
            Self::InterleavedZeroBubble => &interleaved_zero_bubble::SPEC,
            Self::ZbvZeroBubble => &zbv_zero_bubble::SPEC,
            Self::DualPipeV => &dual_pipe_v::SPEC,
            Self::ZbH1 => &zb_h1::SPEC,
            Self::ZbH2 => &zb_h2::SPEC,
            Self::VMin => &v_min::SPEC,
            Self::VHalf => &v_half::SPEC,
            Self::Hanayo => &hanayo::SPEC,
        }
    }

    /// The name that its text is.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The name of torch's class; none of a schedule that torch does not have.
    #[must_use]
    pub fn class_name(self) -> Option<&'static str> {
        self.spec().class_name
    }

    /// Further names under which it is understood.
    #[must_use]
    pub fn aliases(self) -> &'static [&'static str] {
        self.spec().aliases
    }

    /// How many stages a rank can have.
    #[must_use]
    pub fn stages_per_rank(self) -> StagesPerRank {
        self.spec().stages_per_rank
    }

    /// How the stages lie on the ranks.
    #[must_use]
    pub fn placement_style(self) -> PlacementStyle {
        self.spec().placement
    }

    /// How many microbatches there can be.
    #[must_use]
    pub fn microbatches(self) -> MicrobatchRule {
        self.spec().microbatches
    }

    /// Whether its backwards are whole, split or overlapped.
    #[must_use]
    pub fn backward_style(self) -> BackwardStyle {
        self.spec().backward
    }

    /// Its formulas and its paper.
    #[must_use]
    pub fn summary(self) -> &'static Summary {
        &self.spec().summary
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
