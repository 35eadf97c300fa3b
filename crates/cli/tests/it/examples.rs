//! The recipes in `examples/`: each runs from the root of the repository, here for a step or two.

use std::fs;
use std::path::{Path, PathBuf};

use autopipe_config::{ModelSource, Recipe};

use crate::command::{Output, autopipe_in};

/// The one whose checkpoint others begin with, and where they look for it.
const FIRST: &str = "quickstart";
const ITS_CHECKPOINT: &str = "runs/quickstart/checkpoints/step-000500";

/// The steps that each is cut to.
const NUM_STEPS: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of the recipes, the first one in front.
fn names() -> Vec<String> {
    let files = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let recipes = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    let mut names: Vec<String> =
        recipes.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_by_key(|name| (name != FIRST, name.clone()));
    names
}

/// What makes a recipe short and keeps its run in `runs`.
fn shortened(name: &str, recipe: &Recipe, runs: &Path) -> Vec<String> {
    let mut set = vec![format!("checkpoint.checkpoint_dir={}", runs.join(name).display())];
    let scheduler = &recipe.step_scheduler;
    if scheduler.max_steps > 0 {
        set.push(format!("step_scheduler.max_steps={NUM_STEPS}"));
    }
    // One batch a step is enough, and the rows of some may be shorter.
    set.push(format!("step_scheduler.global_batch_size={}", scheduler.local_batch_size));
    if recipe.lr_scheduler.lr_warmup_steps > 0 {
        set.push("lr_scheduler.lr_warmup_steps=1".to_owned());
    }
    if recipe.lr_scheduler.wsd_decay_steps.is_some() {
        set.push("lr_scheduler.wsd_decay_steps=1".to_owned());
    }
    match &recipe.model.source {
        ModelSource::Pretrained { folder } => {
            assert_eq!(folder, ITS_CHECKPOINT, "{name}");
            let folder = runs.join(FIRST).join(format!("checkpoints/step-{NUM_STEPS:06}"));
            set.push(format!("model.pretrained_model_name_or_path={}", folder.display()));
        }
        ModelSource::Scratch { .. } | ModelSource::ScratchLike { .. } => {
            set.push("dataset.seq_len=32".to_owned());
        }
    }
    set
}

#[test]
fn every_example_runs() {
    let runs = tempfile::tempdir().unwrap();
    let names = names();
    assert_eq!(names[0], FIRST);
    for name in &names {
        let file = format!("examples/{name}.yaml");
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let recipe = Recipe::parse(&text, &file).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(recipe.warnings.is_empty(), "{file}: {:?}", recipe.warnings);
        // A run that is called as its recipe takes no other's place.
        assert_eq!(recipe.checkpoint.checkpoint_dir, format!("runs/{name}"), "{file}");
        assert!(text.contains(&format!("train {file}\n")), "{file} does not say how it is run");

        let set = shortened(name, &recipe, runs.path());
        let mut args = vec!["train", &file];
        args.extend(set.iter().flat_map(|value| ["--set", value.as_str()]));
        let Output { code, err, .. } = autopipe_in(&root(), &args);
        assert_eq!(code, 0, "{file}: {err}");
        let metrics = fs::read_to_string(runs.path().join(name).join("metrics.jsonl")).unwrap();
        let num_steps = metrics.lines().filter(|line| line.contains("\"grad_norm\"")).count();
        assert_eq!(num_steps, recipe.step_scheduler.max_steps.min(NUM_STEPS), "{file}: {metrics}");
        let evaluates = recipe.validation_dataset.is_some();
        assert_eq!(metrics.contains("\"val_loss\""), evaluates, "{file}: {metrics}");
    }
}
