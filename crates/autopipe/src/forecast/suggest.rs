//! Whether the same ranks could do the same step faster.

use autopipe_config::PipelineConfig;
use autopipe_schedule::Kind;
use autopipe_splitter::{ModuleGraph, routes};
use serde::Serialize;

use super::{Forecast, Workload, of_parts};
use crate::Split;
use crate::plan::decide;
use crate::split::balanced;

/// What a suggestion has to save, as a part of the step, to be worth a change.
const WORTH: f64 = 0.02;

/// How much more memory it may take where no limit is given.
pub(super) const SAME_MEMORY: f64 = 1.02;

/// Other options, with which a step is predicted to be shorter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// The options of [`PipelineConfig`] to set, and `split` for a [`Split`], with their values as a
    /// recipe has them; `none` for those to leave out.
    pub options: Vec<(&'static str, String)>,
    /// What is predicted of them.
    pub forecast: Forecast,
}

/// The schedule and split with which a step of the same batch on the same ranks is predicted to be
/// shortest, if it is shorter than `now` by more than one part in fifty. It takes no more memory
/// than the limit or, without one, hardly more than now; and if `now` is beyond the limit, it is the
/// shortest of those that fit.
///
/// `split` is how the model is split now. Every schedule is tried that has a name, in as many stages
/// as it is made for, split evenly and balanced.
pub fn suggest(
    config: &PipelineConfig,
    split: &Split,
    pp_size: usize,
    graph: &ModuleGraph,
    workload: &Workload,
    now: &Forecast,
) -> Option<Suggestion> {
    let limit = workload.memory_limit.unwrap_or(SAME_MEMORY * now.peak_bytes());
    let fits_now = now.peak_bytes() <= limit;
    let mut best: Option<Suggestion> = None;
    for kind in Kind::ALL {
        let other = PipelineConfig {
            pp_schedule: Some(kind.name().to_ascii_lowercase()),
            pp_schedule_csv: None,
            layers_per_stage: None,
            round_virtual_stages_to_pp_multiple: None,
            module_fqns_per_model_part: None,
            ..config.clone()
        };
        let Ok(even) = decide(&other, None, pp_size, graph) else { continue };
        // As it would be cut if somebody asked for it.
        let balanced = balanced(graph, &even.table, workload).ok();
        let balanced = balanced.and_then(|partition| {
            let routes = routes(graph, &partition).ok()?;
            Some((Split::Balanced, partition, routes))
        });
        let even_split = (Split::default(), even.partition, even.routes);
        for (to_split, partition, routes) in [Some(even_split), balanced].into_iter().flatten() {
            let forecast = of_parts(&partition, &routes, &even.table, workload);
            // The balanced one has to be worth it beside the even one as well.
            let to_beat = match &best {
                Some(best) if to_split == Split::Balanced => (1.0 - WORTH) * best.forecast.step,
                Some(best) => best.forecast.step,
                None if fits_now => (1.0 - WORTH) * now.step,
                None => f64::INFINITY,
            };
            if forecast.peak_bytes() <= limit && forecast.step < to_beat {
                let mut options = differences(config, &other);
                if to_split != *split {
                    options.push(("split", to_split.to_string()));
                }
                best = Some(Suggestion { options, forecast });
            }
        }
    }
    best
}

/// The options in which `to` differs.
fn differences(from: &PipelineConfig, to: &PipelineConfig) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let mut options = Vec::new();
    if from.pp_schedule != to.pp_schedule {
        options.push(("pp_schedule", text(&to.pp_schedule)));
    }
    for (option, is_set) in [
        ("pp_schedule_csv", from.pp_schedule_csv.is_some()),
        ("layers_per_stage", from.layers_per_stage.is_some()),
        ("round_virtual_stages_to_pp_multiple", from.round_virtual_stages_to_pp_multiple.is_some()),
        ("module_fqns_per_model_part", from.module_fqns_per_model_part.is_some()),
    ] {
        if is_set {
            options.push((option, "none".to_owned()));
        }
    }
    options
}
