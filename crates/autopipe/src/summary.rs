//! What a person wants to see of a pipeline: its stages, their modules and parameters.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use autopipe_runtime::Parameters;
use autopipe_splitter::{ModuleGraph, with_commas};

use crate::AutoPipeline;

/// As many modules of a stage the original lists where nothing else is said.
const DEFAULT_MAX_MODULES: usize = 16;

/// The modules of a stage with all that contain them and all that they contain, depth first: what
/// `named_modules()` of the original's stage lists.
pub(crate) fn module_list(graph: &ModuleGraph, names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    let mut push = |name: &str| {
        if seen.insert(name.to_owned()) {
            list.push(name.to_owned());
        }
    };
    for name in names {
        for (dot, _) in name.match_indices('.') {
            push(&name[..dot]);
        }
        push(name);
        for submodule in graph.module(name).map_or(&[][..], |module| &module.submodules) {
            push(&format!("{name}.{submodule}"));
        }
    }
    list
}

fn count(parameters: &Parameters, trainable_only: bool) -> usize {
    parameters
        .iter()
        .filter(|parameter| !trainable_only || parameter.is_trainable())
        .map(|parameter| parameter.num_elements())
        .sum()
}

impl AutoPipeline {
    /// Per local stage, the fully qualified names of its modules; empty before `build`.
    pub fn list_stage_modules(&self) -> Vec<Vec<String>> {
        self.built().map_or_else(Vec::new, |built| built.modules.clone())
    }

    /// Per local stage, how many numbers its parameters have; empty before `build`.
    pub fn get_stage_param_counts(&self, trainable_only: bool) -> Vec<usize> {
        self.parts().map_or_else(
            |_| Vec::new(),
            |parts| parts.into_iter().map(|part| count(part, trainable_only)).collect(),
        )
    }

    /// How many numbers the parameters of this rank have; 0 before `build`.
    pub fn get_total_param_count(&self, trainable_only: bool) -> usize {
        self.get_stage_param_counts(trainable_only).iter().sum()
    }

    /// Each local stage with its parameter count and the first `max_modules_per_stage` modules, the
    /// stages counted on this rank: by their places in [`parts`](Self::parts).
    pub fn pretty_print_stages(
        &self,
        max_modules_per_stage: usize,
        trainable_only: bool,
    ) -> String {
        let Some(built) = self.built() else { return "<no stages>".to_owned() };
        let last = built.plan.partition.num_stages() - 1;
        let mut text = String::new();
        let parts = built.worker.stages().zip(&built.modules).enumerate();
        for (part, ((stage, parameters), modules)) in parts {
            let tag = match (stage.index() == 0, stage.index() == last) {
                (true, true) => " (first,last)",
                (true, false) => " (first)",
                (false, true) => " (last)",
                (false, false) => "",
            };
            let params = with_commas(count(parameters, trainable_only));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "Stage {part}{tag}: params={params}");
            for name in modules.iter().take(max_modules_per_stage) {
                let _ = writeln!(text, "  - {name}");
            }
            if modules.len() > max_modules_per_stage {
                let _ = writeln!(text, "  - ...");
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Five lines: ranks, local stages, schedule, microbatches and parameters.
    pub fn debug_summary(&self) -> String {
        let info = self.info();
        let pp_size = self.mesh().size(&self.axis_names().pp_axis_name).unwrap_or(1);
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "None".to_owned());
        format!(
            "PP degree: {pp_size}\nLocal stages: {}\nSchedule: {}\nn_microbatches: {}\nTotal params: {} (trainable: {})",
            info.stages.len(),
            or_none(info.schedule),
            or_none(info.enabled.then(|| info.num_microbatches.to_string())),
            with_commas(self.get_total_param_count(false)),
            with_commas(self.get_total_param_count(true)),
        )
    }

    /// Tells the log [`debug_summary`](Self::debug_summary) and the stages, at level INFO.
    pub fn log_debug_summary(&self) {
        tracing::info!(
            "\n{}\n{}",
            self.debug_summary(),
            self.pretty_print_stages(DEFAULT_MAX_MODULES, false)
        );
    }
}
