//! What a run is going to do, for a person to read before it begins.

use std::fmt::Write as _;

use autopipe::forecast;
use autopipe::schedule::table;

use super::job::{Job, workload};

/// Mesh, stages, schedule and predicted bubble.
pub(super) fn summary(job: &Job<'_>) -> String {
    let mut text = String::new();
    let plan = &job.plan;
    let predicted = forecast(plan, &workload(&job.config, job.recipe.dataset.seq_len));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Mesh\n{}", indented(&job.mesh.to_string()));
    let _ = writeln!(text, "Stages\n{}", indented(&plan.partition.to_string()));
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

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
