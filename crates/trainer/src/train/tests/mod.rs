//! Runs from a recipe.

mod adapters;
mod data_parallel;
mod equal;
mod evaluate;
mod half;
mod non_finite;
mod resume;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use autopipe::ThreadOptions;
use autopipe_config::Recipe;
use autopipe_models::from_config;
use candle_core::{Device, Tensor, safetensors::load};
use serde_json::json;

use super::{Finished, TrainError, TrainOptions, train};
use crate::Event;
use crate::whole::write_whole;

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 4, max_steps: 4, ckpt_every_steps: 2}
distributed: {pp_size: 2, pipeline: {pp_schedule: 1f1b, pp_microbatch_size: 1}}
model: {pretrained_model_name_or_path: DIR/base}
dataset: {paths: [DIR/text.txt], seq_len: 16}
optimizer: {lr: 0.02}
clip_grad_norm: {max_norm: 1.0}
checkpoint: {checkpoint_dir: DIR/run}
";

/// A folder with a text and a model with random weights.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let text = "the quick brown fox jumps over the lazy dog. ".repeat(40);
        fs::write(desk.path("text.txt"), text).unwrap();
        fs::create_dir(desk.path("base")).unwrap();
        let config = json!({
            "model_type": "llama", "vocab_size": 256, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 32,
            "initializer_range": 0.2,
        });
        write_whole(&from_config(&config, 1).unwrap(), &desk.path("base")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// The tensors in a file.
    fn tensors(&self, file: &str) -> BTreeMap<String, Tensor> {
        load(self.path(file), &Device::Cpu).unwrap().into_iter().collect()
    }

    fn recipe(&self, overrides: &[&str]) -> Recipe {
        let dir = self.0.path().display().to_string();
        let overrides: Vec<String> = overrides.iter().map(|set| set.replace("DIR", &dir)).collect();
        Recipe::parse_with(&RECIPE.replace("DIR", &dir), "recipe.yaml", &overrides).unwrap()
    }

    /// The losses of a run, and what it said before it began.
    fn run(&self, overrides: &[&str]) -> (Vec<f64>, String) {
        let told = Mutex::new((Vec::new(), String::new()));
        let observe = |event: Event| match event {
            Event::Step(record) => told.lock().unwrap().0.push(record.loss),
            Event::Planned { summary, .. } => told.lock().unwrap().1 = summary,
            _ => {}
        };
        train(&self.recipe(overrides), &one_thread(), &observe).unwrap();
        told.into_inner().unwrap()
    }

    /// What a run says, and how it ends.
    fn events(
        &self,
        overrides: &[&str],
        options: &TrainOptions,
    ) -> (Vec<Event>, Result<Finished, TrainError>) {
        let told = Mutex::new(Vec::new());
        let finished =
            train(&self.recipe(overrides), options, &|event| told.lock().unwrap().push(event));
        (told.into_inner().unwrap(), finished)
    }

    /// The losses of a run that leaves nothing.
    fn losses(&self, overrides: &[&str]) -> Vec<f64> {
        let unsaved = ["checkpoint.enabled=false", "step_scheduler.ckpt_every_steps=none"];
        self.run(&[overrides, &unsaved].concat()).0
    }

    fn refused(&self, overrides: &[&str]) -> Vec<String> {
        match train(&self.recipe(overrides), &TrainOptions::default(), &|_| {}) {
            Err(TrainError::Prepare(problems)) => {
                let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
                problems.iter().map(|problem| first(problem.to_string())).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

const ONE_RANK: [&str; 2] = ["distributed.pp_size=1", "distributed.pipeline=none"];

#[track_caller]
fn assert_near(losses: &[f64], expected: &[f64]) {
    assert_eq!(losses.len(), expected.len());
    for (loss, expected) in losses.iter().zip(expected) {
        assert!((loss - expected).abs() < 1e-5 * expected, "{losses:?} for {expected:?}");
    }
}

/// Ranks that compute on one thread each.
fn one_thread() -> TrainOptions {
    let threads_per_rank = std::num::NonZeroUsize::new(1);
    let threads = ThreadOptions { threads_per_rank, ..ThreadOptions::default() };
    TrainOptions { threads, ..TrainOptions::default() }
}

/// The same for a run that goes on.
fn resumed() -> TrainOptions {
    TrainOptions { resume: true, ..one_thread() }
}

/// The losses among what a run has said.
fn losses_of(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| match event {
        Event::Step(record) => Some(record.loss),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}
