//! What can be wrong with a split, or with the numbers that lead to one.

use std::fmt::{Display, Write as _};

use crate::LayoutProblem;
use crate::nearest::did_you_mean;

/// The most stages or layers that are listed by their numbers.
pub(crate) const MOST_LISTED: usize = 1 << 20;

/// Something that no split or placement can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pipeline of no stages.
    #[error("0 stages hold no model, a pipeline needs at least 1")]
    NoStages,
    /// Some stage would be left without a layer.
    #[error("{} at least {}, the model has {num_layers}", needing(*.num_stages), counted(*.num_needed, "layer"))]
    TooFewLayers {
        /// Stages asked for.
        num_stages: usize,
        /// Layers without which one would be empty: one each, but for ends that count by themselves.
        num_needed: usize,
        /// Layers of the model.
        num_layers: usize,
    },
    /// Far more than anybody has.
    #[error("{number} {what} are more than can be listed, the limit is {}", MOST_LISTED)]
    TooMany {
        /// What there is too much of: stages or layers.
        what: &'static str,
        /// How many.
        number: usize,
    },
    /// The stages as given, or as they would be, do not make up the model. Holds everything that is
    /// wrong, at least one problem.
    #[error("the stages do not make up the model:{}", listed(.0))]
    Split(Vec<Problem>),
    /// A layout of other modules than the model has. Holds everything that is wrong, at least one
    /// problem.
    #[error("the layout does not fit the model:{}", listed(.0))]
    Layout(Vec<LayoutProblem>),
    /// A module that nothing leads to or from.
    #[error(
        "module `{module}` is not connected to the first one, so that its place in the data flow \
         is unknown; add the edges between them"
    )]
    Unconnected {
        /// The first such module.
        module: String,
    },
    /// Stages of no layers.
    #[error("layers_per_stage is 0, a stage needs at least 1 layer")]
    NoLayersPerStage,
    /// A pipeline of no ranks.
    #[error("the pipeline has 0 ranks, it needs at least 1")]
    NoRanks,
    /// The stages cannot be shared out evenly, and nothing says which way to round.
    #[error(
        "{num_layers} layers at {layers_per_stage} per stage make {num_stages} stages, and \
         {pp_size} ranks cannot share these evenly; set round_virtual_stages_to_pp_multiple to \
         `up` or `down`, or leave layers_per_stage out"
    )]
    UnevenStages {
        /// Layers of the model.
        num_layers: usize,
        /// Layers per stage asked for.
        layers_per_stage: usize,
        /// The stages that these make.
        num_stages: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// A schedule with one stage per rank, and another number of stages.
    #[error(
        "the schedule has 1 stage per rank, {num_layers} layers at {layers_per_stage} per stage \
         make {stages_per_rank} on each of {pp_size} ranks; leave layers_per_stage out to get 1"
    )]
    NotOneStagePerRank {
        /// Layers of the model.
        num_layers: usize,
        /// Layers per stage asked for.
        layers_per_stage: usize,
        /// Stages per rank that these make, after rounding.
        stages_per_rank: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// A schedule with several stages per rank, and fewer than two.
    #[error(
        "the schedule has at least 2 stages per rank, {num_layers} layers at {layers_per_stage} \
         per stage make {stages_per_rank} on each of {pp_size} ranks; use fewer layers per stage, \
         or leave layers_per_stage out to get 2"
    )]
    NotSeveralStagesPerRank {
        /// Layers of the model.
        num_layers: usize,
        /// Layers per stage asked for.
        layers_per_stage: usize,
        /// Stages per rank that these make, after rounding.
        stages_per_rank: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// More ranks or stages than can be counted.
    #[error("the stages of {pp_size} ranks cannot be counted; use fewer ranks")]
    TooManyRanks {
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// A rank outside the pipeline.
    #[error("rank {pp_rank} is not one of the {pp_size} ranks of the pipeline")]
    UnknownRank {
        /// The rank asked for.
        pp_rank: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// Some ranks would have more stages than others.
    #[error("{pp_size} ranks cannot share {num_stages} stages evenly")]
    UnevenPlacement {
        /// Stages to place.
        num_stages: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
    /// The V has two legs, and each rank is on both.
    #[error(
        "a V placement has 2 stages per rank, so {pp_size} ranks have {}, not {num_stages}",
        .pp_size.saturating_mul(2)
    )]
    NotTwoStagesPerRank {
        /// Stages to place.
        num_stages: usize,
        /// Ranks in the pipeline.
        pp_size: usize,
    },
}

/// One reason why stages do not make up the model. Stages are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name that is no module of the graph.
    #[error("stage {stage}: the model has no module `{module}`{}", did_you_mean(.nearest))]
    UnknownModule {
        /// The stage that lists it.
        stage: usize,
        /// The name.
        module: String,
        /// The module that was probably meant.
        nearest: Option<String>,
    },
    /// A name of something inside a module, and modules are not cut.
    #[error(
        "stage {stage}: `{inner}` is a part of `{module}`, which can only be listed as a whole"
    )]
    Inside {
        /// The stage that lists it.
        stage: usize,
        /// The name.
        inner: String,
        /// The module that it is in.
        module: String,
    },
    /// A name that several modules begin with and that is none itself.
    #[error(
        "stage {stage}: `{prefix}` is no module, the names of modules such as `{module}` begin \
         with it; list these"
    )]
    Prefix {
        /// The stage that lists it.
        stage: usize,
        /// The name.
        prefix: String,
        /// The first module below it, by name.
        module: String,
    },
    /// A module that no stage has.
    #[error("module `{module}` is on no stage")]
    Missing {
        /// The module.
        module: String,
    },
    /// A module listed twice.
    #[error(
        "module `{module}` is on stage {first} and again on stage {second}, it can be on one only"
    )]
    Duplicate {
        /// The module.
        module: String,
        /// The stage that lists it first.
        first: usize,
        /// The stage that lists it again, maybe the same.
        second: usize,
    },
    /// Data would have to flow from a stage to an earlier one.
    #[error(
        "module `{to}` takes the output of `{from}`, and is on stage {to_stage} before it on \
         stage {from_stage}"
    )]
    AgainstFlow {
        /// The module that data comes from.
        from: String,
        /// Its stage.
        from_stage: usize,
        /// The module that data goes to.
        to: String,
        /// Its stage, an earlier one.
        to_stage: usize,
    },
    /// A stage with nothing to compute.
    #[error("stage {stage} has no module of its own")]
    EmptyStage {
        /// The stage.
        stage: usize,
    },
}

/// One problem in the same line, several in a list.
pub(crate) fn listed(problems: &[impl Display]) -> String {
    if let [problem] = problems {
        return format!(" {problem}");
    }
    problems.iter().fold(String::new(), |mut list, problem| {
        // Writing to a string cannot fail.
        let _ = write!(list, "\n  - {problem}");
        list
    })
}

fn needing(num_stages: usize) -> String {
    let need = if num_stages == 1 { "needs" } else { "need" };
    format!("{} {need}", counted(num_stages, "stage"))
}

fn counted(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}
