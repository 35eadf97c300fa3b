//! Pages of runs that are written here: what is on them, and what is left out of them.

use std::fs;

use autopipe::schedule::{
    Costs, Extent, Kind, Span, Timeline, generate, lower, simulate, validate,
};

use super::*;
use crate::{EvalRecord, MetricsWriter, RunDir, StepRecord};

/// A folder of a run of six steps, with everything.
fn run(folder: &Path) {
    let run = RunDir::create(folder).unwrap();
    let mut metrics = MetricsWriter::resume_after(&run.metrics_path(), 0).unwrap();
    for step in 1..=6 {
        let part = step as f64;
        let record = StepRecord {
            step,
            epoch: 0.25 * part,
            loss: if step == 4 { f64::NAN } else { 6.0 / part },
            grad_norm: 1.0 / part,
            lr: 1e-3,
            tokens: 1024,
            num_tokens: 2048,
            seconds: 0.5,
            model_flops: 1e9,
            peak_flops: Some(8e9),
            measured_bubble: (step == 6).then_some(0.125),
            memory_bytes: vec![1_000_000, 2_000_000 + step as u64],
            skipped: (step == 4).then(|| "a gradient of <lm_head> is not finite".to_owned()),
        };
        metrics.write(&record).unwrap();
        if step % 3 == 0 {
            let record = EvalRecord { step, loss: 7.0 / part, tokens: 512, seconds: 61.0 };
            metrics.write_evaluation(&record).unwrap();
            let checkpoint = run.checkpoint(step).path;
            fs::create_dir(&checkpoint).unwrap();
            fs::write(checkpoint.join("model.safetensors"), vec![0; 1500 * step]).unwrap();
            run.set_latest(step).unwrap();
            run.set_best(3).unwrap();
        }
    }
    fs::create_dir(folder.join("checkpoints/step-000009.unfinished")).unwrap();
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 3 };
    let program = validate(lower(&generate(Kind::OneFOneB, &extent).unwrap())).unwrap();
    let costs: Costs = "F=0.25,B=0.5".parse().unwrap();
    run.write_timeline(&simulate(&program, &costs)).unwrap();
}

#[test]
fn all_of_a_run_is_on_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("a <run>");
    run(&folder);
    let run = read::read(&folder).unwrap();
    let charts = chart::charts(&run);
    let charts: Vec<String> =
        charts.iter().map(|chart| serde_json::to_string(chart).unwrap()).collect();
    insta::assert_snapshot!("charts", charts.join("\n"));
    let facts = facts::facts(&run);
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    insta::assert_snapshot!("facts", facts.join("\n"));
    insta::assert_snapshot!("tables", table::tables(&run));
    let summary = timeline::step(run.timeline.as_ref().unwrap()).summary.unwrap();
    insta::assert_snapshot!("summary", summary);

    let report = report(&folder).unwrap();
    assert_eq!(report.left_out, [""; 0]);
    assert!(report.html.contains("<h1>a &lt;run&gt;</h1>"));
    assert!(!report.html.contains("Not on this page"));
    // Of two documents, the second in an attribute of the first.
    assert_eq!(report.html.matches("<!DOCTYPE html>").count(), 2);
    let (_, inner) = report.html.split_once("srcdoc=\"").unwrap();
    let (inner, _) = inner.split_once("\"></iframe>").unwrap();
    assert!(inner.starts_with("<!DOCTYPE html>") && inner.ends_with("</html>\n"));
    for elsewhere in ["src=\"http", "href=", "url(", "import "] {
        assert!(!report.html.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn a_run_that_goes_on_has_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let old =
        "{\"step\":1,\"loss\":5.5,\"grad_norm\":1.0,\"lr\":0.001,\"tokens\":9,\"seconds\":1.0}\n";
    fs::write(folder.join("metrics.jsonl"), format!("{old}{{\"step\":2,\"lo")).unwrap();
    fs::write(folder.join("timeline.json"), "{\"rows\":[[{\"act").unwrap();
    let report = report(folder).unwrap();
    let [metrics, timeline] = &report.left_out[..] else { panic!("{:?}", report.left_out) };
    assert!(
        metrics.starts_with("line 2 of `") && metrics.ends_with("is not finished"),
        "{metrics}"
    );
    assert!(timeline.contains("timeline.json` is no timeline: "), "{timeline}");
    for part in ["Not on this page", "which is not finished", "Gradient norm"] {
        assert!(report.html.contains(part), "{part}");
    }
    for absent in ["<iframe", "<table", "Memory of ranks"] {
        assert!(!report.html.contains(absent), "{absent}");
    }
}

#[test]
fn a_timeline_that_is_no_whole_program_is_shown_alone() {
    // Nothing is sent from one stage to the other.
    let row = |action: &str| vec![Span::new(action.parse().unwrap(), 0.0, 1.0)];
    let timeline = Timeline::from_rows(vec![row("0F0"), row("1F0")]).unwrap();
    let step = timeline::step(&timeline);
    assert_eq!(step.summary, None);
    assert!(step.page.contains("measured, in milliseconds"));
}

#[test]
fn what_is_no_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = |text: Option<&str>| {
        if let Some(text) = text {
            fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        }
        report(folder.path()).unwrap_err().to_string()
    };
    assert!(error(None).starts_with("cannot read `"));
    for nothing in ["", "{\"step\":", "{\"step\":1,\"val_tokens\":5}\n"] {
        assert!(error(Some(nothing)).ends_with("has no step yet; wait for the run's first"));
    }
    for wrong in ["{}\n", "1\n", "{\"step\":1,\"loss\":\"low\"}\n", "\n"] {
        let error = error(Some(wrong));
        assert!(error.starts_with("line 1 of `") && error.contains("is no record"), "{error}");
    }
}

#[test]
fn times_are_told_in_two_units() {
    for (seconds, expected) in [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60.0, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (90_000.0, "25 h 00 min"),
    ] {
        assert_eq!(facts::duration(seconds), expected);
    }
}
