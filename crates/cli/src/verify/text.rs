//! The verdict for people.

use std::fmt::Write as _;

use autopipe::splitter::with_commas;
use autopipe_config::ActivationCheckpointing;
use autopipe_trainer::verify::{Report, Side};

use crate::schedule::figures::{columns, columns_flush_left, counted};
use crate::setting::{microbatches, model_row, stage_rows};

/// How many gradients that differ are listed.
const MOST: usize = 8;

/// The verdict, the figures it rests on, and what was compared.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}\n", verdict(report));
    let _ = writeln!(text, "{}", figures(report));
    let details = details(report);
    if !details.is_empty() {
        let _ = writeln!(text, "{details}");
    }
    let _ = write!(text, "{}", columns_flush_left(&setting(report)));
    text
}

fn verdict(report: &Report) -> String {
    let tolerance =
        if report.tolerance == 0.0 { "0".to_owned() } else { format!("{:e}", report.tolerance) };
    let num = report.num_gradients;
    if report.agrees {
        return format!(
            "the split model computes what the unsplit one does: the loss and {}, within {tolerance}",
            match num {
                1 => "its gradient".to_owned(),
                _ => format!("all {num} gradients"),
            }
        );
    }
    let mut parts = Vec::new();
    if !report.loss_agrees() {
        parts.push(format!("the loss differs by more than {tolerance}"));
    }
    match report.differing.len() {
        0 => {}
        differing => {
            let differ = if differing == 1 { "differs" } else { "differ" };
            parts.push(format!("{differing} of {num} gradients {differ} by more than {tolerance}"));
        }
    }
    if !report.missing.is_empty() {
        parts.push(format!("{} missing on one side", counted(report.missing.len(), "gradient")));
    }
    format!("the split model does not compute what the unsplit one does: {}", parts.join(", "))
}

fn figures(report: &Report) -> String {
    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let number = |name: &str, unsplit: f64, split: f64, difference: f64| {
        vec![name.to_owned(), format!("{unsplit:.6}"), format!("{split:.6}"), power(difference, 1)]
    };
    let norm_rel_diff = relative(report.grad_norm, report.grad_norm_unsplit);
    let rows = [
        row(["", "unsplit", "split", "difference"]),
        number("loss", report.loss_unsplit, report.loss, report.loss_rel_diff),
        number("gradient norm", report.grad_norm_unsplit, report.grad_norm, norm_rel_diff),
    ];
    let worst = report.worst_parameter.as_ref().map(|parameter| {
        let worst = power(report.max_rel_grad_diff, 1);
        format!("worst gradient {worst}, of {parameter}\n")
    });
    format!("{}{}", columns(&rows), worst.unwrap_or_default())
}

/// A small number in powers of ten.
fn power(number: f64, digits: usize) -> String {
    if number == 0.0 { "0".to_owned() } else { format!("{number:.digits$e}") }
}

fn relative(split: f64, unsplit: f64) -> f64 {
    let distance = (split - unsplit).abs();
    if distance == 0.0 { 0.0 } else { distance / unsplit.abs() }
}

/// What differs and what is missing, by name.
fn details(report: &Report) -> String {
    let missing = report.missing.iter().map(|missing| {
        let side = match missing.lacks {
            Side::Unsplit => "unsplit",
            Side::Split => "split",
        };
        [missing.parameter.clone(), format!("no gradient in the {side} model")]
    });
    let differing =
        report.differing.iter().map(|found| [found.parameter.clone(), power(found.rel_diff, 1)]);
    let mut rows: Vec<[String; 2]> = missing.chain(differing).collect();
    let num_left_out = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    let mut text = columns_flush_left(&rows);
    if num_left_out > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "and {num_left_out} more, which --json lists");
    }
    text
}

/// What is trained and how, where that is not all of it, plainly.
fn training(report: &Report) -> Option<[String; 2]> {
    let again = match report.recompute {
        ActivationCheckpointing::None => None,
        ActivationCheckpointing::Full => Some("all layers computed again".to_owned()),
        ActivationCheckpointing::Every(layers) => {
            Some(format!("one layer in {layers} computed again"))
        }
    };
    if again.is_none() && report.num_trainable == report.num_parameters {
        return None;
    }
    let trained = format!("{} parameters", with_commas(report.num_trainable));
    let adapter = report.adapter.as_ref().map(|folder| format!("adapters `{folder}`"));
    let parts: Vec<String> = [Some(trained), adapter, again].into_iter().flatten().collect();
    Some(["training".to_owned(), parts.join(", ")])
}

fn setting(report: &Report) -> Vec<[String; 2]> {
    let mut rows = vec![model_row(&report.model, report.dtype)];
    rows.extend(training(report));
    rows.push([
        "pipeline".to_owned(),
        format!(
            "{} on {}, {}, split {}",
            report.schedule,
            counted(report.pp_size, "rank"),
            counted(report.num_stages, "stage"),
            report.split
        ),
    ]);
    rows.extend(stage_rows(&report.stages));
    rows.push([
        "batch".to_owned(),
        format!(
            "{}, {} of {}, {} that count, in {}",
            report.batch.as_deref().unwrap_or("random tokens"),
            counted(report.batch_size, "sample"),
            counted(report.seq_len, "token"),
            counted(report.num_labels, "label"),
            microbatches(report.num_microbatches),
        ),
    ]);
    rows
}
