//! The figures of a bench for people.

use std::fmt::Write as _;

use autopipe::splitter::short_bytes;
use autopipe_trainer::bench::Report;

use crate::schedule::figures::{columns_flush_left, counted, percent};
use crate::setting::{microbatches, model_row, stage_rows};

/// What was measured, then the figures.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", columns_flush_left(&setting(report)));
    let _ = write!(text, "{}", columns_flush_left(&figures(report)));
    text
}

fn setting(report: &Report) -> Vec<[String; 2]> {
    let mut rows = vec![
        model_row(&report.model, report.dtype),
        [
            "pipeline".to_owned(),
            format!(
                "{} on {} {}, {}, split {}",
                report.schedule,
                counted(report.pp_size, "rank"),
                match report.device {
                    "cuda" => "on GPUs".to_owned(),
                    _ => format!("of {}", counted(report.threads_per_rank, "thread")),
                },
                counted(report.num_stages, "stage"),
                report.split
            ),
        ],
    ];
    rows.extend(stage_rows(&report.stages));
    rows.push([
        "step".to_owned(),
        format!(
            "{} of {} of {}, {}; {} to warm up, {} measured",
            microbatches(report.num_microbatches),
            counted(report.microbatch_size, "sample"),
            counted(report.seq_len, "token"),
            report.optimizer,
            counted(report.num_warmup_steps, "step"),
            report.num_steps
        ),
    ]);
    rows
}

fn figures(report: &Report) -> Vec<[String; 2]> {
    let ends = |pick: fn(f64, f64) -> f64| report.step_seconds_all.iter().copied().reduce(pick);
    let range = match (ends(f64::min), ends(f64::max)) {
        (Some(least), Some(most)) if report.num_steps > 1 => {
            format!(", the median of {} to {}", seconds(least), seconds(most))
        }
        _ => String::new(),
    };
    let mut rows = vec![
        ["tokens/s".to_owned(), format!("{:.0}", report.tokens_per_second)],
        ["step".to_owned(), format!("{}{range}", seconds(report.step_seconds))],
    ];
    if let Some(cpu) = report.cpu_seconds_per_step {
        rows.push(["cpu time".to_owned(), format!("{} a step, of all threads", seconds(cpu))]);
    }
    let peaks = [
        ("peak memory", report.peak_rss_bytes, "of the whole process"),
        ("GPU memory", report.peak_gpu_bytes, "the most of any GPU"),
    ];
    for (name, peak, of) in peaks {
        let Some(peak) = peak else { continue };
        #[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
        let peak = short_bytes(peak as f64);
        rows.push([name.to_owned(), format!("{peak}, {of}")]);
    }
    let peaks = report.measured_peak_bytes.iter().zip(&report.simulated_peak_bytes);
    rows.extend(peaks.enumerate().map(|(rank, (&measured, &simulated))| {
        let name = if rank == 0 { "peak of ranks" } else { "" };
        let (measured, simulated) = (short_bytes(measured), short_bytes(simulated));
        [name.to_owned(), format!("{rank}: {measured} measured, {simulated} simulated")]
    }));
    rows.push([
        "bubble".to_owned(),
        format!(
            "{} of the ranks' time measured, {} simulated",
            percent(report.measured_bubble),
            percent(report.simulated_bubble)
        ),
    ]);
    rows
}

fn seconds(time: f64) -> String {
    if time < 1.0 { format!("{:.1} ms", 1e3 * time) } else { format!("{time:.3} s") }
}
