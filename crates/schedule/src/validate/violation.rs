//! What breaks a rule, where, and how to mend it.

use std::fmt;

use crate::listing::{lines, ranges};
use crate::table::marked;
use crate::{Action, MicroBatch, Rank, Stage};

/// An action and its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// The row.
    pub rank: Rank,
    /// The cell of the row, from 0; in a plan idle cells count.
    pub step: usize,
    /// What stands there.
    pub action: Action,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rank {}, step {})", self.action, self.rank, self.step)
    }
}

/// One rule broken once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The actions at fault, the one to change first; none if the fault is that there is nothing.
    pub at: Vec<Located>,
    /// The rule that is broken, and how.
    pub rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Located { rank, step, action }) = self.at.first() {
            write!(f, "rank {rank}, step {step}, {action}: ")?;
        }
        self.rule.fmt(f)
    }
}

/// A part of a stage's work on a microbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `F`.
    Forward,
    /// `B`, or `I` and `W`.
    Backward,
    /// `I`, where there is a `W`.
    BackwardInput,
    /// `W`, where there is an `I`.
    BackwardWeight,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "the forward (F)",
            Self::Backward => "the backward (B, or I and W)",
            Self::BackwardInput => "the input's part (I) of the backward",
            Self::BackwardWeight => "the weights' part (W) of the backward",
        })
    }
}

/// The rules, as they are broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// A schedule has a rank.
    #[error("there is no rank; a schedule has at least one row")]
    NoRanks,
    /// Ranks can be numbered.
    #[error("{num_ranks} ranks are too many, the limit is {}", Rank::LIMIT)]
    TooManyRanks {
        /// How many rows there are.
        num_ranks: usize,
    },
    /// The actions of a rank can be numbered.
    #[error("rank {rank} has {num_actions} actions, the limit is {}", u32::MAX)]
    TooManyActions {
        /// The rank.
        rank: Rank,
        /// How many actions it has.
        num_actions: usize,
    },
    /// Every rank computes something.
    #[error("rank {rank} computes nothing; give it a stage or leave out its row")]
    IdleRank {
        /// The rank.
        rank: Rank,
    },
    /// A stage is on one rank.
    #[error("stage {stage} is on rank {owner}; a stage is on one rank only, move this there")]
    StageOnTwoRanks {
        /// The stage.
        stage: Stage,
        /// The rank that computes most of it.
        owner: Rank,
    },
    /// Stages are numbered without a gap.
    #[error("no rank computes stage {}, though there is a stage {last}; number the stages without a gap", ranges(.runs))]
    MissingStages {
        /// The stages that there are not, as runs of first and last number.
        runs: Vec<(usize, usize)>,
        /// The last stage that there is.
        last: Stage,
    },
    /// Every stage computes every microbatch.
    #[error("stage {stage} lacks {part} of microbatch {}; every stage computes all {num_microbatches} of them", ranges(.runs))]
    Missing {
        /// The stage.
        stage: Stage,
        /// What it lacks.
        part: Part,
        /// Of which microbatches, as runs of first and last number.
        runs: Vec<(usize, usize)>,
        /// How many microbatches the schedule has.
        num_microbatches: usize,
    },
    /// Nothing happens twice.
    #[error("happens a second time after {first}; drop one of them")]
    Duplicate {
        /// The first time.
        first: Located,
    },
    /// A backward is whole or in two parts.
    #[error("computes what {other} computes as well; a backward is either B, or I and W, drop one")]
    WholeAndSplit {
        /// The other way to compute it.
        other: Located,
    },
    /// On a rank, things come in the order of their needs.
    #[error("comes before {needs}, which it needs; move it behind")]
    TooEarly {
        /// What has to come before.
        needs: Located,
    },
    /// A transfer is on the rank of its stage.
    #[error("stage {stage} is on rank {owner}; move this there or drop it")]
    NotItsRank {
        /// The stage of the transfer.
        stage: Stage,
        /// Where it is.
        owner: Rank,
    },
    /// The ends of the pipeline have one neighbour.
    #[error("no stage is {} stage {stage}; drop it", if *.is_first { "before" } else { "behind" })]
    NoNeighbour {
        /// The stage of the transfer.
        stage: Stage,
        /// Whether it is the first stage, or the last.
        is_first: bool,
    },
    /// What is needed on the same rank is not sent.
    #[error("stage {peer} is on the same rank and needs no transfer; drop it")]
    SameRank {
        /// The stage at the other end.
        peer: Stage,
    },
    /// What is sent is computed before, what is received is used.
    #[error(
        "stage {stage} does not compute what this is for with microbatch {microbatch}; add the computation or drop this"
    )]
    NoCompute {
        /// The stage of the transfer.
        stage: Stage,
        /// The microbatch.
        microbatch: MicroBatch,
    },
    /// What is sent is received.
    #[error("is never received; add {recv} on rank {rank}")]
    NotReceived {
        /// The receive that there should be.
        recv: Action,
        /// Where.
        rank: Rank,
    },
    /// What is received is sent.
    #[error("is never sent; add {send} on rank {rank}")]
    NotSent {
        /// The send that there should be.
        send: Action,
        /// Where.
        rank: Rank,
    },
    /// What a computation needs of another rank is received.
    #[error("needs {} of rank {from}; receive it before with {recv}", needed(.recv))]
    NotTransferred {
        /// The receive that there should be.
        recv: Action,
        /// Who has what is needed.
        from: Rank,
    },
    /// Messages between two ranks keep their order.
    #[error("takes the wrong message: the next that rank {} sends to rank {to} is {sent}; receive in the order of sending", .sent.rank)]
    OutOfSequence {
        /// Who receives.
        to: Rank,
        /// The message that comes instead.
        sent: Located,
    },
    /// No circle of ranks waits for each other.
    #[error("waits for ever: {}", circle(.waits))]
    Deadlock {
        /// The receives that wait and the sends that they wait for; each send stands on the next
        /// receive's rank and behind it, the last one on the first receive's.
        waits: Vec<(Located, Located)>,
    },
}

fn needed(recv: &Action) -> &'static str {
    match recv {
        Action::Recv(transfer) if transfer.direction == crate::Direction::Backward => "a gradient",
        Action::Recv(_) | Action::Send(_) | Action::Compute(_) => "activations",
    }
}

/// The circle from the send that the first receive waits for, which the message names itself.
fn circle(waits: &[(Located, Located)]) -> String {
    let mut text = String::from("it needs ");
    for (i, (recv, send)) in waits.iter().take(MAX_WAITS).enumerate() {
        match i {
            0 => text.push_str(&send.to_string()),
            _ => text.push_str(&format!(", which is behind {recv}, which needs {send}")),
        }
    }
    match waits.len().saturating_sub(MAX_WAITS) {
        0 => {}
        more => text.push_str(&format!(", and so on over {more} more ranks")),
    }
    text + ", which is behind the first; move one of the sends before the receive in front of it"
}

/// How much of a circle a message spells out.
const MAX_WAITS: usize = 8;

/// Everything that a table breaks, and the table.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.violations))]
pub struct Violations {
    violations: Vec<Violation>,
    rows: Vec<Vec<Option<Action>>>,
}

impl fmt::Debug for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Violations").field(&self.violations).finish()
    }
}

impl Violations {
    pub(super) fn new(violations: Vec<Violation>, rows: Vec<Vec<Option<Action>>>) -> Self {
        Self { violations, rows }
    }

    /// All of them, at least one; those of a rule together.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.violations.iter()
    }

    /// The table around the actions at fault, each marked `<-- here`: the ranks concerned, and of
    /// their steps those nearby.
    #[must_use]
    pub fn marked_table(&self) -> String {
        let marks = self.violations.iter().flat_map(|violation| &violation.at);
        marked(&self.rows, marks.map(|at| (at.rank.index(), at.step)))
    }
}

fn listed(violations: &[Violation]) -> String {
    match violations {
        [violation] => violation.to_string(),
        _ => lines(&format!("the schedule breaks {} rules", violations.len()), violations),
    }
}
