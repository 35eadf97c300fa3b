//! Is what describes a step complete and of one mind? Everything that is wrong comes at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{BalanceError, BalanceProblem, MemoryLimits, ModuleTimes, StepModel};
use crate::ModuleGraph;
use crate::nearest::nearest;

/// The most modules times stages: some hundred megabytes of tables.
pub(super) const MOST_CELLS: usize = 1 << 24;

/// Far beyond any step, and so small that no sum of such numbers is infinite.
pub(super) const MOST: f64 = 1e60;

/// For how many unknown names the nearest module is looked for.
const MOST_NEAREST: usize = 32;

/// What a checked model says, without what can be wrong.
#[derive(Debug)]
pub(super) struct Checked {
    /// Seconds of each module of the graph, in its order.
    pub(super) times: Vec<f64>,
    /// Bytes of each rank, infinite without a limit.
    pub(super) limits: Vec<f64>,
}

/// What `model` says of `graph`; `problems` are those that the caller has found already.
pub(super) fn check(
    graph: &ModuleGraph,
    model: &StepModel,
    mut problems: Vec<BalanceProblem>,
) -> Result<Checked, BalanceError> {
    let num_stages = model.ranks.len();
    if num_stages == 0 {
        problems.push(BalanceProblem::NoStages);
    }
    if model.num_microbatches == 0 {
        problems.push(BalanceProblem::NoMicrobatches);
    }
    if model.memory.held.len() != num_stages {
        let num_held = model.memory.held.len();
        problems.push(BalanceProblem::HeldLength { num_stages, num_held });
    }
    number(&mut problems, "the link's bytes_per_second", model.link.bytes_per_second, true);
    number(&mut problems, "the link's latency", model.link.latency, false);
    number(&mut problems, "bytes_per_trainable", model.memory.bytes_per_trainable, false);
    number(&mut problems, "bytes_per_frozen", model.memory.bytes_per_frozen, false);
    let limits = limits(&mut problems, model);
    let times = match &model.times {
        ModuleTimes::Computed { flops_per_second, backward_per_forward } => {
            number(&mut problems, "flops_per_second", *flops_per_second, true);
            number(&mut problems, "backward_per_forward", *backward_per_forward, false);
            let rounds = 1.0 + backward_per_forward;
            let seconds = |flops: f64| flops * rounds / flops_per_second;
            graph.modules().map(|module| seconds(module.flops.at(model.shape))).collect()
        }
        ModuleTimes::Measured(times) => measured(&mut problems, graph, times),
    };
    if problems.is_empty() {
        // A slow machine and a large model may together take longer than can be told.
        for (module, &time) in graph.modules().zip(&times) {
            number(&mut problems, format!("the time of `{}`", module.name), time, false);
        }
    }
    if problems.is_empty() {
        Ok(Checked { times, limits })
    } else {
        Err(BalanceError::Model(problems))
    }
}

fn limits(problems: &mut Vec<BalanceProblem>, model: &StepModel) -> Vec<f64> {
    let used: BTreeSet<usize> = model.ranks.iter().copied().collect();
    // Of ranks without a gap, the one at each place is its place.
    if let Some((rank, _)) = (0..).zip(&used).find(|(place, rank)| place != *rank) {
        problems.push(BalanceProblem::IdleRank { rank });
    }
    match &model.memory.limits {
        MemoryLimits::Unlimited => vec![f64::INFINITY; used.len()],
        MemoryLimits::Each(limit) => {
            number(problems, "the memory of each rank", *limit, false);
            vec![*limit; used.len()]
        }
        MemoryLimits::PerRank(limits) => {
            for (rank, limit) in limits.iter().enumerate() {
                number(problems, format!("the memory of rank {rank}"), *limit, false);
            }
            if limits.len() != used.len() {
                let (num_ranks, num_limits) = (used.len(), limits.len());
                problems.push(BalanceProblem::LimitsLength { num_ranks, num_limits });
            }
            limits.clone()
        }
    }
}

fn measured(
    problems: &mut Vec<BalanceProblem>,
    graph: &ModuleGraph,
    times: &BTreeMap<String, f64>,
) -> Vec<f64> {
    let mut num_unknown = 0;
    for (name, &time) in times {
        if graph.module(name).is_none() {
            num_unknown += 1;
            let names = graph.modules().map(|module| &module.name);
            let nearest = if num_unknown <= MOST_NEAREST { nearest(name, names) } else { None };
            problems.push(BalanceProblem::UnknownModule { module: name.clone(), nearest });
        }
        number(problems, format!("the time of `{name}`"), time, false);
    }
    let mut seconds = Vec::new();
    for module in graph.modules() {
        match times.get(&module.name) {
            Some(&time) => seconds.push(time),
            None => problems.push(BalanceProblem::NotMeasured { module: module.name.clone() }),
        }
    }
    seconds
}

fn number(problems: &mut Vec<BalanceProblem>, what: impl Into<String>, value: f64, positive: bool) {
    let small = if positive { value > 0.0 } else { value >= 0.0 };
    if !(small && value <= MOST) {
        problems.push(BalanceProblem::Number { what: what.into(), value, positive });
    }
}
