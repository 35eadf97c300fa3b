//! What ranks hold in a run is what `autopipe plan` says of them.

use serde_json::Value;

use crate::command::Desk;
use crate::plan::planned_json;

/// By rank of the world, the most bytes that it held in the last step; and by rank of the pipeline, what
/// the plan says.
fn held_and_planned(desk: &Desk, args: &str) -> (Vec<f64>, Vec<f64>) {
    let run = desk.run(&format!("train memory.yaml --threads-per-rank 1 {args}"));
    assert_eq!(run.code, 0, "{}", run.err);
    let lines = desk.read("run/metrics.jsonl");
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let held = last["memory_bytes"].as_array().unwrap().iter().map(|bytes| bytes.as_f64().unwrap());
    let plan = planned_json(desk, &format!("memory.yaml {args}"));
    let ranks = plan["ranks"].as_array().unwrap().iter();
    std::fs::remove_dir_all(desk.path("run")).unwrap();
    (held.collect(), ranks.map(|rank| rank["total"].as_f64().unwrap()).collect())
}

/// What each of four ranks holds, which is within a tenth of what is planned for its place in the pipeline.
fn held_as_planned(desk: &Desk, args: &str) -> Vec<f64> {
    let (held, planned) = held_and_planned(desk, args);
    assert_eq!((held.len(), planned.len()), (4, 2));
    for (rank, held) in held.iter().enumerate() {
        let ratio = held / planned[rank / 2];
        assert!((ratio - 1.0).abs() < 0.1, "{args}: rank {rank} holds {ratio} of the plan");
    }
    held
}

#[test]
fn ranks_that_share_hold_what_is_planned() {
    let desk = Desk::new();
    desk.write("text.txt", &"pack my box with five dozen liquor jugs. ".repeat(30));
    desk.write(
        "memory.yaml",
        "\
step_scheduler: {global_batch_size: 8, local_batch_size: 4, max_steps: 2}
distributed: {pp_size: 2, dp_size: 2, split: 'even:0,0', pipeline: {pp_schedule: 1f1b}}
model:
  config: {model_type: llama, vocab_size: 256, hidden_size: 192, intermediate_size: 768,
           num_hidden_layers: 8, num_attention_heads: 4, max_position_embeddings: 32}
dataset: {paths: [text.txt], seq_len: 16}
optimizer: {lr: 0.01}
checkpoint: {checkpoint_dir: run}
metrics: {tensorboard: false}
",
    );
    let most = |held: &[f64]| held.iter().copied().fold(0.0, f64::max);
    let whole = most(&held_and_planned(&desk, "--set distributed.strategy=ddp").0);
    for args in ["", "--set distributed.pipeline.pp_schedule=interleaved1f1b"] {
        let held = held_as_planned(&desk, args);
        assert!(most(&held) < whole, "{args}: {held:?} of {whole}");
    }
}

/// Most of what they hold are activations, of which the residual stream is whole on each.
#[test]
fn ranks_that_have_parts_of_each_layer_hold_what_is_planned() {
    let desk = Desk::new();
    desk.write("text.txt", &"pack my box with five dozen liquor jugs. ".repeat(60));
    desk.write(
        "memory.yaml",
        "\
step_scheduler: {global_batch_size: 4, local_batch_size: 4, max_steps: 2}
distributed: {pp_size: 2, tp_size: 2, split: 'even:0,0', pipeline: {pp_schedule: 1f1b}}
model:
  config: {model_type: llama, vocab_size: 256, hidden_size: 128, intermediate_size: 256,
           num_hidden_layers: 24, num_attention_heads: 4, num_key_value_heads: 2,
           max_position_embeddings: 256}
dataset: {paths: [text.txt], seq_len: 256}
optimizer: {lr: 0.01}
checkpoint: {checkpoint_dir: run}
metrics: {tensorboard: false}
",
    );
    let experts = "--set model.config.model_type=qwen3_moe --set model.config.head_dim=32 \
                   --set model.config.moe_intermediate_size=64 --set model.config.num_experts=4 \
                   --set model.config.num_experts_per_tok=2";
    let interleaved = "--set distributed.pipeline.pp_schedule=interleaved1f1b";
    for args in ["", interleaved, experts] {
        held_as_planned(&desk, args);
    }
}
