//! The rules, as they are broken: what each violation says.

use std::fmt;

use super::{Located, Wait};
use crate::listing::ranges;
use crate::{Action, Communication, Direction, MicroBatch, Rank, Stage, Transfer};

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
    #[error("waits for ever {}: {}", wherever(*.communication), circle(.waits))]
    Deadlock {
        /// The most patient way of messages that stops; the stricter ones stop as well.
        communication: Communication,
        /// A shortest circle: what each rank needs is behind what the next one waits at, and what
        /// the last one needs behind what the first waits at.
        waits: Vec<Wait>,
    },
    /// What overlaps does not need each other.
    #[error("overlaps {needs}, which it needs; compute it behind")]
    DependentOverlap {
        /// The other part.
        needs: Located,
    },
    /// What is waited for was sent.
    #[error("waits for {send}, which is not sent before; send it before or drop this")]
    WaitWithoutSend {
        /// The send that there should be.
        send: Action,
    },
    /// Activations are computed again for a backward.
    #[error(
        "there is no backward of microbatch {microbatch} on stage {stage} to compute it for; drop it"
    )]
    UselessRecompute {
        /// The stage.
        stage: Stage,
        /// The microbatch.
        microbatch: MicroBatch,
    },
    /// What concerns a stage concerns one that there is.
    #[error("no rank computes stage {stage}; drop this")]
    NoStage {
        /// The stage.
        stage: Stage,
    },
    /// Stages with sharded parameters compute with all of them.
    #[error("stage {stage} has only its shard of the parameters here; put {stage}UNSHARD before")]
    Sharded {
        /// The stage.
        stage: Stage,
    },
    /// Parameters are gathered once at a time.
    #[error("stage {stage} has all its parameters already; put {stage}RESHARD before or drop this")]
    UnshardedTwice {
        /// The stage.
        stage: Stage,
    },
    /// Only what is whole can be given up.
    #[error("stage {stage} has only its shard of the parameters already; drop it")]
    NotUnsharded {
        /// The stage.
        stage: Stage,
    },
    /// In the end, parameters are sharded again.
    #[error(
        "stage {stage} keeps all its parameters; put {stage}RESHARD behind its last computation"
    )]
    NeverResharded {
        /// The stage.
        stage: Stage,
    },
    /// What uses gradients comes when they are complete.
    #[error("the gradients of stage {stage} are complete only with {last}; move this behind")]
    IncompleteGradients {
        /// The stage.
        stage: Stage,
        /// The last backward.
        last: Located,
    },
    /// What uses gradients comes where there are some.
    #[error("stage {stage} has no gradients, the schedule has no backward; drop this")]
    NoGradients {
        /// The stage.
        stage: Stage,
    },
    /// A reduction that is waited for was started.
    #[error(
        "waits for a reduction that has not started; put {stage}REDUCE_GRAD before or drop this"
    )]
    WaitWithoutReduce {
        /// The stage.
        stage: Stage,
    },
    /// Gradients are used or changed when their reduction is over.
    #[error(
        "the gradients of stage {stage} are still being reduced; put {stage}WAIT_REDUCE_GRAD before"
    )]
    StillReducing {
        /// The stage.
        stage: Stage,
    },
    /// After the update a stage does nothing more.
    #[error("comes behind {update}, which is the last thing that a stage does; move it before")]
    AfterUpdate {
        /// The update.
        update: Located,
    },
    /// What one stage does at the end of a step, all do.
    #[error("stage {with} has {action}, stage {without} has none; every stage has one or none has")]
    NotEveryStage {
        /// What it is about.
        action: Action,
        /// A stage that has it.
        with: Stage,
        /// The first stage that has not.
        without: Stage,
    },
    /// Tied parameters are those of several stages.
    #[error("stage {stage} is alone in tie group {group}; name a second stage or drop this")]
    AloneInGroup {
        /// The stage.
        stage: Stage,
        /// The group.
        group: u16,
    },
    /// A rank holds no more activations than it has room for.
    #[error(
        "rank {rank} holds {peak} activations at once, the limit is {limit}; start a backward before this forward"
    )]
    TooManyActivations {
        /// The rank.
        rank: Rank,
        /// The most it holds.
        peak: usize,
        /// The most it may hold.
        limit: usize,
    },
}

fn wherever(communication: Communication) -> &'static str {
    match communication {
        Communication::Async => "on every transport",
        Communication::Rendezvous => "on a transport that does not buffer",
        Communication::Nccl => "in NCCL's order, one queue for each rank",
    }
}

fn needed(recv: &Action) -> &'static str {
    match recv {
        Action::Recv(Transfer { direction: Direction::Backward, .. }) => "a gradient",
        _ => "activations",
    }
}

/// The circle from what the first rank needs; where that one stands, the message says itself.
fn circle(waits: &[Wait]) -> String {
    let mut text = String::from("it needs ");
    for (i, Wait { at, needs }) in waits.iter().take(MAX_WAITS).enumerate() {
        match i {
            0 => text.push_str(&needs.to_string()),
            _ => text.push_str(&format!(", which is behind {at}, which needs {needs}")),
        }
    }
    match waits.len().saturating_sub(MAX_WAITS) {
        0 => {}
        more => text.push_str(&format!(", and so on over {more} more ranks")),
    }
    text + ", which is behind the first; move one of those needed before the one in front of it"
}

/// How much of a circle a message spells out.
const MAX_WAITS: usize = 8;
