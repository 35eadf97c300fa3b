//! `autopipe train`: a short run from recipe to checkpoint, and what is refused before it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{Output, autopipe_in};

pub(crate) const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 4, max_steps: 4, ckpt_every_steps: 3}
distributed:
  pp_size: 2
  pipeline: {pp_schedule: 1f1b, pp_microbatch_size: 1}
model:
  config:
    model_type: llama
    vocab_size: 256
    hidden_size: 16
    intermediate_size: 32
    num_hidden_layers: 3
    num_attention_heads: 2
    max_position_embeddings: 32
dataset: {paths: ['*.txt'], seq_len: 16}
optimizer: {lr: 0.01}
clip_grad_norm: {max_norm: 1.0}
checkpoint: {checkpoint_dir: run}
";

fn train(folder: &Path, recipe: &str) -> Output {
    fs::write(folder.join("text.txt"), "the quick brown fox jumps over the lazy dog. ".repeat(40))
        .unwrap();
    fs::write(folder.join("recipe.yaml"), recipe).unwrap();
    autopipe_in(folder, &["train", "recipe.yaml"])
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_tells_what_it_will_do_and_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let Output { code, out, err } = train(folder.path(), RECIPE);
    assert_eq!(code, 0, "{err}");
    for part in [
        "Mesh",
        "Stages",
        "model.layers.0",
        "Schedule1F1B",
        "Predicted bubble 17.1%",
        "step 4/4",
        "loss",
    ] {
        assert!(err.contains(part), "{part} is missing in:\n{err}");
    }
    assert_eq!(out, "checkpoint  run/checkpoints/step-000004\n");

    let run = folder.path().join("run");
    assert_eq!(fs::read_to_string(run.join("checkpoints/latest")).unwrap(), "step-000004\n");
    assert!(run.join("checkpoints/step-000003/config.json").is_file());
    let checkpoint = run.join("checkpoints/step-000004");
    assert_eq!(json(&checkpoint.join("config.json"))["architectures"][0], "LlamaForCausalLM");
    let index = json(&checkpoint.join("model.safetensors.index.json"));
    assert_eq!(
        index["weight_map"]["model.embed_tokens.weight"],
        "model-00001-of-00002.safetensors"
    );
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00002-of-00002.safetensors");

    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let losses: Vec<f64> = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 4);
    assert!((losses[0] - 256f64.ln()).abs() < 0.2, "random weights know nothing: {losses:?}");
    assert!(losses[3] < losses[0], "{losses:?}");
}

/// The losses of a run with another pipeline.
fn losses(recipe: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), recipe);
    assert_eq!(output.code, 0, "{}", output.err);
    fs::read_to_string(folder.path().join("run/metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap())
        .collect()
}

#[test]
fn the_pipeline_changes_no_loss() {
    let one_rank = RECIPE
        .replace("pp_size: 2", "pp_size: 1")
        .replace("  pipeline: {pp_schedule: 1f1b, pp_microbatch_size: 1}\n", "");
    let expected = losses(&one_rank);
    for pipeline in
        ["pp_schedule: gpipe, pp_microbatch_size: 2", "pp_schedule: 1f1b, pp_microbatch_size: 1"]
    {
        let recipe = RECIPE.replace("pp_schedule: 1f1b, pp_microbatch_size: 1", pipeline);
        for (loss, expected) in losses(&recipe).iter().zip(&expected) {
            assert!(
                (loss - expected).abs() < 1e-5 * expected,
                "{loss} for {expected} with {pipeline}"
            );
        }
    }
    assert_eq!(losses(RECIPE), losses(RECIPE), "the same run twice gives the same bits");
}

#[test]
fn a_schedule_from_a_file_runs_as_a_named_one() {
    let folder = tempfile::tempdir().unwrap();
    // 1F1B with the backward cut in two; four microbatches.
    let table = "0F0,0F1,0I0,0W0,0F2,0I1,0F3,0I2,0W1,0I3,0W3,0W2\n1F0,1I0,1W0,1F1,1I1,1F2,1B2,1W1,1F3,1B3\n";
    fs::write(folder.path().join("table.csv"), table).unwrap();
    let recipe = RECIPE.replace("pp_schedule: 1f1b", "pp_schedule_csv: table.csv");
    let output = train(folder.path(), &recipe);
    assert_eq!(output.code, 0, "{}", output.err);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let expected = losses(RECIPE);
    assert!((last["loss"].as_f64().unwrap() - expected[3]).abs() < 1e-5 * expected[3]);
}

#[test]
fn training_goes_on_from_a_checkpoint_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path(), RECIPE).code, 0);
    let config = RECIPE.find("  config:").unwrap()..RECIPE.find("dataset:").unwrap();
    let mut recipe = RECIPE.replace("checkpoint_dir: run", "checkpoint_dir: second");
    recipe.replace_range(config, "  pretrained_model_name_or_path: run/checkpoints/step-000004\n");
    let output = train(folder.path(), &recipe);
    assert_eq!(output.code, 0, "{}", output.err);
    let first = |run: &str| -> f64 {
        let metrics = fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).unwrap();
        serde_json::from_str::<Value>(metrics.lines().next().unwrap()).unwrap()["loss"]
            .as_f64()
            .unwrap()
    };
    assert!(first("second") < first("run"), "the weights of the first run were loaded");
}

#[test]
fn all_mistakes_of_a_recipe_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = RECIPE
        .replace("pp_schedule:", "pp_shedule:")
        .replace("max_steps: 4", "max_steps: none")
        .replace("seq_len: 16", "seq_len: -16");
    let Output { code, out, err } = train(folder.path(), &wrong);
    assert_eq!((code, out.as_str()), (1, ""));
    insta::assert_snapshot!(err);
    assert!(!folder.path().join("run").exists(), "nothing is left behind");
}

#[test]
fn what_does_not_fit_together_is_found_before_training() {
    for (from, to, expected) in [
        ("pp_size: 2", "pp_size: 4", "4 stages"),
        ("1f1b", "1f2b", "1F1B"),
        ("seq_len: 16", "seq_len: 64", "max_position_embeddings 32"),
        ("vocab_size: 256", "vocab_size: 100", "bytes need a vocabulary of 256"),
        ("*.txt", "*.md", "*.md"),
        ("hidden_size: 16", "hidden_size: 15", "15"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Output { code, err, .. } = train(folder.path(), &RECIPE.replace(from, to));
        assert_eq!(code, 1, "{to}: {err}");
        assert!(err.contains(expected), "{to}: {err}");
        assert!(!folder.path().join("run").exists(), "{to}: nothing is left behind");
    }
}

#[test]
fn problems_of_model_schedule_and_data_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = RECIPE
        .replace("hidden_size: 16", "hiden_size: 16")
        .replace("1f1b", "gpip")
        .replace("*.txt", "*.md");
    let Output { code, err, .. } = train(folder.path(), &wrong);
    assert_eq!(code, 1);
    for part in ["hiden_size", "*.md"] {
        assert!(err.contains(part), "{part} is missing in:\n{err}");
    }
}

#[test]
fn values_set_from_outside_count() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &RECIPE.replace("max_steps: 4", "max_steps: 1"));
    let set =
        |value| ["train", "recipe.yaml", "--set", "checkpoint.checkpoint_dir=two", "--set", value];
    let output = autopipe_in(folder.path(), &set("step_scheduler.max_steps=2"));
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, "checkpoint  two/checkpoints/step-000002\n")
    );
    let output = autopipe_in(folder.path(), &set("step_scheduler.max_step=2"));
    assert!(output.code == 1 && output.err.contains("--set:1:16: step_scheduler.max_step"));
}

#[test]
fn a_process_of_several_that_cannot_reach_the_others_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.yaml"), RECIPE).unwrap();
    let train = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_autopipe"));
        command.args(["train", "recipe.yaml"]).args(args).current_dir(folder.path());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let torchrun = [("RANK", "1"), ("WORLD_SIZE", "2")];
    let said = train(&[], &torchrun);
    assert!(said.contains("nothing says where rank 0 is; give all processes --master"), "{said}");
    let said = train(&["--launch", "mpi"], &torchrun);
    assert!(
        said.contains("torchrun has started 2 processes, of which MPI knows nothing"),
        "{said}"
    );
    let other = [("RANK", "1"), ("WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "2")];
    let said = train(&["--launch", "mpi"], &other);
    assert!(said.contains("RANK=1 WORLD_SIZE=2 of torchrun and PMI_RANK=0"), "{said}");
    let said = train(&["--launch", "mpi"], &[]);
    assert!(said.contains("nothing has started several processes"), "{said}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn what_cannot_be_run_is_refused_where_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = RECIPE
        .replace("  pp_size: 2", "  pp_size: 2\n  cp_size: 2\n  defer_fsdp_grad_sync: false")
        .replace("pp_schedule: 1f1b,", "pp_schedule: 1f1b, dtype: bf16,")
        .replace("model:\n", "model:\n  dtype: float16\n");
    let Output { code, err, .. } = train(folder.path(), &wrong);
    assert_eq!(code, 1);
    insta::assert_snapshot!(err);
    assert!(!folder.path().join("run").exists(), "nothing is left behind");
    let alone = RECIPE.replace(
        "pp_size: 2\n  pipeline: {pp_schedule: 1f1b, pp_microbatch_size: 1}",
        "split: even",
    );
    let Output { err, .. } = train(folder.path(), &alone);
    assert!(err.contains("distributed.split: without a pipeline"), "{err}");
}

#[test]
fn each_split_trains_to_the_same_losses() {
    let expected = losses(RECIPE);
    for split in ["balanced", "even:0,1", "Et|ttL"] {
        let recipe = RECIPE.replace("  pp_size: 2", &format!("  pp_size: 2\n  split: {split}"));
        for (loss, expected) in losses(&recipe).iter().zip(&expected) {
            assert!((loss - expected).abs() < 1e-5 * expected, "{split}: {loss} for {expected}");
        }
    }
}

#[test]
fn a_folder_s_config_can_be_trained_from_scratch() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path(), RECIPE).code, 0);
    let config = RECIPE.find("  config:").unwrap()..RECIPE.find("dataset:").unwrap();
    let mut recipe = RECIPE.replace("checkpoint_dir: run", "checkpoint_dir: second");
    recipe.replace_range(
        config,
        "  config: {_target_: transformers.AutoConfig.from_pretrained, \
         pretrained_model_name_or_path: run/checkpoints/step-000004, num_hidden_layers: 2}\n",
    );
    let output = train(folder.path(), &recipe);
    assert_eq!(output.code, 0, "{}", output.err);
    assert!(output.err.contains("model.layers.1") && !output.err.contains("model.layers.2"));
}

#[test]
fn two_runs_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path(), RECIPE).code, 0);
    let Output { code, err, .. } = train(folder.path(), RECIPE);
    assert_eq!(code, 1);
    assert!(err.contains("`run` holds a run already"), "{err}");
    let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 4);
}

#[test]
fn a_checkpoint_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("run/checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    fs::write(checkpoints.join("step-000003.partial"), "in the way").unwrap();
    let Output { code, err, .. } = train(folder.path(), RECIPE);
    assert_eq!(code, 1);
    assert!(err.contains("step-000003.partial") && err.contains("os error"), "{err}");
}

#[test]
fn a_table_that_cannot_train_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (table, expected) in [
        ("0F0,0F1,0F2,0F3\n1F0,1F1,1F2,1F3\n", "only goes forward"),
        ("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n", "sends and receives"),
        ("0F0,0B0\n1F0,1B0\n", "1 microbatches, but a batch of 4"),
        ("0F0,0F1,0F2,0B0\n1F0,1B0\n", "microbatch"),
    ] {
        fs::write(folder.path().join("table.csv"), table).unwrap();
        let recipe = RECIPE.replace("pp_schedule: 1f1b", "pp_schedule_csv: table.csv");
        let Output { code, err, .. } = train(folder.path(), &recipe);
        assert_eq!(code, 1);
        assert!(err.contains(expected), "{table}: {err}");
    }
}

#[test]
fn records_that_are_left_out_are_counted_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let good = "{\"text\": \"the quick brown fox jumps over the lazy dog\"}\n";
    fs::write(folder.path().join("r.jsonl"), format!("{good}{{\n{good}")).unwrap();
    let recipe = RECIPE.replace("['*.txt']", "[r.jsonl]");
    let output = train(folder.path(), &recipe);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("r.jsonl:2:"), "{}", output.err);
    fs::remove_dir_all(folder.path().join("run")).unwrap();
    let output =
        train(folder.path(), &recipe.replace("seq_len: 16", "seq_len: 16, on_error: skip"));
    assert_eq!(output.code, 0, "{}", output.err);
    assert!(output.err.contains("records that cannot be read, 0 samples"), "{}", output.err);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn gpus_are_refused_by_a_build_that_knows_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train(folder.path(), RECIPE).code, 0);
    let words =
        "this build knows no GPU; build with the feature `cuda`, or let it compute on the CPU";
    for args in [&["--device", "cuda"][..], &["--nccl"]] {
        let all =
            [&["train", "recipe.yaml", "--set", "checkpoint.checkpoint_dir=other"], args].concat();
        let Output { code, err, .. } = autopipe_in(folder.path(), &all);
        assert!(code == 1 && err.contains(words), "{args:?}: {err}");
        assert!(!folder.path().join("other").exists(), "nothing is left behind");
    }
    let unknown = autopipe_in(folder.path(), &["train", "recipe.yaml", "--device", "tpu"]);
    assert!(unknown.code == 2, "{}", unknown.err);
    assert!(unknown.err.contains("`tpu` is no device; give auto, cpu or cuda"), "{}", unknown.err);
}
