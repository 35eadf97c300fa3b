//! Runs that are killed or interrupted at any moment: what they had saved is whole, and they go on as
//! if nothing had been.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use serde_json::Value;

use crate::command::Desk;

const NUM_KILLS: u64 = 100;

/// A checkpoint after every step, so that a run is nearly always at writing one.
const RECIPE: &str = "\
step_scheduler: {global_batch_size: 2, local_batch_size: 2, max_steps: STEPS, ckpt_every_steps: 1}
distributed: {pp_size: 2, pipeline: {pp_schedule: 1f1b}}
model:
  config: {model_type: llama, vocab_size: 256, hidden_size: 8, intermediate_size: 16,
           num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16}
dataset: {paths: ['*.txt'], seq_len: 8}
optimizer: {lr: 0.01}
checkpoint: {checkpoint_dir: RUN, keep: 2}
metrics: {tensorboard: false}
";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("text.txt", &"pack my box with five dozen liquor jugs. ".repeat(30));
    desk
}

fn write_recipe(desk: &Desk, name: &str, run: &str, steps: usize) {
    desk.write(name, &RECIPE.replace("STEPS", &steps.to_string()).replace("RUN", run));
}

fn start(desk: &Desk, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_autopipe"))
        .arg("train")
        .args(args)
        .current_dir(desk.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what a run says until it has `part` in it.
fn wait_for(child: &mut Child, part: &str) -> String {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    while !said.contains(part) {
        assert!(lines.read_line(&mut said).unwrap() > 0, "it has ended and said:\n{said}");
    }
    // Whoever writes to a pipe that nobody reads any more may not.
    child.stderr = Some(lines.into_inner());
    said
}

/// The step that `latest` names, 0 before there is one.
fn latest(desk: &Desk, run: &str) -> usize {
    let path = desk.path(&format!("{run}/checkpoints/latest"));
    let name = std::fs::read_to_string(path).unwrap_or_default();
    name.trim_end().strip_prefix("step-").map_or(0, |step| step.parse().unwrap())
}

/// The losses of a run by step, each step once.
fn losses(desk: &Desk, run: &str) -> Vec<f64> {
    let lines = desk.read(&format!("{run}/metrics.jsonl"));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, step) in lines.iter().zip(1..) {
        assert_eq!(line["step"], step, "every step once, in order");
    }
    lines.iter().map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn nothing_that_was_saved_is_lost_at_a_hundred_kills() {
    let desk = desk();
    write_recipe(&desk, "recipe.yaml", "run", 1_000_000);
    let mut before = 0;
    for kill in 0..NUM_KILLS {
        let mut child = start(&desk, &["recipe.yaml", "--resume"]);
        // Half of them get on by a checkpoint at least, and the others may not have begun one.
        wait_for(&mut child, if kill % 2 == 0 { "saved " } else { "Data " });
        // Evenly over the next steps and their checkpoints.
        park_timeout(Duration::from_micros(kill * 7919 % NUM_KILLS * 300));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = latest(&desk, "run");
        assert!(now >= before, "kill {kill}: {now} after {before}");
        before = now;
    }
    assert!(before >= 50, "only {before} steps were saved");
    // It goes on to its end, with the numbers of a run that nobody has killed.
    let last = before + 3;
    write_recipe(&desk, "recipe.yaml", "run", last);
    let output = desk.run("train recipe.yaml --resume");
    assert_eq!(output.code, 0, "{}", output.err);
    write_recipe(&desk, "unbroken.yaml", "unbroken", last);
    let output = desk.run("train unbroken.yaml --set step_scheduler.ckpt_every_steps=none");
    assert_eq!(output.code, 0, "{}", output.err);
    let (run, unbroken) = (losses(&desk, "run"), losses(&desk, "unbroken"));
    assert_eq!(run.len(), last);
    assert_eq!(run, unbroken);
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_saves_and_leaves() {
    let desk = desk();
    write_recipe(&desk, "recipe.yaml", "run", 1_000_000);
    let mut child = start(&desk, &["recipe.yaml", "--set", "step_scheduler.ckpt_every_steps=none"]);
    wait_for(&mut child, "step 1/");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let said = wait_for(&mut child, "saved ");
    assert!(said.contains("a second Ctrl-C leaves at once"), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let step = latest(&desk, "run");
    assert!(step > 0);
    assert_eq!(losses(&desk, "run").len(), step);
}

#[cfg(unix)]
#[test]
fn the_second_interrupt_leaves_at_once() {
    let desk = desk();
    write_recipe(&desk, "recipe.yaml", "run", 1_000_000);
    // A step that would take minutes.
    let long = ["step_scheduler.global_batch_size=200000", "step_scheduler.local_batch_size=2"];
    let set: Vec<&str> = long.iter().flat_map(|long| ["--set", long]).collect();
    let mut child = start(&desk, &[&["recipe.yaml"], &set[..]].concat());
    wait_for(&mut child, "Data ");
    let pid = child.id().to_string();
    let interrupt = || {
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    };
    interrupt();
    wait_for(&mut child, "a second Ctrl-C leaves at once");
    interrupt();
    wait_for(&mut child, "leaving at once");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(latest(&desk, "run"), 0, "nothing is saved");
}

#[test]
fn a_folder_that_is_trained_in_is_not_trained_in_twice() {
    let desk = desk();
    write_recipe(&desk, "recipe.yaml", "run", 1_000_000);
    let mut child = start(&desk, &["recipe.yaml"]);
    wait_for(&mut child, "step 1/");
    let output = desk.run("train recipe.yaml --resume");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.code, 1);
    assert!(output.err.contains("another process trains in `run`"), "{}", output.err);
}
