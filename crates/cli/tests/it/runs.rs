//! A run of several ranks that is over soon, and what is left of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use serde_json::Value;

use crate::command::Desk;

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 4, max_steps: 6, ckpt_every_steps: 1}
distributed: {pp_size: 2, strategy: ddp, dp_size: 1, pipeline: {pp_schedule: 1f1b}}
model:
  config: {model_type: llama, vocab_size: 256, hidden_size: 8, intermediate_size: 16,
           num_hidden_layers: 4, num_attention_heads: 2, max_position_embeddings: 16}
dataset: {paths: ['*.txt'], seq_len: 8}
validation_dataset: {paths: ['*.txt'], max_batches: 4}
optimizer: {lr: 0.01}
checkpoint: {checkpoint_dir: run, keep: 2}
metrics: {tensorboard: false}
";

pub(crate) fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("text.txt", &"pack my box with five dozen liquor jugs. ".repeat(30));
    desk.write("recipe.yaml", RECIPE);
    desk
}

/// Losses of steps and evaluations, by line.
pub(crate) fn losses(desk: &Desk) -> Vec<f64> {
    let lines = desk.read("run/metrics.jsonl");
    let line = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let loss = |line: Value| line.get("loss").or(line.get("val_loss")).unwrap().as_f64().unwrap();
    lines.lines().map(line).map(loss).collect()
}

/// The weights of its last checkpoint, by file.
pub(crate) fn weights(desk: &Desk) -> BTreeMap<OsString, Vec<u8>> {
    let folder = fs::read_dir(desk.path("run/checkpoints/step-000006")).unwrap();
    let files = folder.map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// Takes two more steps by `run`, with the losses of a run that nothing has stopped.
pub(crate) fn goes_on(desk: &Desk, run: impl Fn(&str)) {
    let latest = desk.read("run/checkpoints/latest");
    let step: usize = latest.trim().strip_prefix("step-").unwrap().parse().unwrap();
    let until = format!("step_scheduler.max_steps={}", step + 2);
    run(&until);
    let whole = self::desk();
    let output = whole.run(&format!("train recipe.yaml --set {until}"));
    assert_eq!(output.code, 0, "{}", output.err);
    let steps = |desk: &Desk| losses(desk).into_iter().take(step + 2).collect::<Vec<_>>();
    assert_eq!(steps(desk), steps(&whole));
}
