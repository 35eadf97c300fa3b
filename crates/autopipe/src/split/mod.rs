//! Ways to split a model that `PipelineConfig` has no option for: as lists, for which it has one.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use autopipe_config::{PipelineConfig, Unsupported};
use autopipe_schedule::{ComputeOp, Plan, Stage};
use autopipe_splitter::{
    Layout, LayoutError, Link, Memory, MemoryLimits, ModuleGraph, ModuleTimes, Partition,
    StepModel, Weights, balance, split_even_weighted, split_layout,
};

use crate::forecast::{costs, float};
use crate::plan::schedule;
use crate::{Error, ParameterBytes, Workload};

/// How a model's layers are shared out over stages.
///
/// As text it is `even`, `even:1,1` with weights for what is before and after the layers,
/// `balanced`, or a layout in Megatron-LM's notation.
///
/// ```
/// use autopipe::Split;
/// use autopipe::splitter::Weights;
///
/// assert_eq!("even:1,2".parse(), Ok(Split::Even(Weights { first: 1, last: 2 })));
/// assert_eq!("Ett|ttL".parse::<Split>()?.to_string(), "Ett|ttL");
/// # Ok::<(), autopipe::SplitError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// As many layers on each stage as on the others; the ends of the model count for some.
    Even(Weights),
    /// Such that a step is predicted to be shortest, within the memory of the ranks.
    Balanced,
    /// As somebody has written it down.
    Layout(Layout),
}

impl Default for Split {
    /// The original's: only layers count.
    fn default() -> Self {
        Self::Even(Weights::default())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even(Weights { first: 0, last: 0 }) => f.write_str("even"),
            Self::Even(Weights { first, last }) => write!(f, "even:{first},{last}"),
            Self::Balanced => f.write_str("balanced"),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}

/// A text that names no way to split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Something else than two numbers behind `even:`.
    #[error(
        "`{text}` has no two weights; write `even:1,1` for an embedding and a head that count as a layer each"
    )]
    Weights {
        /// The text.
        text: String,
    },
    /// Neither a word nor a layout.
    #[error(
        "a split is `even`, `even:FIRST,LAST`, `balanced` or a layout such as `Ett|tt|ttL`: {0}"
    )]
    Layout(#[from] LayoutError),
}

impl FromStr for Split {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "even" => return Ok(Self::default()),
            "balanced" => return Ok(Self::Balanced),
            _ => {}
        }
        let Some(weights) = text.trim().strip_prefix("even:") else {
            return Ok(Self::Layout(text.parse()?));
        };
        let weights = weights.split_once(',').and_then(|(first, last)| {
            Some(Weights { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        });
        weights.map(Self::Even).ok_or_else(|| SplitError::Weights { text: text.to_owned() })
    }
}

/// The same configuration with the split as `module_fqns_per_model_part`, which every rank then
/// builds by.
///
/// A balanced split takes the times, the memory and its limit from `workload`, and from the schedule
/// how many activations a stage holds; it says nothing of the machine unless `workload` does.
///
/// # Errors
/// If the configuration lists modules already, or there is no schedule or split of this kind.
pub fn split(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
    split: &Split,
    workload: &Workload,
) -> Result<PipelineConfig, Error> {
    if *split == Split::default() {
        return Ok(config.clone());
    }
    if config.module_fqns_per_model_part.is_some() {
        return Err(Error::SplitTwice { split: split.clone() });
    }
    let partition = match split {
        Split::Layout(layout) => {
            if let Some(layers) = config.layers_per_stage {
                let reason = "the layout of `split` says already which layers a stage holds";
                let unsupported = Unsupported::new("layers_per_stage", layers, reason);
                return Err(Error::Unsupported(vec![unsupported]));
            }
            let (split, stages) = (split.clone(), layout.stages().len());
            if pp_size == 0 || !stages.is_multiple_of(pp_size) {
                return Err(Error::LayoutStages { split, stages, pp_size });
            }
            split_layout(graph, layout)?
        }
        Split::Even(weights) => {
            let (table, _) = schedule(config, table, pp_size, graph)?;
            split_even_weighted(graph, table.num_stages(), weights)?
        }
        Split::Balanced => {
            let (table, _) = schedule(config, table, pp_size, graph)?;
            balanced(graph, &table, workload)?
        }
    };
    let lists = partition.stages().iter().map(|stage| stage.modules().to_vec());
    Ok(PipelineConfig {
        layers_per_stage: None,
        round_virtual_stages_to_pp_multiple: None,
        module_fqns_per_model_part: Some(lists.collect()),
        ..config.clone()
    })
}

/// The cut with the shortest step.
pub(crate) fn balanced(
    graph: &ModuleGraph,
    table: &Plan,
    workload: &Workload,
) -> Result<Partition, Error> {
    let Workload { microbatch: shape, parameter_bytes, shards, speed, memory_limit } = *workload;
    // Without a machine, of one that computes an operation in a unit of time and sends at once.
    let flops_per_second = speed.map_or(1.0, |speed| speed.flops) * shards.of_layers();
    // Before the first trainable parameter nothing goes backward.
    let num_frozen = graph.modules().take_while(|module| module.num_trainable() == 0).count();
    let times = graph.modules().enumerate().map(|(place, module)| {
        let (flops, attention) = (module.flops.at(shape), module.flops.of_pairs_at(shape));
        let time = if place < num_frozen { flops } else { costs::time(flops, attention) };
        (module.name.clone(), time / flops_per_second)
    });
    let share = |bytes: usize, among: usize| float(bytes) / float(among.max(1));
    let ParameterBytes { weight, gradient, optimizer } = parameter_bytes;
    let weight = share(weight, shards.weights);
    let bytes = weight + share(gradient, shards.gradients) + share(optimizer, shards.optimizer);
    // The model counts whole sequences; so everything else is counted as many times.
    let whole = float(shards.sequence.max(1));
    let bandwidth = speed.and_then(|speed| speed.bandwidth);
    let placement = table.placement();
    let ranks = (0..table.num_stages()).map(|stage| placement.rank_of(Stage::new(stage)).index());
    let model = StepModel {
        shape,
        num_microbatches: table.num_microbatches(),
        ranks: ranks.collect(),
        times: ModuleTimes::Measured(times.collect::<BTreeMap<_, _>>()),
        link: Link {
            bytes_per_second: bandwidth
                .map_or(1e60, |bandwidth| bandwidth * float(shards.sequence.max(1))),
            latency: 0.0,
        },
        memory: Memory {
            bytes_per_trainable: bytes * whole,
            bytes_per_frozen: weight * whole,
            held: held(table),
            num_parts: shards.layer.max(1),
            limits: memory_limit
                .map_or(MemoryLimits::Unlimited, |limit| MemoryLimits::Each(limit * whole)),
        },
    };
    Ok(balance(graph, &model)?.partition)
}

/// For each stage, how many microbatches it holds activations of at its peak: each from its forward
/// to the end of its backward, in the order in which its rank computes.
fn held(table: &Plan) -> Vec<usize> {
    let mut peaks = vec![0_usize; table.num_stages()];
    let mut now = peaks.clone();
    for compute in table.rows().iter().flatten().flat_map(|work| work.parts()) {
        let stage = compute.stage.index();
        match compute.op {
            ComputeOp::Forward => now[stage] += 1,
            ComputeOp::Backward | ComputeOp::BackwardWeight => {
                now[stage] = now[stage].saturating_sub(1);
            }
            ComputeOp::BackwardInput | ComputeOp::Recompute => {}
        }
        peaks[stage] = peaks[stage].max(now[stage]);
    }
    peaks
}
