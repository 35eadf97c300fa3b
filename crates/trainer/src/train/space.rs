//! Whether the disk has room for a run's checkpoints, asked before the run.

use std::path::PathBuf;

use autopipe::ParameterBytes;
use autopipe::splitter::{ModuleGraph, short_bytes};
use autopipe_config::Recipe;

/// Checkpoints for which a disk has no room.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "`{}` has {} free, and {}; free some, {}or choose a `checkpoint.checkpoint_dir` elsewhere",
    root.display(), short_bytes(float(*free)), needs(*num_at_once, *bytes_each), advice(*num_at_once)
)]
pub struct NoSpace {
    /// The run's folder.
    pub root: PathBuf,
    /// Bytes that are free there.
    pub free: u64,
    /// How many checkpoints are written before one of them goes.
    pub num_at_once: u64,
    /// Bytes of each, about.
    pub bytes_each: u64,
}

fn needs(num_at_once: u64, bytes_each: u64) -> String {
    let each = short_bytes(float(bytes_each));
    match num_at_once {
        1 => format!("a checkpoint takes {each}"),
        num => format!("the run writes {num} checkpoints of {each} before one goes"),
    }
}

fn advice(num_at_once: u64) -> &'static str {
    if num_at_once > 1 { "lower `checkpoint.keep`, save less often, " } else { "" }
}

#[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

/// Bytes of a checkpoint: weights and what the optimiser remembers; of an adapter, its own alone, unless
/// the last is to have it merged.
pub(super) fn checkpoint_bytes(recipe: &Recipe, graph: &ModuleGraph, each: ParameterBytes) -> u64 {
    let modules = graph.modules();
    let num_trainable: usize = modules.map(|module| module.num_trainable()).sum();
    let num_saved = if recipe.peft.as_ref().is_some_and(|peft| !peft.merge) {
        num_trainable
    } else {
        graph.num_parameters()
    };
    let weights = num_saved.saturating_mul(each.weight);
    weights.saturating_add(num_trainable.saturating_mul(each.optimizer)) as u64
}

/// How many more checkpoints than now there are at once at some time of a run that goes on after step
/// `done`, in whose folder are `num_there`: one that is written goes only when a newer one is whole.
pub(super) fn num_at_once(recipe: &Recipe, done: usize, num_there: usize) -> u64 {
    let scheduler = &recipe.step_scheduler;
    let last = scheduler.max_steps;
    if last <= done {
        return 0;
    }
    let num_due = match scheduler.ckpt_every_steps {
        // The last step saves in any case.
        Some(every) => (last - 1) / every.max(1) - done / every.max(1) + 1,
        None => 1,
    };
    // The best of all evaluations stays besides.
    let best = usize::from(recipe.checkpoint.save_best && recipe.validation_dataset.is_some());
    let num = match recipe.checkpoint.keep {
        Some(keep) => {
            let at_once = keep.saturating_add(1).saturating_add(best);
            num_due.saturating_add(best).min(at_once.saturating_sub(num_there).max(1))
        }
        None => num_due,
    };
    num as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(max_steps: usize, every: &str, keep: &str, more: &str) -> Recipe {
        let text = format!(
            "step_scheduler: {{global_batch_size: 1, local_batch_size: 1, max_steps: {max_steps}, \
             ckpt_every_steps: {every}}}\n\
             model: {{config: {{model_type: llama}}}}\n\
             dataset: {{paths: [a.txt], seq_len: 8}}\n\
             optimizer: {{lr: 0.1}}\n\
             checkpoint: {{checkpoint_dir: run, keep: {keep}}}\n{more}"
        );
        Recipe::parse(&text, "recipe.yaml").unwrap_or_else(|errors| panic!("{errors}"))
    }

    #[test]
    fn checkpoints_at_once() {
        for (steps, every, keep, done, there, expected) in [
            (10, "none", "none", 0, 0, 1),
            (10, "3", "none", 0, 0, 4),
            (10, "5", "none", 0, 0, 2),
            (10, "3", "none", 6, 0, 2),
            (10, "3", "none", 9, 0, 1),
            (10, "3", "none", 10, 3, 0),
            (10, "1", "2", 0, 0, 3),
            (10, "1", "2", 4, 2, 1),
            (10, "1", "2", 4, 7, 1),
            (10, "5", "9", 0, 0, 2),
        ] {
            let recipe = recipe(steps, every, keep, "");
            let num = num_at_once(&recipe, done, there);
            assert_eq!(num, expected, "{steps} {every} {keep} {done} {there}");
        }
    }

    #[test]
    fn the_best_stays_besides() {
        let more = "validation_dataset: {paths: [b.txt]}\n";
        assert_eq!(num_at_once(&recipe(10, "1", "2", more), 0, 0), 4);
        assert_eq!(num_at_once(&recipe(10, "1", "2", more), 4, 3), 1);
        assert_eq!(num_at_once(&recipe(10, "none", "2", more), 0, 0), 2);
    }

    #[test]
    fn what_is_said_has_the_figures_and_a_way_out() {
        let root = PathBuf::from("runs/a");
        let one = NoSpace { root, free: 1_500_000, num_at_once: 1, bytes_each: 3_000_000 };
        assert_eq!(
            one.to_string(),
            "`runs/a` has 1.50 MB free, and a checkpoint takes 3 MB; free some, or choose a \
             `checkpoint.checkpoint_dir` elsewhere"
        );
        let three = NoSpace { num_at_once: 3, ..one }.to_string();
        assert!(three.contains("writes 3 checkpoints of 3 MB before one goes"), "{three}");
        assert!(three.contains("lower `checkpoint.keep`, save less often, or"), "{three}");
    }
}
