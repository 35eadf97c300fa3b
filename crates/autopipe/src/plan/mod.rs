//! From a configuration and a model's graph to what every rank will do: pure, and before any weight
//! is loaded.

mod ties;

use std::sync::Arc;

use autopipe_config::{Invalid, PipelineConfig, Rounding, Unsupported};
use autopipe_runtime::{Programs, Tie};
use autopipe_schedule::lower::{Lowering, ReduceGrads, Sharding, lower_with};
use autopipe_schedule::{Extent, Kind, Plan, generate, validate};
use autopipe_splitter::{
    ModuleGraph, Partition, RoundTo, Routes, ScheduleStyle, calculate_virtual_stages, routes,
    split_even, split_explicit,
};

use crate::Error;

/// What a pipeline will do: the stages and the schedule, proved right.
#[derive(Clone, Debug)]
pub struct PipelinePlan {
    /// Which modules each stage has.
    pub partition: Partition,
    /// Which tensors cross each boundary between stages.
    pub routes: Routes,
    /// The trainable parameters of which several stages have a copy: the groups of `REDUCE_TIED`.
    pub ties: Vec<Tie>,
    /// The compute-only table.
    pub table: Plan,
    /// The programs to train and to evaluate with.
    pub programs: Programs,
    /// torch's class name for the schedule or, if torch does not have it, its name; `CSV` for one from
    /// a table.
    pub schedule: String,
    /// Options that are set and make no difference.
    pub without_effect: Vec<Unsupported>,
}

/// Decides stages and schedule for `pp_size` ranks and proves the schedule right.
///
/// `table` is the schedule that `pp_schedule_csv` names, read by whoever reads files; it alone then
/// decides the number of stages and where they lie.
///
/// # Errors
/// Whatever of the configuration, the model and the schedule does not fit together.
pub fn plan(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
) -> Result<PipelinePlan, Error> {
    plan_side_by_side(config, table, pp_size, graph, DataParallel::NONE)
}

/// How many pipelines train side by side, each on batches of its own, and what of the parameters each
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataParallel {
    /// How many have, or share out, parameters of their own.
    pub replicate: usize,
    /// How many share one set of parameters out.
    pub shard: usize,
}

impl DataParallel {
    /// A pipeline alone.
    pub const NONE: Self = Self { replicate: 1, shard: 1 };

    /// How many pipelines there are.
    pub fn num_pipelines(self) -> usize {
        self.replicate.saturating_mul(self.shard)
    }
}

/// As [`plan`], for pipelines side by side: the gradients of each stage are summed over all of them
/// while its rank computes on, and where parameters are shared out, they are gathered before their
/// stage computes, for up to three of a rank's stages at a time as torch does it.
///
/// # Errors
/// As [`plan`].
pub fn plan_side_by_side(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
    data_parallel: DataParallel,
) -> Result<PipelinePlan, Error> {
    let Decided { partition, routes, table, schedule } = decide(config, table, pp_size, graph)?;
    let ties = ties::ties(graph, &partition)?;
    let groups = ties.iter().map(|tie| tie.copies.keys().copied().collect());
    let is_alone = data_parallel.num_pipelines() <= 1;
    let lowering = Lowering {
        tied: groups.collect(),
        reduce_grads: if is_alone { ReduceGrads::Never } else { ReduceGrads::Deferred },
        sharding: (data_parallel.shard > 1).then_some(Sharding::TORCH),
        ..Lowering::default()
    };
    let programs = Programs {
        train: Arc::new(validate(lower_with(&table, &lowering)?)?),
        eval: Arc::new(validate(lower_with(&table.forward_only(), &lowering)?)?),
    };
    let without_effect = config.without_effect();
    Ok(PipelinePlan { partition, routes, ties, table, programs, schedule, without_effect })
}

/// What a plan is before its schedule is proved.
pub(crate) struct Decided {
    pub(crate) partition: Partition,
    pub(crate) routes: Routes,
    pub(crate) table: Plan,
    schedule: String,
}

/// Everything about a plan but the proof of what its schedule is lowered to.
pub(crate) fn decide(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
) -> Result<Decided, Error> {
    let (table, schedule) = schedule(config, table, pp_size, graph)?;
    let partition = match &config.module_fqns_per_model_part {
        Some(lists) => {
            let (schedule, lists_given) = (table.num_stages(), lists.len());
            if schedule != lists_given {
                return Err(Error::NumLists { schedule, lists: lists_given });
            }
            split_explicit(graph, lists)?
        }
        None => split_even(graph, table.num_stages())?,
    };
    let routes = routes(graph, &partition)?;
    Ok(Decided { partition, routes, table, schedule })
}

/// What each rank computes, and what the schedule is called.
pub(crate) fn schedule(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
) -> Result<(Plan, String), Error> {
    config.check().map_err(Error::Config)?;
    config.check_supported().map_err(Error::Unsupported)?;
    let num_microbatches =
        config.num_microbatches().map_err(|problem| Error::Config(vec![problem]))?;
    Ok(match (table, &config.pp_schedule_csv, &config.pp_schedule) {
        (Some(table), _, _) => {
            check_table(table, config, pp_size, num_microbatches)?;
            (table.clone(), "CSV".to_owned())
        }
        (None, Some(path), _) => return Err(Error::UnreadCsv { path: path.clone() }),
        (None, None, Some(name)) => {
            let kind: Kind = name.parse()?;
            let stages_per_rank = match &config.module_fqns_per_model_part {
                Some(lists) => stages_of_lists(lists.len(), pp_size)?,
                None => stages_per_rank(config, kind, pp_size, graph)?,
            };
            let table =
                generate(kind, &Extent { num_ranks: pp_size, stages_per_rank, num_microbatches })?;
            (table, kind.class_name().unwrap_or(kind.name()).to_owned())
        }
        (None, None, None) => return Err(Error::Config(vec![Invalid::NoSchedule])),
    })
}

fn check_table(
    table: &Plan,
    config: &PipelineConfig,
    pp_size: usize,
    num_microbatches: usize,
) -> Result<(), Error> {
    if !table.has_backward() {
        return Err(Error::NoBackward);
    }
    // Whether or not a file's name stands for it in the configuration.
    let named = PipelineConfig {
        pp_schedule_csv: Some(config.pp_schedule_csv.clone().unwrap_or_default()),
        ..config.clone()
    };
    named.check_supported().map_err(Error::Unsupported)?;
    if table.num_ranks() != pp_size {
        return Err(Error::TableRanks { table: table.num_ranks(), pp_size });
    }
    if table.num_microbatches() != num_microbatches {
        return Err(Error::TableMicrobatches {
            table: table.num_microbatches(),
            batch: config.pp_batch_size,
            microbatch: config.pp_microbatch_size,
        });
    }
    Ok(())
}

/// How many stages each rank gets of those that are listed.
fn stages_of_lists(num_lists: usize, pp_size: usize) -> Result<usize, Error> {
    if pp_size == 0 || !num_lists.is_multiple_of(pp_size) {
        return Err(Error::UnevenLists { lists: num_lists, pp_size });
    }
    Ok(num_lists / pp_size)
}

/// How many stages each rank gets, as the originals derive it from `layers_per_stage`.
fn stages_per_rank(
    config: &PipelineConfig,
    kind: Kind,
    pp_size: usize,
    graph: &ModuleGraph,
) -> Result<usize, Error> {
    let style = if kind.stages_per_rank().is_single() {
        ScheduleStyle::Single
    } else {
        ScheduleStyle::Multi
    };
    let rounding = config.round_virtual_stages_to_pp_multiple.map(|rounding| match rounding {
        Rounding::Up => RoundTo::Up,
        Rounding::Down => RoundTo::Down,
    });
    let (_, per_rank) = calculate_virtual_stages(
        graph.num_layers(),
        config.layers_per_stage,
        pp_size,
        style,
        rounding,
    )?;
    Ok(per_rank)
}

#[cfg(test)]
mod tests;
