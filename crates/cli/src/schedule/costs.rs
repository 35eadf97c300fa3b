//! The costs that are given, as a schedule of some size needs them.

use anyhow::{Context as _, anyhow, bail};
use autopipe_schedule::{CostKey, Costs, Stage, Timeline};
use serde_json::Value;

use super::measured;
use crate::args::{CostsArgs, CostsOf, Timing};

/// Reads the costs, whatever the schedule.
///
/// # Errors
/// If their file cannot be read; everything that is wrong with them.
pub(super) fn read(args: &CostsArgs) -> anyhow::Result<Costs> {
    read_with_run(args).map(|(costs, _)| costs)
}

/// Reads the costs, and the run that they were measured in if it is that which is given.
fn read_with_run(args: &CostsArgs) -> anyhow::Result<(Costs, Option<Timeline>)> {
    let Some(path) = &args.costs_file else {
        return Ok((args.costs.clone().unwrap_or(Costs::UNIT), None));
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{name}`"))?;
    if let Some(run) = measured::timeline(&name, &text)? {
        return Ok((Costs::measured(&run), Some(run)));
    }
    let costs = serde_json::from_str(&text).map_err(|error| anyhow!("{name}: {error}"))?;
    Ok((costs, None))
}

/// Reads the costs and how messages pass.
///
/// # Errors
/// As [`read`], or if the costs are a rank's and cannot be shared out among its stages.
pub(super) fn timing(args: &Timing) -> anyhow::Result<Costs> {
    timing_with_run(args).map(|(costs, _)| costs)
}

/// As [`timing`], and the run that the costs were measured in if it is that which is given.
///
/// # Errors
/// As [`timing`].
pub(super) fn timing_with_run(args: &Timing) -> anyhow::Result<(Costs, Option<Timeline>)> {
    let (costs, run) = read_with_run(&args.costs)?;
    if args.costs_of == CostsOf::Rank {
        let lists = given(&costs, |key, value| {
            !matches!(key, "microbatches" | "microbatch_sizes") && !value.is_number()
        });
        if !lists.is_empty() {
            bail!(
                "--costs-of rank takes one value for all ranks, but more are given for {}",
                lists.join(", ")
            );
        }
    }
    let costs = match args.comm {
        Some(comm) => costs.with_communication(comm),
        None => costs,
    };
    Ok((costs, run))
}

/// The costs of a schedule's stages.
///
/// # Errors
/// If there are not as many values as stages.
pub(super) fn of_stages(
    costs: &Costs,
    of: CostsOf,
    num_ranks: usize,
    num_stages: usize,
) -> anyhow::Result<Costs> {
    costs.check_stages(num_stages)?;
    match of {
        CostsOf::Stage => Ok(costs.clone()),
        CostsOf::Rank => scaled(costs, num_ranks as f64 / num_stages as f64),
    }
}

/// The keys whose values, as JSON has them, are of a kind.
pub(super) fn given(costs: &Costs, is_meant: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    match serde_json::to_value(costs) {
        Ok(Value::Object(keys)) => {
            let is_cost = |key: &str| key != "communication";
            let keys = keys.into_iter().filter(|(key, value)| is_cost(key) && is_meant(key, value));
            keys.map(|(key, _)| key).collect()
        }
        _ => Vec::new(),
    }
}

/// Costs whose times and sizes of a stage are a part of what they were. They are the same for all
/// stages; those of messages stay, for a message is as large however the model is cut.
fn scaled(costs: &Costs, part: f64) -> anyhow::Result<Costs> {
    let stage = *costs.stage(Stage::new(0));
    let keys = [
        (CostKey::Forward, stage.forward),
        (CostKey::BackwardInput, stage.backward_input),
        (CostKey::BackwardWeight, stage.backward_weight),
        (CostKey::Backward, stage.backward),
        (CostKey::Recompute, stage.recompute),
        (CostKey::Unshard, stage.unshard),
        (CostKey::Reshard, stage.reshard),
        (CostKey::ReduceGrad, stage.reduce_grad),
        (CostKey::OptimizerStep, stage.optimizer_step),
        (CostKey::ActivationBytes, stage.activation_bytes),
        (CostKey::HeldForWeight, stage.held_for_weight),
        (CostKey::HeldForRecompute, stage.held_for_recompute),
        (CostKey::Resident, stage.resident),
        (CostKey::WorkspaceForward, stage.workspace_forward),
        (CostKey::WorkspaceInput, stage.workspace_input),
        (CostKey::WorkspaceWeight, stage.workspace_weight),
        (CostKey::WorkspaceBackward, stage.workspace_backward),
        (CostKey::WorkspaceRecompute, stage.workspace_recompute),
    ];
    let overlap = stage.overlap.map(|time| (CostKey::Overlap, time));
    let mut costs = costs.clone();
    for (key, value) in keys.into_iter().chain(overlap) {
        costs = costs.with(key, value * part)?;
    }
    Ok(costs)
}
