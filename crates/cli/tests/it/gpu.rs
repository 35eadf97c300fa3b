//! Runs on GPUs, and what is said when a machine has too little of them.

use std::fs;

use crate::command::{Output, autopipe_in};
use crate::train::RECIPE;
use device::gpu;

#[path = "../../../nn/tests/it/gpu/device.rs"]
mod device;

/// Trains on GPUs with more arguments.
fn train(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(40);
    fs::write(folder.path().join("text.txt"), text).unwrap();
    fs::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
    let output =
        autopipe_in(folder.path(), &[&["train", "recipe.yaml", "--device", "cuda"], args].concat());
    let has_begun = output.code == 0;
    assert_eq!(
        folder.path().join("run").exists(),
        has_begun,
        "a run that is refused leaves nothing"
    );
    output
}

#[test]
fn nccl_with_more_ranks_than_gpus_is_refused_before_the_run() {
    if gpu().is_none() {
        return;
    }
    let num_gpus = autopipe::num_gpus().unwrap();
    let num_layers = format!("model.config.num_hidden_layers={}", 2 * num_gpus + 1);
    let num_ranks = format!("distributed.pp_size={}", 2 * num_gpus + 1);
    let Output { code, err, .. } =
        train(&["--nccl", "--set", num_ranks.as_str(), "--set", num_layers.as_str()]);
    assert_eq!(code, 1, "{err}");
    let words = format!(
        "of the {num_gpus} that CUDA sees, and the recipe has {} ranks; set `distributed.pp_size`",
        2 * num_gpus + 1
    );
    assert!(err.contains(&words), "{err}");
}

#[test]
fn a_bench_tells_the_gpus_memory() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"model_type": "llama", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let args = "bench --model config.json --pp 2 --batch 2 --seq 8 --steps 2 --device cuda --json";
    let args: Vec<&str> = args.split(' ').collect();
    let Output { code, out, err } = autopipe_in(folder.path(), &args);
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["device"], "cuda");
    // The weights alone, their gradients and moments.
    let least = 16. * report["model"]["num_parameters"].as_f64().unwrap();
    assert!(report["peak_gpu_bytes"].as_f64().unwrap() > least / 2., "{out}");
    assert_eq!(report["step_seconds_all"].as_array().unwrap().len(), 2);
    assert!(report["measured_bubble"].as_f64().unwrap() > 0., "three more steps are looked into");
    // What is counted there is the host's.
    assert!(report.get("measured_peak_bytes").is_none(), "{out}");
}
