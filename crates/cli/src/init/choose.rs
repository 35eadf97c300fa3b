//! Schedule, split and microbatches: those with the least predicted step that fit in memory.

use anyhow::bail;
use autopipe::splitter::short_bytes;
use autopipe::{Forecast, Suggestion};

use super::draft::Draft;
use crate::args::Machine;
use crate::plan::Planned;

/// How a step is done, and what is predicted of it.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Samples that go through the pipeline at once.
    pub(super) local_batch_size: usize,
    pub(super) microbatch_size: usize,
    /// By its name in a recipe.
    pub(super) schedule: String,
    /// By its name in a recipe.
    pub(super) split: String,
    /// Whether layers are computed again for their backward.
    pub(super) recomputes: bool,
    pub(super) bubble: f64,
    pub(super) peak_bytes: f64,
    /// Of a step, by its tokens.
    time: f64,
}

impl Default for Choice {
    /// What can be run by every model, with nothing predicted of it.
    fn default() -> Self {
        Self {
            local_batch_size: 1,
            microbatch_size: 1,
            schedule: "1f1b".to_owned(),
            split: "even".to_owned(),
            recomputes: false,
            bubble: 0.0,
            peak_bytes: 0.0,
            time: f64::INFINITY,
        }
    }
}

/// What a step has to be shorter by, as a part of it, to be worth smaller microbatches: each takes some
/// time that no prediction has.
const WORTH: f64 = 0.02;

/// The fewest samples of a step, and how many a rank has at least.
const MIN_BATCH: usize = 16;
const PER_RANK: usize = 4;

/// Samples of a step: a power of two, so that it can be halved, and enough to fill the pipeline.
pub(super) fn batch_size(pp_size: usize) -> usize {
    (PER_RANK * pp_size).max(MIN_BATCH).next_power_of_two()
}

/// Compares all schedules that have a name in microbatches of several sizes, the model split evenly and
/// balanced. Layers are computed again only if nothing else fits.
///
/// # Errors
/// If the model cannot be cut into so many stages, or nothing fits in `memory` (10^9 bytes of a rank).
pub(super) fn choose(draft: &Draft, memory: Option<f64>) -> anyhow::Result<Choice> {
    let machine = Machine { tflops: None, bandwidth: None, memory, bytes: None };
    let mut least = f64::INFINITY;
    for recomputes in [false, true] {
        let mut best: Option<Choice> = None;
        for (local_batch_size, microbatch_size) in batches(draft) {
            let choice =
                Choice { local_batch_size, microbatch_size, recomputes, ..Choice::default() };
            let choice = predicted(draft, choice, machine)?;
            least = least.min(choice.peak_bytes);
            let fits = memory.is_none_or(|memory| choice.peak_bytes <= 1e9 * memory);
            let to_beat = best.as_ref().map_or(f64::INFINITY, |best| (1.0 - WORTH) * best.time);
            if fits && choice.time < to_beat {
                best = Some(choice);
            }
        }
        if let Some(best) = best {
            return Ok(best);
        }
    }
    bail!(
        "no schedule fits in the memory of a rank: the least is {} with --pp {}, beside {}; use more \
         ranks, or a model in half precision",
        short_bytes(least),
        draft.pp_size,
        short_bytes(1e9 * memory.unwrap_or_default()),
    )
}

/// Sizes of the local batch and of microbatches, the largest first. One rank has no pipeline to fill, and
/// takes what fits in its memory at once.
fn batches(draft: &Draft) -> Vec<(usize, usize)> {
    let largest = draft.batch_size / draft.pp_size.next_power_of_two();
    let sizes = std::iter::successors(Some(largest), |size| Some(size / 2));
    let sizes = sizes.take_while(|size| *size > 0);
    let of_one = draft.pp_size == 1;
    sizes.map(|size| (if of_one { size } else { draft.batch_size }, size)).collect()
}

/// The best that there is with these batches.
fn predicted(draft: &Draft, choice: Choice, machine: Machine) -> anyhow::Result<Choice> {
    let with = Draft { choice, ..draft.clone() };
    let planned = Planned::of_recipe(&with.recipe()?, machine)?;
    let Draft { mut choice, .. } = with;
    let mut forecast: Forecast = planned.forecast;
    if let Some(Suggestion { options, forecast: better }) = planned.suggestion
        && draft.pp_size > 1
    {
        forecast = better;
        for (option, value) in options {
            match option {
                "pp_schedule" => choice.schedule = value,
                "split" => choice.split = value,
                _ => {}
            }
        }
    }
    choice.bubble = forecast.bubble;
    choice.peak_bytes = forecast.peak_bytes();
    choice.time = forecast.step / forecast.tokens;
    Ok(choice)
}
