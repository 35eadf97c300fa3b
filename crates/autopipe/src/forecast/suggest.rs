//! Whether the same ranks could do the same step faster.

use autopipe_config::PipelineConfig;
use autopipe_schedule::Kind;
use autopipe_splitter::ModuleGraph;
use serde::Serialize;

use super::{Forecast, Workload, of_parts};
use crate::plan::decide;

/// What a suggestion has to save, as a part of the step, to be worth a change.
const WORTH: f64 = 0.02;

/// How much more memory it may take where no limit is given.
pub(super) const SAME_MEMORY: f64 = 1.02;

/// Other options, with which a step is predicted to be shorter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// The options of [`PipelineConfig`] to set, with their values as a recipe has them; `none` for
    /// those to leave out.
    pub options: Vec<(&'static str, String)>,
    /// What is predicted of them.
    pub forecast: Forecast,
}

/// The schedule with which a step of the same batch on the same ranks is predicted to be shortest,
/// if it is shorter than `now` by more than one part in fifty. It takes no more memory than the
/// limit or, without one, hardly more than now.
///
/// Every schedule is tried that has a name, with an even split into as many stages as it is made
/// for.
pub fn suggest(
    config: &PipelineConfig,
    pp_size: usize,
    graph: &ModuleGraph,
    workload: &Workload,
    now: &Forecast,
) -> Option<Suggestion> {
    let limit = workload.memory_limit.unwrap_or(SAME_MEMORY * now.peak_bytes());
    let tries = Kind::ALL.into_iter().filter_map(|kind| {
        let other = PipelineConfig {
            pp_schedule: Some(kind.name().to_owned()),
            pp_schedule_csv: None,
            layers_per_stage: None,
            round_virtual_stages_to_pp_multiple: None,
            module_fqns_per_model_part: None,
            ..config.clone()
        };
        let decided = decide(&other, None, pp_size, graph).ok()?;
        let forecast = of_parts(&decided.partition, &decided.routes, &decided.table, workload);
        Some(Suggestion { options: differences(config, &other), forecast })
    });
    tries
        .filter(|found| found.forecast.peak_bytes() <= limit)
        .filter(|found| found.forecast.step < (1.0 - WORTH) * now.step)
        .min_by(|a, b| a.forecast.step.total_cmp(&b.forecast.step))
}

/// The options in which `to` differs.
fn differences(from: &PipelineConfig, to: &PipelineConfig) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let mut options = Vec::new();
    if from.pp_schedule != to.pp_schedule {
        options.push(("pp_schedule", text(&to.pp_schedule).to_ascii_lowercase()));
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
