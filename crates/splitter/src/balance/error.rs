//! Why a model cannot be balanced or a partition not evaluated.

use crate::Error;
use crate::error::listed;
use crate::nearest::did_you_mean;

/// Something that no balanced cut or prediction can be made of.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BalanceError {
    /// What describes the step contradicts itself or the graph. Holds everything that is wrong, at
    /// least one problem.
    #[error("the step cannot be predicted:{}", listed(.0))]
    Model(Vec<BalanceProblem>),
    /// No cut fits.
    #[error(
        "stage {stage} on rank {rank} has no room for module `{module}`: it would need {bytes} \
         bytes, the limit of the rank is {limit}; {least}, or use more stages or fewer microbatches \
         at a time"
    )]
    Memory {
        /// The stage that runs over when each stage before it takes as much as it can.
        stage: usize,
        /// Its rank.
        rank: usize,
        /// The first module that does not fit.
        module: String,
        /// What the rank would hold with it.
        bytes: f64,
        /// What the rank has.
        limit: f64,
        /// What would do.
        least: LeastMemory,
    },
    /// No cut fits, because of modules that fit on some stages only.
    #[error("no cut fits the memory of the ranks; {least}")]
    NoRoom {
        /// What would do.
        least: LeastMemory,
    },
    /// No cut that fits was found, which with several stages per rank is no proof that there is
    /// none.
    #[error("no cut was found that fits the memory of the ranks; {least}")]
    NotFound {
        /// What would do.
        least: LeastMemory,
    },
    /// The graph itself cannot be split.
    #[error(transparent)]
    Graph(#[from] Error),
}

/// How much memory would do, on each rank that has less, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeastMemory {
    /// This much, and no less.
    Exactly(f64),
    /// This much; maybe less would, too.
    AtMost(f64),
}

impl std::fmt::Display for LeastMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(bytes) => {
                write!(f, "at least {} bytes on each rank would do", bytes.ceil())
            }
            Self::AtMost(bytes) => write!(f, "{} bytes on each rank would do", bytes.ceil()),
        }
    }
}

/// One reason why a step cannot be predicted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BalanceProblem {
    /// A number that is no time, size or speed.
    #[error("{what} is {value:?}, it has to be {}at most 1e60", if *.positive { "more than 0 and " } else { "at least 0 and " })]
    Number {
        /// What it is for.
        what: String,
        /// The number.
        value: f64,
        /// Whether 0 is excluded.
        positive: bool,
    },
    /// A measured module that the graph does not have.
    #[error("a time was measured for `{module}`, which the model does not have{}", did_you_mean(.nearest))]
    UnknownModule {
        /// The name.
        module: String,
        /// The module that was probably meant.
        nearest: Option<String>,
    },
    /// A module that was not measured.
    #[error("no time was measured for module `{module}`")]
    NotMeasured {
        /// The module.
        module: String,
    },
    /// No stage at all.
    #[error("`ranks` is empty, a pipeline needs at least 1 stage")]
    NoStages,
    /// Nothing to compute.
    #[error("num_microbatches is 0, a step needs at least 1")]
    NoMicrobatches,
    /// Not a number per stage.
    #[error("`ranks` has {num_stages} stages and `held` {num_held}, these have to be equal")]
    HeldLength {
        /// Stages that have a rank.
        num_stages: usize,
        /// Stages that have a number of microbatches.
        num_held: usize,
    },
    /// Not a limit per rank.
    #[error("`ranks` has {num_ranks} ranks and `limits` {num_limits}, these have to be equal")]
    LimitsLength {
        /// Ranks that have a stage.
        num_ranks: usize,
        /// Ranks that have a limit.
        num_limits: usize,
    },
    /// A rank that no stage is on, and a later one has stages.
    #[error("rank {rank} has no stage, and a later rank has; number the ranks without gaps")]
    IdleRank {
        /// The first such rank.
        rank: usize,
    },
    /// Some stage would have nothing to compute.
    #[error(
        "{num_stages} stages need at least {num_stages} modules, the model has {num_modules}; use fewer stages"
    )]
    TooFewModules {
        /// Stages asked for.
        num_stages: usize,
        /// Modules that are on one stage.
        num_modules: usize,
    },
    /// More than there is memory to think about.
    #[error(
        "{num_modules} modules on {num_stages} stages are more than can be balanced: the product \
         may be {}; describe larger modules",
        super::check::MOST_CELLS
    )]
    TooLarge {
        /// Modules that are on one stage.
        num_modules: usize,
        /// Stages asked for.
        num_stages: usize,
    },
    /// The partition has another number of stages.
    #[error(
        "the partition has {num_partitioned} stages and `ranks` {num_stages}, these have to be equal"
    )]
    StagesLength {
        /// Stages of the partition.
        num_partitioned: usize,
        /// Stages that have a rank.
        num_stages: usize,
    },
    /// The partition is not one of this graph.
    #[error("the partition is of another model: `{module}` is on no stage of it")]
    OtherModel {
        /// The first module of the graph that it does not have.
        module: String,
    },
}
