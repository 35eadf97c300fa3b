//! The split model agrees with the unsplit one and with transformers; and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autopipe::schedule::Kind;
use autopipe::{Split, ThreadOptions};
use autopipe_config::{ActivationCheckpointing, DType, ModelSource};
use autopipe_models::from_config;
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{BatchSource, Options, Schedule, Verified, default_tolerance, verify};
use crate::TrainError;
use crate::whole::build_whole;

fn config() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 97, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 16
    })
}

fn named(kind: Kind, num_microbatches: usize) -> Schedule {
    Schedule::Named { kind, stages_per_rank: None, num_microbatches }
}

fn options(pp_size: usize, kind: Kind) -> Options {
    Options {
        model: ModelSource::Scratch { config: config() },
        pp_size,
        schedule: named(kind, 4),
        split: Split::default(),
        dtype: DType::Float32,
        freeze: Vec::new(),
        adapter: None,
        recompute: ActivationCheckpointing::None,
        batch: BatchSource::Random { batch_size: Some(8), seq_len: None },
        tolerance: default_tolerance(DType::Float32),
        seed: 7,
    }
}

fn verified(options: &Options) -> Verified {
    let one = std::num::NonZeroUsize::new(1);
    let ranks = ThreadOptions { threads_per_rank: one, ..ThreadOptions::default() };
    verify(options, &ranks).unwrap()
}

fn refused(options: &Options) -> Vec<String> {
    match verify(options, &ThreadOptions::default()) {
        Err(TrainError::Prepare(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/fixtures/llama").join(file)
}

#[test]
fn every_way_to_split_agrees() {
    let balanced = Options { split: Split::Balanced, ..options(2, Kind::OneFOneB) };
    let layout = Options { split: "Et|tttL".parse().unwrap(), ..options(2, Kind::ZbH1) };
    for options in [
        options(1, Kind::OneFOneB),
        options(2, Kind::ZbvZeroBubble),
        options(2, Kind::InterleavedOneFOneB),
        options(4, Kind::GPipe),
        balanced,
        layout,
    ] {
        let Verified { report, gradients } = verified(&options);
        assert!(report.agrees, "{report:?}");
        assert!(report.max_rel_grad_diff > 0.0, "sums in another order round differently");
        assert!(report.max_rel_grad_diff < 1e-5, "{report:?}");
        assert!(report.num_labels < 8 * 16, "some labels do not count");
        // Embedding, head and last norm, and nine of each layer.
        assert_eq!((report.num_gradients, gradients.iter().count()), (39, 39));
        assert!((report.loss - 97f64.ln()).abs() < 0.5, "{}", report.loss);
    }
}

#[test]
fn the_same_bits_are_more_than_a_split_can_promise() {
    let report = verified(&Options { tolerance: 0.0, ..options(2, Kind::OneFOneB) }).report;
    assert!(!report.agrees && report.missing.is_empty(), "{report:?}");
    assert_eq!(Some(&report.differing[0].parameter), report.worst_parameter.as_ref());
    assert_eq!(report.differing[0].rel_diff, report.max_rel_grad_diff);
    // One microbatch on one rank is the unsplit model.
    let same =
        Options { schedule: named(Kind::GPipe, 1), tolerance: 0.0, ..options(1, Kind::GPipe) };
    let report = verified(&same).report;
    assert!(report.agrees && report.max_rel_grad_diff == 0.0, "{report:?}");
}

/// Loss and gradients of the fixture's model are those of another program, saved in this folder
/// beside it.
fn agrees_with(reference: &str, adapter: Option<PathBuf>, prefix: &str) {
    let model = ModelSource::Pretrained { folder: fixture("").display().to_string() };
    let batch = BatchSource::File(fixture("batch.safetensors"));
    let base = options(2, Kind::ZbvZeroBubble);
    let Verified { report, gradients } = verified(&Options { model, batch, adapter, ..base });
    let path = |file: &str| fixture("..").join(reference).join(file);
    let text = std::fs::read_to_string(path("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let close = |got: f64, key: &str| {
        let expected = reference[key].as_f64().unwrap();
        assert!((got - expected).abs() < 1e-5 * expected, "{key}: {got} for {expected}");
    };
    close(report.loss, "loss");
    close(report.loss_unsplit, "loss");
    close(report.grad_norm, "grad_norm");
    assert_eq!(report.num_labels, reference["num_label_tokens"]);
    let expected =
        candle_core::safetensors::load(path("reference.safetensors"), &Device::Cpu).unwrap();
    // The logits are no gradient.
    assert_eq!(gradients.iter().count(), expected.len() - 1);
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, gradient) in gradients.iter() {
        let expected = &expected[&format!("grad.{prefix}{name}")];
        let pairs = numbers(gradient).into_iter().zip(numbers(expected));
        let worst = pairs.map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

#[test]
fn transformers_has_the_same_loss_and_gradients() {
    agrees_with("llama", None, "");
}

#[test]
fn peft_has_the_same_loss_and_gradients() {
    let adapter = Some(fixture("../llama_lora"));
    agrees_with("llama_lora", adapter, "base_model.model.");
}

#[test]
fn a_table_decides_what_is_computed_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.csv");
    std::fs::write(&path, "0F0,0F1,,0B0,,0B1\n,1F0,1B0,1F1,1B1,\n").unwrap();
    let table = |num_microbatches| Schedule::Table { path: path.clone(), num_microbatches };
    let base = options(2, Kind::GPipe);
    let report = verified(&Options { schedule: table(None), ..base.clone() }).report;
    assert!(report.agrees, "{report:?}");
    assert_eq!((report.schedule.as_str(), report.num_microbatches), ("CSV", 2));
    let problems = refused(&Options { schedule: table(Some(3)), ..base.clone() });
    assert!(problems[0].ends_with("has 2 microbatches, not 3; leave the number out"));
    let problems = refused(&Options { pp_size: 4, schedule: table(None), ..base });
    assert!(problems[0].contains("has 2 rows, one per rank"), "{problems:?}");
}

#[test]
fn half_precision_frozen_parts_and_recomputation_agree() {
    let whole = verified(&options(2, Kind::OneFOneB)).report;
    for dtype in [DType::BFloat16, DType::Float16] {
        let tolerance = default_tolerance(dtype);
        let options = Options { dtype, tolerance, ..options(2, Kind::ZbH1) };
        let report = verified(&options).report;
        assert!(report.agrees, "{report:?}");
        let difference = (report.loss - whole.loss).abs();
        assert!(difference > 1e-6 && difference < 1e-2, "halves round: {report:?}");
    }
    let kept = verified(&options(2, Kind::OneFOneB));
    for recompute in [ActivationCheckpointing::Full, ActivationCheckpointing::Every(2)] {
        let again = verified(&Options { recompute, ..options(2, Kind::OneFOneB) });
        assert_eq!(again.report.loss, kept.report.loss);
        let all = kept.gradients.iter().zip(again.gradients.iter());
        for ((name, kept), (_, again)) in all {
            let bits = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(bits(kept) == bits(again), "{name}");
        }
    }
    let freeze = ["model.embed_tokens", "model.layers.[0-2]"].map(str::to_owned).to_vec();
    let frozen = verified(&Options { freeze, ..options(2, Kind::OneFOneB) }).report;
    assert!(frozen.agrees, "{frozen:?}");
    assert_eq!(frozen.num_gradients, 11);
    let all = Options { freeze: vec!["*".to_owned()], ..options(2, Kind::OneFOneB) };
    assert_eq!(refused(&all), ["nothing to train: all 39 parameters are frozen"]);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let batch = BatchSource::Random { batch_size: Some(6), seq_len: Some(17) };
    let wrong =
        Options { dtype: DType::Float64, tolerance: f64::NAN, batch, ..options(2, Kind::OneFOneB) };
    let problems = refused(&wrong);
    let expected = [
        "nothing is trained in float64",
        "a tolerance of NaN",
        "4 microbatches cannot share a batch of 6",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(expected) {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    for (wrong, part) in [
        (Options { pp_size: 0, ..options(1, Kind::GPipe) }, "0"),
        (options(8, Kind::GPipe), "8 stages need at least 8 layers"),
        (Options { schedule: named(Kind::GPipe, 0), ..options(2, Kind::GPipe) }, "0"),
        (
            Options { split: Split::Balanced, ..options(1, Kind::GPipe) },
            "so that the split `balanced` has no effect",
        ),
    ] {
        let problems = refused(&wrong);
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
}

#[test]
fn what_is_no_number_or_nothing_is_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let base = || options(2, Kind::GPipe);
    let model = from_config(&config(), 0).unwrap();
    let stage = build_whole(&model).unwrap();
    let mut weights: BTreeMap<&str, Tensor> = stage
        .parameters()
        .iter()
        .map(|parameter| (parameter.name(), parameter.value().clone()))
        .collect();
    let nan = (weights["model.norm.weight"].zeros_like().unwrap() / 0.0).unwrap();
    weights.insert("model.norm.weight", nan);
    let path = |file| folder.path().join(file);
    safetensors::serialize_to_file(weights, None, &path("model.safetensors")).unwrap();
    std::fs::write(path("config.json"), config().to_string()).unwrap();
    let model = ModelSource::Pretrained { folder: folder.path().display().to_string() };
    assert_eq!(
        refused(&Options { model, ..base() }),
        [
            "the loss of the unsplit model is NaN, so that there is nothing to compare with; look at the \
          model's weights"
        ]
    );

    // Weights so large that their squares overflow: whatever is normalised is 0 then.
    let mut config = config();
    config["initializer_range"] = json!(1e30);
    let model = ModelSource::Scratch { config };
    let problems = refused(&Options { model, ..base() });
    assert!(
        problems[0].starts_with("the gradient norm of the unsplit model is 0, "),
        "{problems:?}"
    );
}
