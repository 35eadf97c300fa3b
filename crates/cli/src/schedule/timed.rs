//! Schedules against the clock, with what follows from it.

use anyhow::anyhow;
use autopipe_schedule::render::Chart;
use autopipe_schedule::{
    Analysis, Bubble, Communication, Costs, Timeline, analyze, lower, simulate, simulate_plan,
    validate,
};

use super::costs;
use super::figures::counted;
use super::read::{self, Input, Table};
use crate::args::{CostsOf, Timing};

/// A schedule, when everything of it happens, and why.
pub(super) struct Timed {
    pub(super) name: String,
    pub(super) num_stages: usize,
    pub(super) num_microbatches: usize,
    pub(super) costs: Costs,
    pub(super) timeline: Timeline,
    pub(super) analysis: Analysis,
    /// Of a timeline that was measured, what its costs predict of it.
    pub(super) prediction: Option<Timeline>,
}

impl Timed {
    pub(super) fn chart(&self) -> Chart<'_> {
        Chart { title: &self.name, timeline: &self.timeline, analysis: &self.analysis }
    }

    pub(super) fn num_ranks(&self) -> usize {
        self.timeline.rows().len()
    }

    /// Its sizes in words.
    pub(super) fn size(&self) -> String {
        [
            counted(self.num_ranks(), "rank"),
            counted(self.num_stages, "stage"),
            counted(self.num_microbatches, "microbatch").replace("batchs", "batches"),
        ]
        .join(", ")
    }

    /// The idle time of all ranks together, by cause.
    pub(super) fn idle(&self) -> Bubble {
        let add = |sum: Bubble, rank: &Bubble| Bubble {
            warm_up: sum.warm_up + rank.warm_up,
            dependency: sum.dependency + rank.dependency,
            communication: sum.communication + rank.communication,
            tail: sum.tail + rank.tail,
        };
        self.analysis.bubble.iter().fold(Bubble::default(), add)
    }
}

/// Times all schedules under the same costs.
///
/// # Errors
/// Everything that is wrong with the costs, or with any of the schedules.
pub(super) fn all(
    inputs: Vec<anyhow::Result<Input>>,
    timing: &Timing,
) -> anyhow::Result<Vec<Timed>> {
    let costs = costs::timing(timing)?;
    let time = |input: anyhow::Result<Input>| time(input?, &costs, timing.costs_of);
    read::collect(inputs.into_iter().map(time).collect())
}

/// Times a schedule. A plan is timed as it is where messages are buffered, and with its sends and
/// receives where their order counts.
///
/// # Errors
/// If the costs are for another number of stages, or the program is not right.
pub(super) fn time(input: Input, costs: &Costs, of: CostsOf) -> anyhow::Result<Timed> {
    let Input { name, table } = input;
    let named = |error: &dyn std::fmt::Display| anyhow!("{name}: {error}");
    let (program, measured) = match table {
        Table::Plan(plan) if costs.communication() == Communication::Async => {
            let (num_stages, num_microbatches) = (plan.num_stages(), plan.num_microbatches());
            let costs = costs::of_stages(costs, of, plan.num_ranks(), num_stages)
                .map_err(|error| named(&error))?;
            let timeline = simulate_plan(&plan, &costs);
            let analysis = analyze(&timeline, &costs);
            let prediction = None;
            return Ok(Timed {
                name,
                num_stages,
                num_microbatches,
                costs,
                timeline,
                analysis,
                prediction,
            });
        }
        Table::Plan(plan) => (lower(&plan), None),
        Table::Program(program) => (program, None),
        Table::Measured { timeline, program } => (program, Some(timeline)),
    };
    let program = validate(program).map_err(|error| {
        named(&format_args!("{error}\n`autopipe schedule validate` shows it in its table"))
    })?;
    let (num_stages, num_microbatches) = (program.num_stages(), program.num_microbatches());
    // What was measured has its own costs.
    let (timeline, costs, prediction) = match measured {
        Some(timeline) => {
            let costs = Costs::measured(&timeline).with_communication(costs.communication());
            let prediction = simulate(&program, &costs).with_sizes(&costs);
            (timeline, costs, Some(prediction))
        }
        None => {
            let costs = costs::of_stages(costs, of, program.num_ranks(), num_stages)
                .map_err(|error| named(&error))?;
            (simulate(&program, &costs), costs, None)
        }
    };
    let analysis = analyze(&timeline, &costs);
    Ok(Timed { name, num_stages, num_microbatches, costs, timeline, analysis, prediction })
}
