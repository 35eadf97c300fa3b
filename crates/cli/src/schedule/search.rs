//! `autopipe schedule search`: a schedule for given costs and memory.

use anyhow::{bail, ensure};
use autopipe_schedule::search::{Chunks, Found, Memory, Problem, StageCost, search};
use autopipe_schedule::{Communication, CostKey, Costs, Stage};
use serde_json::json;

use super::costs;
use autopipe_schedule::render::number;

use super::figures::percent;
use super::write::{Shown, form, write};
use crate::args::{Form, MemoryLimit, Search};
use crate::output;

/// Prints a schedule and how good one could be at best.
///
/// # Errors
/// If the costs are of a kind that the search does not know, or nothing can be found for them.
pub(super) fn run(args: &Search) -> anyhow::Result<()> {
    let costs = costs::read(&args.costs)?;
    let problem = problem(args, &costs)?;
    let found = search(&problem)?;
    let has_file = args.write.output.is_some();
    if has_file || !args.json {
        if !args.json {
            let figures = figures(&found, &problem);
            // What another program reads has the schedule alone.
            if !has_file && form(&args.write) == Form::Csv {
                output::message(figures.trim_end());
            } else {
                output::result(&format!("{figures}{}", if has_file { "" } else { "\n" }))?;
            }
        }
        write(Shown::Plan(&found.plan), &args.write)?;
    }
    if args.json { output::result(&json(&found, &problem)) } else { Ok(()) }
}

/// How finely memory is counted: parts of the activation of one stage and microbatch.
const PARTS: f64 = 1e6;

fn problem(args: &Search, costs: &Costs) -> anyhow::Result<Problem> {
    check(costs)?;
    let (num_ranks, per_rank) = (args.pp, usize::from(args.stages_per_rank));
    let chunks = if per_rank == 1 { Chunks::One } else { Chunks::V };
    // Enough to check what is there; that there are not too many, the search itself checks.
    let num_stages = num_ranks.saturating_mul(per_rank).min(Stage::LIMIT);
    costs.check_stages(num_stages)?;
    let stage_cost = |stage| {
        let stage = costs.stage(Stage::new(stage));
        let (forward, input, weight) = (stage.forward, stage.backward_input, stage.backward_weight);
        StageCost { forward, input, weight }
    };
    let limit = match args.memory {
        MemoryLimit::Activations(limit) => limit,
        MemoryLimit::TimesRanks(times) => times * (num_ranks as f64) * (per_rank as f64),
    };
    ensure!(
        num_ranks == 0 || limit >= per_rank as f64,
        "a rank may hold {} activations, but one microbatch takes {per_rank}; give it more --memory",
        number(limit)
    );
    let first = costs.stage(Stage::new(0));
    let held = first.held_for_weight / first.activation_bytes;
    ensure!(
        held <= 1.0,
        "held_for_w is {}, but of an activation of {} no more than all is left after I",
        first.held_for_weight,
        first.activation_bytes
    );
    Ok(Problem {
        num_ranks,
        chunks,
        num_microbatches: args.microbatches,
        costs: (0..num_stages).map(stage_cost).collect(),
        latency: costs.message(Stage::new(0)),
        memory: Memory {
            activation: parts(1.0),
            weight_input: parts(held),
            limits: vec![parts(limit); num_ranks.min(Stage::LIMIT)],
        },
        effort: args.effort,
    })
}

/// Refuses what has no effect on a search.
fn check(costs: &Costs) -> anyhow::Result<()> {
    let known =
        [CostKey::Forward, CostKey::BackwardInput, CostKey::BackwardWeight, CostKey::Backward];
    let uniform = [
        CostKey::Latency,
        CostKey::MessageBytes,
        CostKey::Bandwidth,
        CostKey::ActivationBytes,
        CostKey::HeldForWeight,
    ];
    let is_of = |key: &str, keys: &[CostKey]| keys.iter().any(|known| known.name() == key);
    let unknown = costs::given(costs, |key, _| !is_of(key, &known) && !is_of(key, &uniform));
    let listed = costs::given(costs, |key, value| is_of(key, &uniform) && value.is_array());
    let mut problems = Vec::new();
    if costs.communication() != Communication::Async {
        problems.push(format!("its messages are async, not {}", costs.communication()));
    }
    problems.extend(unknown.iter().map(|key| format!("it has no {key}")));
    problems.extend(listed.iter().map(|key| format!("its {key} is the same everywhere")));
    if costs.stage(Stage::new(0)).activation_bytes <= 0.0 {
        problems.push("its activations are larger than 0".to_owned());
    }
    if !problems.is_empty() {
        bail!("no schedule can be searched for such costs: {}", problems.join("; "));
    }
    Ok(())
}

/// A number of activations in parts, none of them more than the number allows.
fn parts(activations: f64) -> u64 {
    let parts = (activations * PARTS).round().clamp(0.0, 1e18);
    format!("{parts:.0}").parse().expect("a whole number of 18 digits")
}

/// The most memory of each rank, in activations.
fn peaks(found: &Found) -> Vec<f64> {
    found.peaks.iter().map(|&peak| peak as f64 / PARTS).collect()
}

fn limit(problem: &Problem) -> f64 {
    problem.memory.limits.first().map_or(0.0, |&limit| limit as f64 / PARTS)
}

fn figures(found: &Found, problem: &Problem) -> String {
    let bound = if found.is_optimal {
        "the lower bound: no schedule costs less".to_owned()
    } else {
        let above = percent((found.cost - found.lower_bound) / found.lower_bound);
        format!("{above} above the lower bound {}", number(found.lower_bound))
    };
    format!(
        "cost      {}, {bound}\n\
         makespan  {}\n\
         bubble    {}\n\
         memory    at most {} of the {} activations that a rank may hold\n\
         by rank   {}\n",
        number(found.cost),
        number(found.makespan),
        percent(found.bubble_rate),
        number(peaks(found).into_iter().fold(0.0, f64::max)),
        number(limit(problem)),
        by_rank(&peaks(found)),
    )
}

/// The first ranks' figures.
fn by_rank(values: &[f64]) -> String {
    const SHOWN: usize = 16;
    let texts: Vec<String> = values.iter().take(SHOWN).map(|&value| number(value)).collect();
    let more = if values.len() > SHOWN { " .." } else { "" };
    format!("{}{more}", texts.join(" "))
}

fn json(found: &Found, problem: &Problem) -> String {
    let figures = json!({
        "cost": found.cost,
        "lower_bound": found.lower_bound,
        "is_optimal": found.is_optimal,
        "makespan": found.makespan,
        "bubble_rate": found.bubble_rate,
        "memory": peaks(found),
        "memory_limit": limit(problem),
        "peak_activations": found.plan.peak_activations(),
    });
    format!("{figures:#}\n")
}
