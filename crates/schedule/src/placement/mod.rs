//! Which rank holds which stages.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::listing::{and, excerpt};
use crate::{Direction, Rank, Stage};

/// Which rank holds which stages: every stage on one rank, every rank with at least one stage.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Placement, Rank, Stage};
///
/// let stages = |placement: &Placement, rank| -> Vec<usize> {
///     placement.stages_of(Rank::new(rank)).iter().map(|stage| stage.index()).collect()
/// };
/// let round_robin = Placement::loop_(2, 2)?;
/// assert_eq!(stages(&round_robin, 0), [0, 2]);
/// let there_and_back = Placement::v(2)?;
/// assert_eq!(stages(&there_and_back, 0), [0, 3]);
/// assert_eq!(there_and_back.rank_of(Stage::new(2)), Rank::new(1));
/// # Ok::<(), autopipe_schedule::PlacementError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    rank_of: Vec<Rank>,
    stages_of: Vec<Vec<Stage>>,
}

/// Why stages cannot be placed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// A rank below one that has stages has none itself, or there is no stage at all.
    #[error("rank {rank} has no stage; number the ranks that have one from 0 without a gap")]
    IdleRank {
        /// The first such rank.
        rank: Rank,
    },
    /// A V has two stages on each rank.
    #[error("a V has 2 stages per rank, not {stages_per_rank}; a snake has any number")]
    NotTwoStages {
        /// How many there would be.
        stages_per_rank: usize,
    },
    /// There are more stages than ids.
    #[error("{num_stages} stages are too many, the limit is {}", Stage::LIMIT)]
    TooManyStages {
        /// How many there would be.
        num_stages: usize,
    },
}

impl Placement {
    /// Places stage `i` on the `i`-th of the given ranks.
    ///
    /// # Errors
    /// If there are more stages than ids, or a rank below the highest one has none.
    pub fn new(rank_of: Vec<Rank>) -> Result<Self, PlacementError> {
        if rank_of.len() > Stage::LIMIT {
            return Err(PlacementError::TooManyStages { num_stages: rank_of.len() });
        }
        let num_ranks = rank_of.iter().map(|rank| rank.index() + 1).max().unwrap_or(1);
        let mut stages_of = vec![Vec::new(); num_ranks];
        for (stage, rank) in rank_of.iter().enumerate() {
            stages_of[rank.index()].push(Stage::new(stage));
        }
        match stages_of.iter().position(Vec::is_empty) {
            Some(rank) => Err(PlacementError::IdleRank { rank: Rank::new(rank) }),
            None => Ok(Self { rank_of, stages_of }),
        }
    }

    /// Deals the stages out in turn: rank `r` of `p` has the stages `r`, `r + p`, `r + 2p`, ...
    ///
    /// # Errors
    /// If a size is 0 or there are too many stages.
    pub fn loop_(num_ranks: usize, stages_per_rank: usize) -> Result<Self, PlacementError> {
        let num_stages = checked(num_ranks.saturating_mul(stages_per_rank))?;
        Self::new((0..num_stages).map(|stage| Rank::new(stage % num_ranks)).collect())
    }

    /// Two stages a rank, there and back: rank `r` of `p` has the stages `r` and `2p - 1 - r`, so
    /// that the first rank has both the first stage and the last.
    ///
    /// # Errors
    /// If `num_ranks` is 0 or there are too many stages.
    pub fn v(num_ranks: usize) -> Result<Self, PlacementError> {
        let num_stages = checked(num_ranks.saturating_mul(2))?;
        Self::new((0..num_stages).map(|s| Rank::new(s.min(num_stages - 1 - s))).collect())
    }

    /// Any number of stages a rank, there and back and there again: even chunks of `p` stages go
    /// up the ranks, odd ones down. With two stages a rank it is [`v`](Self::v).
    ///
    /// # Errors
    /// If a size is 0 or there are too many stages.
    pub fn snake(num_ranks: usize, stages_per_rank: usize) -> Result<Self, PlacementError> {
        let num_stages = checked(num_ranks.saturating_mul(stages_per_rank))?;
        let rank_of = |stage: usize| {
            let (chunk, place) = (stage / num_ranks, stage % num_ranks);
            Rank::new(if chunk % 2 == 0 { place } else { num_ranks - 1 - place })
        };
        Self::new((0..num_stages).map(rank_of).collect())
    }

    /// How many ranks there are, at least 1.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.stages_of.len()
    }

    /// How many stages there are, at least 1.
    #[must_use]
    pub fn num_stages(&self) -> usize {
        self.rank_of.len()
    }

    /// The rank that holds a stage.
    ///
    /// # Panics
    /// If there is no such stage, as with an index out of bounds.
    #[must_use]
    #[track_caller]
    pub fn rank_of(&self, stage: Stage) -> Rank {
        self.rank_of[stage.index()]
    }

    /// The stage that takes what a stage sends this way, and its rank; none at the end of the
    /// pipeline.
    pub(crate) fn receiver_of(&self, direction: Direction, sender: Stage) -> Option<(Stage, Rank)> {
        self.placed(direction.receiver_of(sender)?)
    }

    /// The stage that sends this way to a stage, and its rank; none at the end of the pipeline.
    pub(crate) fn sender_to(&self, direction: Direction, receiver: Stage) -> Option<(Stage, Rank)> {
        self.placed(direction.sender_to(receiver)?)
    }

    /// A stage with its rank, if there is such a stage.
    pub(crate) fn placed(&self, stage: Stage) -> Option<(Stage, Rank)> {
        self.rank_of.get(stage.index()).map(|&rank| (stage, rank))
    }

    /// The stages of a rank, ascending; empty if there is no such rank.
    #[must_use]
    pub fn stages_of(&self, rank: Rank) -> &[Stage] {
        self.stages_of.get(rank.index()).map_or(&[], Vec::as_slice)
    }
}

/// A way in which stages lie on ranks.
///
/// # Examples
/// ```
/// use autopipe_schedule::{PlacementStyle, Rank};
///
/// let style: PlacementStyle = "snake".parse()?;
/// let placement = style.place(2, 3)?;
/// let stages = placement.stages_of(Rank::new(0)).iter().map(|stage| stage.index());
/// assert_eq!(stages.collect::<Vec<_>>(), [0, 3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlacementStyle {
    /// In turn: [`Placement::loop_`].
    Loop,
    /// Two stages a rank, there and back: [`Placement::v`].
    V,
    /// There and back as often as need be: [`Placement::snake`].
    Snake,
}

impl PlacementStyle {
    /// Every style.
    pub const ALL: [Self; 3] = [Self::Loop, Self::V, Self::Snake];

    /// Places stages in this way.
    ///
    /// # Errors
    /// If a size is 0, there are too many stages, or the style has another number of stages a rank.
    pub fn place(
        self,
        num_ranks: usize,
        stages_per_rank: usize,
    ) -> Result<Placement, PlacementError> {
        match self {
            Self::Loop => Placement::loop_(num_ranks, stages_per_rank),
            Self::V if stages_per_rank != 2 => {
                Err(PlacementError::NotTwoStages { stages_per_rank })
            }
            Self::V => Placement::v(num_ranks),
            Self::Snake => Placement::snake(num_ranks, stages_per_rank),
        }
    }
}

impl fmt::Display for PlacementStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loop => "loop",
            Self::V => "v",
            Self::Snake => "snake",
        })
    }
}

/// No way in which stages are placed has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no placement `{name}`, the styles are {}", and(PlacementStyle::ALL))]
pub struct UnknownPlacement {
    /// The name, cut short if it is long.
    pub name: String,
}

impl FromStr for PlacementStyle {
    type Err = UnknownPlacement;

    /// Takes `loop`, `v` and `snake`, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownPlacement> {
        let is_named = |style: &Self| style.to_string().eq_ignore_ascii_case(name);
        let style = Self::ALL.into_iter().find(is_named);
        style.ok_or_else(|| UnknownPlacement { name: excerpt(name) })
    }
}

/// Refuses a number of stages before anything is allocated for them.
fn checked(num_stages: usize) -> Result<usize, PlacementError> {
    if num_stages > Stage::LIMIT {
        return Err(PlacementError::TooManyStages { num_stages });
    }
    Ok(num_stages)
}
