//! Figures of a tiny model, what is refused, and the arithmetic.

use autopipe::schedule::Kind;
use autopipe::{Split, ThreadOptions};
use autopipe_config::{DType, ModelSource};
use serde_json::{Value, json};

use super::report::median;
use super::{Options, Report, Weights, bench};
use crate::{DeviceChoice, TrainError};

fn config() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 97, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 8
    })
}

fn options(pp_size: usize, schedule: Kind) -> Options {
    Options {
        model: ModelSource::Scratch { config: config() },
        pp_size,
        schedule,
        stages_per_rank: None,
        split: Split::default(),
        batch_size: 4,
        microbatch_size: 1,
        seq_len: 8,
        num_steps: 3,
        num_warmup_steps: 1,
        seed: 7,
        dtype: DType::Float32,
        device: DeviceChoice::Cpu,
    }
}

fn report(options: &Options) -> Report {
    let one = std::num::NonZeroUsize::new(1);
    let ranks = ThreadOptions { threads_per_rank: one, ..ThreadOptions::default() };
    bench(options, &ranks).unwrap()
}

fn refused(options: &Options) -> Vec<String> {
    match bench(options, &ThreadOptions::default()) {
        Err(TrainError::Prepare(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn figures_and_what_they_are_of() {
    let report = report(&options(2, Kind::ZbvZeroBubble));
    assert_eq!(report.step_seconds_all.len(), 3, "the warm-up is not among them");
    assert_eq!(report.step_seconds, median(&report.step_seconds_all));
    assert_eq!(report.tokens_per_second, 32.0 / report.step_seconds);
    for bubble in [report.measured_bubble, report.simulated_bubble] {
        assert!((0.0..1.0).contains(&bubble), "{bubble}");
    }
    assert!(report.simulated_bubble > 0.0, "embedding and head make stages of unlike cost");
    assert_eq!((report.schedule.as_str(), report.num_stages), ("ScheduleZBVZeroBubble", 4));
    assert_eq!((report.num_microbatches, report.threads_per_rank), (4, 1));
    assert_eq!(report.stages[1], ["model.layers.1", "model.rotary_emb"]);
    assert_eq!((report.model.model_type, report.model.num_layers), ("llama", 4));
    assert_eq!(report.model.weights, Weights::Random);
    // 2 * 97 * 16 and, for each layer, 4 * 16 * 16 + 3 * 16 * 32 + 2 * 16; 16 of the last norm.
    assert_eq!(report.model.num_parameters, 3104 + 4 * 2592 + 16);
    if cfg!(target_os = "linux") {
        assert!(report.peak_rss_bytes.unwrap() > 100_000);
        assert!(report.cpu_seconds_per_step.unwrap() > 0.0);
    }
}

#[test]
fn every_pipeline_trains_on_the_same() {
    let expected = report(&options(1, Kind::OneFOneB)).loss;
    assert!((expected - 97f64.ln()).abs() < 0.3, "random tokens can hardly be learnt: {expected}");
    let balanced = Options { split: Split::Balanced, ..options(2, Kind::GPipe) };
    let three = Options { stages_per_rank: Some(2), ..options(2, Kind::InterleavedOneFOneB) };
    for options in [options(2, Kind::OneFOneB), options(4, Kind::ZbH1), balanced, three] {
        let loss = report(&options).loss;
        assert!((loss - expected).abs() < 1e-5, "{loss} for {expected}: {options:?}");
    }
    let other = Options { seed: 8, ..options(1, Kind::OneFOneB) };
    assert!((report(&other).loss - expected).abs() > 1e-4);
}

#[test]
fn half_precision_trains_on_the_same() {
    let expected = report(&options(2, Kind::ZbvZeroBubble)).loss;
    for (dtype, name) in [(DType::BFloat16, "bfloat16"), (DType::Float16, "float16")] {
        let report = report(&Options { dtype, ..options(2, Kind::ZbvZeroBubble) });
        assert_eq!(report.dtype, name);
        let difference = (report.loss - expected).abs();
        assert!(difference > 0.0 && difference < 0.02, "{name}: {} for {expected}", report.loss);
    }
}

#[test]
fn a_folder_without_weights_is_a_config() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
    let model = ModelSource::Pretrained { folder: folder.path().to_str().unwrap().to_owned() };
    let of_folder = report(&Options { model, ..options(1, Kind::OneFOneB) });
    assert_eq!(of_folder.model.weights, Weights::Random);
    assert_eq!(of_folder.loss, report(&options(1, Kind::OneFOneB)).loss);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut wrong = config();
    wrong["num_hidden_layers"] = json!(0);
    let model = ModelSource::Scratch { config: wrong };
    let base = options(2, Kind::OneFOneB);
    let problems =
        refused(&Options { model, num_steps: 0, seq_len: 0, microbatch_size: 3, ..base.clone() });
    let expected = ["`steps` is 0", "`seq` is 0", "num_hidden_layers", "microbatches of 3"];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    for (wrong, part) in [
        (Options { dtype: DType::Float64, ..base.clone() }, "float64"),
        (Options { pp_size: 0, ..base.clone() }, "0"),
        (Options { pp_size: 8, batch_size: 8, ..base.clone() }, "8 stages need at least 8 layers"),
        (Options { stages_per_rank: Some(2), ..base.clone() }, "1 stage"),
        (Options { batch_size: usize::MAX, ..base.clone() }, "too large to be counted"),
        (
            Options { split: Split::Balanced, pp_size: 1, ..base.clone() },
            "one stage has the whole model, so that the split `balanced` has no effect",
        ),
        (Options { split: "Et|t".parse().unwrap(), ..base.clone() }, "it has 2 `t`"),
    ] {
        let problems = refused(&wrong);
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
}

#[test]
fn medians() {
    for (values, expected) in
        [(vec![], 0.0), (vec![3.0], 3.0), (vec![3.0, 1.0], 2.0), (vec![9.0, 1.0, 2.0], 2.0)]
    {
        assert_eq!(median(&values), expected);
    }
}
