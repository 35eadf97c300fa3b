//! The text of a recipe, with comments.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use autopipe_config::Recipe;

use super::choose::Choice;
use super::data::Form;
use crate::hub;

/// Everything that a recipe says.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// What its run is called.
    pub(super) name: String,
    /// Where it is written.
    pub(super) file: String,
    pub(super) pp_size: usize,
    pub(super) has_weights: bool,
    /// What stands in the section `model`.
    pub(super) model: String,
    /// The pattern of the data, in quotes.
    pub(super) paths: String,
    pub(super) form: Form,
    /// The file of the chat template, in quotes.
    pub(super) chat_template: Option<String>,
    pub(super) seq_len: usize,
    /// Samples of a step.
    pub(super) batch_size: usize,
    pub(super) steps: Steps,
    pub(super) lr: f64,
    pub(super) choice: Choice,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) max: usize,
    /// Those on the way to the highest learning rate.
    pub(super) warmup: usize,
    /// Those from one checkpoint to the next.
    pub(super) ckpt_every: usize,
}

impl Steps {
    /// The shortest run.
    pub(super) const LEAST: Self = Self { max: 1, warmup: 0, ckpt_every: 1 };

    /// A run of `max` steps: a twentieth is warm-up, and four checkpoints are saved.
    pub(super) fn of(max: usize) -> Self {
        Self { max, warmup: max / 20, ckpt_every: (max / 4).max(1) }
    }
}

/// The lowest learning rate, as a part of the highest.
const MIN_LR: f64 = 0.1;

/// A path as a value of YAML, whatever is in it.
///
/// # Errors
/// If it is not in UTF-8.
pub(super) fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("the path {} is not in UTF-8; rename it", path.display()))?;
    Ok(serde_json::to_string(text)?)
}

impl Draft {
    /// The recipe as `autopipe train` reads it.
    ///
    /// # Errors
    /// If it cannot be read, which is so if a name cannot be in a recipe, or its model cannot be had.
    pub(super) fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut recipe = Recipe::parse(&self.text(), &self.file)?;
        hub::resolve_recipe(&mut recipe)?;
        Ok(recipe)
    }

    pub(super) fn text(&self) -> String {
        let Self { file, batch_size, steps, model, seq_len, lr, choice, .. } = self;
        let Choice { local_batch_size, .. } = choice;
        let Steps { max, warmup, ckpt_every } = steps;
        let what = if self.has_weights { "Fine-tunes" } else { "Trains" };
        let how = if self.has_weights { "" } else { " from random weights" };
        let dir = Path::new("runs").join(&self.name);
        let dir = serde_json::Value::from(dir.to_string_lossy()).to_string();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\
# {what} a model{how}. Paths are relative to the folder the command runs in.
#
#     autopipe plan {file}     # what each rank will take
#     autopipe train {file}

step_scheduler:
  global_batch_size: {batch_size}  # sequences per optimiser step
  local_batch_size: {local_batch_size}  # sequences per pipeline step; the quotient is the accumulation
  max_steps: {max}
  ckpt_every_steps: {ckpt_every}
  # val_every_steps: {ckpt_every}  # with a validation_dataset

rng:
  seed: 1111
{}
model:
{model}  # torch_dtype: bfloat16  # half the memory of weights and activations
  # freeze: [model.embed_tokens]

dataset:
{}
# validation_dataset:  # what it does not say is as in dataset
#   paths: [\"...\"]

optimizer:
  name: adamw
  lr: {lr:.1e}  # {}
  weight_decay: {}

lr_scheduler:
  lr_decay_style: cosine
  lr_warmup_steps: {warmup}
  min_lr: {:.1e}

clip_grad_norm:
  max_norm: 1.0

checkpoint:
  enabled: true
  checkpoint_dir: {dir}
  keep: 2  # the newest; the best of an evaluation stays besides
",
            self.distributed(),
            self.dataset(*seq_len),
            if self.has_weights {
                "usual for a model of this size that has learnt already"
            } else {
                "usual for a model of this size from scratch"
            },
            if self.has_weights { 0.01 } else { 0.1 },
            MIN_LR * lr,
        );
        text
    }

    /// The section `distributed`, if it says anything.
    fn distributed(&self) -> String {
        let Self { pp_size, choice, .. } = self;
        let Choice { microbatch_size, schedule, split, recomputes, .. } = choice;
        if *pp_size == 1 && !recomputes {
            return String::new();
        }
        let mut text = format!("\ndistributed:\n  pp_size: {pp_size}  # pipeline ranks\n");
        if *recomputes {
            text += "  activation_checkpointing: true  # less memory; layers compute their forward twice\n";
        }
        if *pp_size > 1 {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "  split: {split}  # how layers are shared out over stages: even, balanced, or a layout
  pipeline:
    pp_schedule: {schedule}  # the shortest predicted step; `autopipe plan` tells of others
    pp_microbatch_size: {microbatch_size}  # sequences per microbatch\n"
            );
        }
        text
    }

    /// What stands in the section `dataset`.
    fn dataset(&self, seq_len: usize) -> String {
        let paths = &self.paths;
        let (record, columns) = match self.form {
            Form::Text => ("text", Vec::new()),
            Form::Tokens => ("tokens", Vec::new()),
            Form::Table => ("a record a row", Vec::new()),
            Form::Documents { text } => ("a text a line", vec![("text_column", text)]),
            Form::Pairs { prompt, completion } => (
                "a prompt and its completion a line; the prompt is not learnt",
                vec![("prompt_column", prompt), ("completion_column", completion)],
            ),
            Form::Conversations { messages } => (
                "a conversation a line; what the assistant says is learnt",
                vec![("messages_column", messages)],
            ),
        };
        let mut text = format!("  paths: [{paths}]  # {record}\n");
        for (key, name) in columns {
            // The usual names need no word.
            if key.strip_suffix("_column") != Some(name) {
                text += &format!("  {key}: {name}\n");
            }
        }
        if self.form != Form::Tokens {
            text += "  tokenizer: auto  # the model's; bytes if it has none\n";
        }
        if let Some(template) = &self.chat_template {
            text += &format!("  chat_template: {template}\n");
        }
        match self.form {
            Form::Text | Form::Tokens => {}
            Form::Documents { .. } => {
                text += "  arrange: stream  # one after the other, over the ends of rows\n";
            }
            Form::Table | Form::Pairs { .. } | Form::Conversations { .. } => {
                text +=
                    "  arrange: pack  # as many whole samples a row as fit; none sees another\n";
                text += "  too_long: truncate  # or skip, or stop\n";
            }
        }
        text + &format!("  seq_len: {seq_len}  # tokens a row; memory and time grow with it\n")
    }
}
