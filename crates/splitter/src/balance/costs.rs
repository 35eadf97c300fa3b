//! A checked model as what the searches look up: of any run of modules the time and the memory, of
//! any place to cut what is sent there.

use std::collections::BTreeMap;

use super::check::{Checked, MOST_CELLS, check};
use super::held::Held;
use super::traffic::traffic;
use super::{BalanceError, BalanceProblem, StepModel};
use crate::{ModuleGraph, Role};

/// Modules are those that are on one stage, by their place in the graph's order; what is on every
/// stage is added to each. A cut is the end of each stage: the place of the first module behind it.
#[derive(Debug)]
pub(super) struct Costs<'a> {
    pub(super) names: Vec<&'a str>,
    /// Seconds of all modules before each, and of all.
    time: Vec<f64>,
    every_time: f64,
    /// Seconds that sending takes if the model is cut before each module, and none at the ends.
    sending: Vec<f64>,
    held: Held,
    /// Bytes per microbatch of all modules before each, and of all.
    activation: Vec<f64>,
    every_activation: f64,
    model: &'a StepModel,
    /// Bytes by rank.
    pub(super) limits: Vec<f64>,
    /// Microbatches beside the first, each of which takes the busiest rank's time.
    pub(super) following: f64,
}

impl<'a> Costs<'a> {
    pub(super) fn new(graph: &'a ModuleGraph, model: &'a StepModel) -> Result<Self, BalanceError> {
        if let Some(module) = graph.unconnected() {
            return Err(crate::Error::Unconnected { module: module.name.clone() }.into());
        }
        let own = || graph.modules().filter(|module| module.role != Role::EveryStage);
        let names: Vec<&str> = own().map(|module| module.name.as_str()).collect();
        let (num_modules, num_stages) = (names.len(), model.ranks.len());
        let mut problems = Vec::new();
        if num_modules < num_stages {
            problems.push(BalanceProblem::TooFewModules { num_stages, num_modules });
        }
        if num_modules.saturating_mul(num_stages) > MOST_CELLS {
            problems.push(BalanceProblem::TooLarge { num_modules, num_stages });
        }
        let Checked { times, limits } = check(graph, model, problems)?;

        let places: BTreeMap<&str, usize> = names.iter().copied().zip(0..).collect();
        let place = |module: &crate::Module| places.get(module.name.as_str()).copied();
        let mut sending = vec![0.0; num_modules + 1];
        let gaps = traffic(graph, num_modules, model.shape, place);
        for (seconds, gap) in sending.iter_mut().skip(1).zip(gaps) {
            *seconds = gap.seconds(model.link);
        }
        if let Some(at) = sending.iter().position(|seconds| *seconds > super::check::MOST) {
            let what = format!("the time to send what `{}` takes", names[at]);
            let problem = BalanceProblem::Number { what, value: sending[at], positive: false };
            return Err(BalanceError::Model(vec![problem]));
        }
        let (mut time, mut activation) = (vec![0.0], vec![0.0]);
        let (mut every_time, mut every_activation) = (0.0, 0.0);
        let (mut all_time, mut all_activation) = (0.0, 0.0);
        for (module, seconds) in graph.modules().zip(times) {
            let bytes = module.activation_bytes.among(model.memory.num_parts, model.shape);
            match module.role {
                Role::EveryStage => {
                    every_time += seconds;
                    every_activation += bytes;
                }
                Role::Layer | Role::Boundary => {
                    all_time += seconds;
                    all_activation += bytes;
                    time.push(all_time);
                    activation.push(all_activation);
                }
            }
        }
        Ok(Self {
            time,
            every_time,
            sending,
            held: Held::new(graph, num_modules, place),
            activation,
            every_activation,
            model,
            limits,
            following: float(model.num_microbatches - 1),
            names,
        })
    }

    pub(super) fn num_modules(&self) -> usize {
        self.names.len()
    }

    pub(super) fn num_stages(&self) -> usize {
        self.model.ranks.len()
    }

    pub(super) fn num_ranks(&self) -> usize {
        self.limits.len()
    }

    pub(super) fn rank(&self, stage: usize) -> usize {
        self.model.ranks[stage]
    }

    /// Seconds per microbatch of a stage that has the modules from `start` up to `end`. Never less
    /// for a longer run.
    pub(super) fn time(&self, start: usize, end: usize) -> f64 {
        self.time[end] - self.time[start] + self.every_time
    }

    /// The seconds of all stages together, which no cut changes.
    pub(super) fn all_time(&self) -> f64 {
        self.time(0, self.num_modules()) + self.every_time * float(self.num_stages() - 1)
    }

    /// Seconds per microbatch below which the busiest rank cannot be.
    ///
    /// That is its share of all the time. And of the `k * ranks + 1` longest modules some rank has
    /// `k + 1`, which take no less than the shortest `k + 1` of those: of 10 equal modules on 4
    /// ranks some rank has 3.
    pub(super) fn least_busiest(&self) -> f64 {
        let num_ranks = self.num_ranks();
        let own = |i: usize| self.time[i + 1] - self.time[i];
        let mut times: Vec<f64> = (0..self.num_modules()).map(own).collect();
        times.sort_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        let sums = times.iter().map(|time| {
            sum += time;
            sum
        });
        let before: Vec<f64> = std::iter::once(0.0).chain(sums).collect();
        let longest = (0..times.len()).step_by(num_ranks).enumerate();
        let packed = longest.map(|(k, last)| before[last + 1] - before[last - k]);
        let share = self.all_time() / float(num_ranks);
        packed.map(|time| time + self.every_time).fold(share, f64::max)
    }

    /// Seconds per microbatch of sending from `stage` to the next, if that begins at `at`.
    pub(super) fn sending(&self, stage: usize, at: usize) -> f64 {
        let ranks = &self.model.ranks;
        let next = ranks.get(stage + 1);
        if next.is_none_or(|next| *next == ranks[stage]) { 0.0 } else { self.sending[at] }
    }

    /// Bytes of `stage` if it has the modules from `start` up to `end`. Never less for a longer run.
    pub(super) fn memory(&self, stage: usize, start: usize, end: usize) -> f64 {
        self.held.range(start, end).bytes(&self.model.memory) + self.kept(stage, start, end)
    }

    /// Bytes of activations.
    fn kept(&self, stage: usize, start: usize, end: usize) -> f64 {
        let bytes = self.activation[end] - self.activation[start] + self.every_activation;
        float(self.model.memory.held[stage]) * bytes
    }

    /// For each end from 0 to all modules the first start at which the stage fits into `limit`
    /// bytes; the end itself if no module before it does. Ascending.
    pub(super) fn first_starts(&self, stage: usize, limit: f64) -> Vec<u32> {
        let mut window = self.held.window();
        let mut starts = vec![0];
        for end in 1..=self.num_modules() {
            window.grow();
            let fits = |start, numbers: super::held::Numbers| {
                numbers.bytes(&self.model.memory) + self.kept(stage, start, end) <= limit
            };
            while window.start < end && !fits(window.start, window.numbers) {
                window.shrink();
            }
            // There are no more modules than cells, which a u32 counts.
            starts.push(u32::try_from(window.start).unwrap_or(u32::MAX));
        }
        starts
    }

    /// How many microbatches a stage holds: with the limit this decides what fits on it.
    pub(super) fn num_held(&self, stage: usize) -> usize {
        self.model.memory.held[stage]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count is no different at the 16th digit")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}
