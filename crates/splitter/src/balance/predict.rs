//! What a step takes on a partition: times and memory of its stages and ranks.

use super::check::{Checked, check};
use super::costs::float;
use super::held::Held;
use super::traffic::traffic;
use super::{BalanceError, BalanceProblem, StepModel};
use crate::{ModuleGraph, Partition, Role};

/// What a step is predicted to take. Seconds and bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The whole step, as [`StepModel`] defines it.
    pub step_time: f64,
    /// By stage.
    pub stages: Vec<StagePrediction>,
    /// By rank.
    pub ranks: Vec<RankPrediction>,
}

/// What one stage takes.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePrediction {
    /// Where it is.
    pub rank: usize,
    /// Seconds of computing per microbatch.
    pub time: f64,
    /// Bytes that it sends to the next stage per microbatch, and gets back as gradients. Counted
    /// also where the next stage is on the same rank.
    pub sent_bytes: f64,
    /// Seconds of that, per microbatch; none to a stage on the same rank.
    pub sending: f64,
    /// Bytes of parameters with all that belongs to them.
    pub parameter_bytes: f64,
    /// Bytes of activations at the peak.
    pub activation_bytes: f64,
}

/// What one rank takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RankPrediction {
    /// Seconds of computing per microbatch.
    pub time: f64,
    /// Bytes of all its stages. A tensor that two of them share counts in both.
    pub bytes: f64,
    /// Bytes that it has, if that is limited.
    pub limit: Option<f64>,
}

impl RankPrediction {
    /// Whether it has the memory that it needs.
    pub fn fits(&self) -> bool {
        self.limit.is_none_or(|limit| self.bytes <= limit)
    }
}

impl Prediction {
    /// The rank that the others wait for: the first of those that compute longest.
    pub fn busiest_rank(&self) -> usize {
        let times = self.ranks.iter().map(|rank| rank.time);
        times.enumerate().fold((0, 0.0), |max, new| if new.1 > max.1 { new } else { max }).0
    }
}

/// Predicts a step on any partition of `graph`, balanced or not; also one that does not fit.
///
/// # Errors
/// If `model` contradicts itself, the graph or the partition. The error holds everything at once.
pub fn evaluate(
    graph: &ModuleGraph,
    partition: &Partition,
    model: &StepModel,
) -> Result<Prediction, BalanceError> {
    let num_stages = model.ranks.len();
    let place = |module: &crate::Module| match module.role {
        Role::EveryStage => None,
        Role::Layer | Role::Boundary => partition.stage_of(&module.name),
    };
    let mut problems = Vec::new();
    if partition.num_stages() != num_stages {
        let num_partitioned = partition.num_stages();
        problems.push(BalanceProblem::StagesLength { num_partitioned, num_stages });
    }
    let mut own = graph.modules().filter(|module| module.role != Role::EveryStage);
    if let Some(module) = own.find(|module| place(module).is_none()) {
        problems.push(BalanceProblem::OtherModel { module: module.name.clone() });
    }
    let Checked { times, limits } = check(graph, model, problems)?;

    let held = Held::new(graph, num_stages, place);
    let gaps = traffic(graph, num_stages, model.shape, place);
    let mut stages: Vec<StagePrediction> = (model.ranks.iter().enumerate())
        .map(|(stage, &rank)| {
            let gap = gaps.get(stage).copied().unwrap_or_default();
            let is_same = model.ranks.get(stage + 1).is_none_or(|next| *next == rank);
            StagePrediction {
                rank,
                time: 0.0,
                sent_bytes: gap.bytes + gap.gradient_bytes,
                sending: if is_same { 0.0 } else { gap.seconds(model.link) },
                parameter_bytes: held.range(stage, stage + 1).bytes(&model.memory),
                activation_bytes: 0.0,
            }
        })
        .collect();
    for (module, time) in graph.modules().zip(times) {
        let bytes = module.activation_bytes.among(model.memory.num_parts, model.shape);
        let on = match place(module) {
            Some(stage) => stage..stage + 1,
            None => 0..num_stages,
        };
        for (stage, held) in stages[on.clone()].iter_mut().zip(&model.memory.held[on]) {
            stage.time += time;
            stage.activation_bytes += float(*held) * bytes;
        }
    }
    let no_rank = |limit: f64| RankPrediction {
        time: 0.0,
        bytes: 0.0,
        limit: limit.is_finite().then_some(limit),
    };
    let mut ranks: Vec<_> = limits.into_iter().map(no_rank).collect();
    for stage in &stages {
        let rank = &mut ranks[stage.rank];
        rank.time += stage.time;
        rank.bytes += stage.parameter_bytes + stage.activation_bytes;
    }
    let once: f64 = stages.iter().map(|stage| stage.time + stage.sending).sum();
    let busiest = ranks.iter().map(|rank| rank.time).fold(0.0, f64::max);
    let step_time = once + float(model.num_microbatches - 1) * busiest;
    Ok(Prediction { step_time, stages, ranks })
}
