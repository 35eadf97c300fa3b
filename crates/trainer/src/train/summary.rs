//! What a run is going to do, for a person to read before it begins.

use std::fmt::Write as _;

use autopipe::forecast;
use autopipe::schedule::table;
use autopipe::splitter::with_commas;
use autopipe_models::{AutoModel, Recompute};

use super::job::Job;

/// Mesh, stages, what of the model is trained and how, schedule and predicted bubble.
pub(super) fn summary(job: &Job<'_>) -> String {
    let mut text = String::new();
    let plan = &job.plan;
    let predicted = forecast(plan, &job.workload);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Mesh\n{}", indented(&job.mesh.to_string()));
    let _ = writeln!(text, "Stages\n{}", indented(&plan.partition.to_string()));
    let _ = writeln!(text, "{}", training(&job.model));
    let _ = writeln!(
        text,
        "Schedule {}, {} microbatches of {} sequences of {} tokens",
        plan.schedule,
        plan.table.num_microbatches(),
        job.config.pp_microbatch_size,
        job.recipe.dataset.seq_len,
    );
    let _ = writeln!(text, "{}", indented(&table(&plan.table)));
    let _ = write!(
        text,
        "Predicted bubble {:.1}%, by the operations of each stage",
        100.0 * predicted.bubble
    );
    text
}

/// What of the model is trained, and which layers are computed again.
fn training(model: &AutoModel) -> String {
    let graph = model.as_model().graph();
    let all = graph.num_parameters();
    let trained: usize = graph.modules().map(|module| module.num_trainable()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a percentage has few digits")]
    let percent = 100.0 * trained as f64 / all as f64;
    let dtype = format!("{:?}", model.dtype()).to_lowercase();
    let mut text = format!(
        "Training {} of {} parameters ({percent:.2}%), the model in {dtype}",
        with_commas(trained),
        with_commas(all)
    );
    if let Some(lora) = &model.options().lora {
        let names = graph.modules().flat_map(|module| &module.parameters).map(|p| &p.name);
        let num_adapters = names.filter(|name| name.ends_with(".lora_A.weight")).count();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\nAdapters of rank {} on {num_adapters} matrices, times {}, dropout {}",
            lora.rank,
            lora.scale(),
            lora.dropout
        );
    }
    text += &match model.options().recompute {
        Recompute::None => String::new(),
        Recompute::All | Recompute::Every(1) => {
            "\nRecomputing all layers for their backward".to_owned()
        }
        Recompute::Every(layers) => {
            format!(
                "\nRecomputing one of {layers} layers for its backward, beginning with the first"
            )
        }
    };
    text
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
