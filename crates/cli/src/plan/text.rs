//! A plan for people.

use std::fmt::Write as _;

use autopipe::splitter::{short, short_bytes, with_commas};
use autopipe::{ParameterBytes, Shards, Suggestion};

use super::Planned;
use super::request::{Source, name};
use crate::schedule::figures::{columns, counted, percent};
use crate::setting::microbatches;

/// Mesh, stages, memory, time, warnings and a suggestion.
pub(super) fn text(planned: &Planned) -> String {
    let Planned { request, plan, forecast, warnings, suggestion } = planned;
    let model = &request.model;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Model {}, {} parameters in {}{}",
        model.model_type,
        with_commas(model.graph.num_parameters()),
        name(model.dtype),
        if model.is_tied { ", tied embeddings" } else { "" }
    );
    let _ = writeln!(text, "\nMesh\n{}", indented(&request.mesh.to_string()));
    let _ = writeln!(text, "Stages, for each microbatch\n{}", indented(&stages(planned)));
    let _ = writeln!(text, "Memory of each rank\n{}", indented(&memory(planned)));
    let workload = &request.workload;
    let _ = writeln!(text, "  {}", per_parameter(workload.parameter_bytes, workload.shards));

    let shape = request.workload.microbatch;
    let _ = writeln!(
        text,
        "\nSchedule {}, {} of {} of {}",
        plan.schedule,
        microbatches(plan.table.num_microbatches()),
        counted(shape.batch_size, "sample"),
        counted(shape.seq_len, "token"),
    );
    let mut predicted = format!(
        "Predicted bubble {}, {} of all ranks' time idle",
        percent(forecast.bubble),
        percent(forecast.idle)
    );
    if request.workload.speed.is_some() {
        let speed = short(planned.tokens_per_second());
        let ranks = counted(request.mesh.world_size(), "rank");
        let _ =
            write!(predicted, ", step {}, {speed} tokens/s on {ranks}", seconds(forecast.step),);
    }
    let _ = writeln!(text, "{predicted}");

    let notes = request.notes.iter().map(|note| format!("note: {note}"));
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    let lines: Vec<String> = notes.chain(warnings).collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{}", lines.join("\n"));
    }
    let _ = match suggestion {
        Some(better) => writeln!(text, "\n{}", suggested(planned, better)),
        None if planned.is_too_large() => {
            writeln!(text, "\nNo schedule and split that was tried fits this memory.")
        }
        None => {
            writeln!(text, "\nNo other schedule or split is predicted to be faster in this memory.")
        }
    };
    text
}

/// A row per stage.
fn stages(planned: &Planned) -> String {
    let forecast = &planned.forecast;
    let mean = forecast.stages.iter().map(|stage| stage.time).sum::<f64>()
        / forecast.stages.iter().map(|_| 1.0).sum::<f64>().max(1.0);
    let head = ["stage", "rank", "parameters", "flops", "of the mean", "keeps", "sends"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(forecast.stages.iter().map(|stage| {
        vec![
            stage.stage.to_string(),
            stage.rank.to_string(),
            with_commas(stage.num_parameters),
            short(stage.flops),
            if mean > 0.0 { format!("{:.0}%", 100.0 * stage.time / mean) } else { "-".to_owned() },
            short_bytes(stage.activation_bytes),
            short_bytes(stage.message_bytes),
        ]
    }));
    let modules =
        planned.plan.partition.stages().iter().map(|stage| stage.module_runs().join(", "));
    let modules = std::iter::once("modules".to_owned()).chain(modules);
    let table = columns(&rows);
    table.lines().zip(modules).map(|(row, modules)| format!("{row}  {modules}\n")).collect()
}

/// A row per rank.
fn memory(planned: &Planned) -> String {
    let head = [
        "rank",
        "stages",
        "weights",
        "gathered",
        "gradients",
        "optimizer",
        "activations",
        "live",
        "total",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(planned.forecast.ranks.iter().map(|rank| {
        let stages: Vec<String> = rank.stages.iter().map(ToString::to_string).collect();
        vec![
            rank.rank.to_string(),
            stages.join(","),
            short_bytes(rank.weights),
            short_bytes(rank.gathered),
            short_bytes(rank.gradients),
            short_bytes(rank.optimizer),
            short_bytes(rank.activations),
            rank.num_activations.to_string(),
            short_bytes(rank.total()),
        ]
    }));
    if planned.forecast.ranks.iter().all(|rank| rank.gathered == 0.0) {
        for row in &mut rows {
            row.remove(3);
        }
    }
    columns(&rows)
}

fn per_parameter(bytes: ParameterBytes, shards: Shards) -> String {
    let ParameterBytes { weight, gradient, optimizer } = bytes;
    let among = |num: usize| if num > 1 { format!(" over {num} ranks") } else { String::new() };
    format!(
        "{} bytes a parameter: weight {weight}{}, gradient {gradient}{}, optimizer {optimizer}{}",
        weight + gradient + optimizer,
        among(shards.weights),
        among(shards.gradients),
        among(shards.optimizer),
    )
}

/// What to set, and what it brings.
fn suggested(planned: &Planned, better: &Suggestion) -> String {
    let (now, then) = (&planned.forecast, &better.forecast);
    let source = planned.request.source;
    let options = better.options.iter().map(|(option, value)| match source {
        Source::Recipe => format!("  --set {}={value}", source.key(option)),
        Source::Flags if value == "none" => format!("  no --{}", flag(option)),
        Source::Flags => format!("  --{} {value}", flag(option)),
    });
    let options: Vec<String> = options.collect();
    let saved = 1.0 - then.step / now.step;
    let step = if saved >= 0.0 {
        format!("a step {} shorter", percent(saved))
    } else {
        format!("a step {} longer", percent(-saved))
    };
    format!(
        "{}: {step}, bubble {} and {} idle, at most {} on a rank (now {}), with\n{}",
        if planned.is_too_large() { "What fits" } else { "Better" },
        percent(then.bubble),
        percent(then.idle),
        short_bytes(then.peak_bytes()),
        short_bytes(now.peak_bytes()),
        options.join("\n")
    )
}

/// The command's flag for an option of `PipelineConfig`.
fn flag(option: &str) -> String {
    match option {
        "pp_schedule" => "schedule".to_owned(),
        "pp_schedule_csv" => "schedule-csv".to_owned(),
        "round_virtual_stages_to_pp_multiple" => "round".to_owned(),
        other => other.replace('_', "-"),
    }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}

fn seconds(time: f64) -> String {
    match time {
        ..1e-3 => format!("{:.3} us", 1e6 * time),
        ..1.0 => format!("{:.1} ms", 1e3 * time),
        ..1e5 => format!("{time:.2} s"),
        _ => format!("{}s", short_bytes(time).trim_end_matches('B')),
    }
}
