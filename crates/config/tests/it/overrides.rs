//! Values that are set from outside.

use autopipe_config::{ModelSource, Recipe, RecipeErrors};

use crate::{FULL, NEMO, SMALL, short};

fn with(text: &str, overrides: &[&str]) -> Result<Recipe, RecipeErrors> {
    Recipe::parse_with(text, "recipe.yaml", overrides)
}

#[test]
fn an_override_takes_the_place_of_a_value() {
    let overrides = [
        "distributed.pp_size=4",
        "distributed.pipeline.pp_schedule=zbvzerobubble",
        "dataset.paths=[a.txt, b.txt]",
        "optimizer.lr = 3e-4",
        "rng={seed: 5}",
        "rng.seed=6",
    ];
    let recipe = with(SMALL, &overrides).unwrap();
    assert_eq!(recipe.distributed.pp_size, 4);
    let pipeline = recipe.distributed.pipeline.as_ref().unwrap();
    assert_eq!(pipeline.pp_schedule.as_deref(), Some("zbvzerobubble"));
    assert_eq!(recipe.dataset.sources[0].paths, ["a.txt", "b.txt"]);
    assert_eq!((recipe.optimizer.lr, recipe.rng.seed), (3e-4, 6));
}

#[test]
fn a_value_is_yaml_and_may_hold_what_overrides_are_made_of() {
    let recipe = with(SMALL, &["checkpoint.checkpoint_dir='runs/a=b.c'"]).unwrap();
    assert_eq!(recipe.checkpoint.checkpoint_dir, "runs/a=b.c");
    for nothing in ["distributed.dp_size=", "distributed.dp_size=none", "distributed.dp_size=~"] {
        assert_eq!(with(FULL, &[nothing]).unwrap().distributed.dp_size, None);
    }
}

#[test]
fn a_folders_config_can_be_changed() {
    let recipe = with(NEMO, &["model.config.num_hidden_layers=12"]).unwrap();
    let ModelSource::ScratchLike { changes, .. } = recipe.model.source else { panic!() };
    assert_eq!(changes["num_hidden_layers"], 12);
}

#[test]
fn overrides_alone_can_make_a_recipe() {
    let overrides = [
        "step_scheduler={global_batch_size: 8, local_batch_size: 8, max_steps: 1}",
        "model.pretrained_model_name_or_path=m",
        "dataset={paths: [a.txt], seq_len: 4}",
        "optimizer.lr=1",
    ];
    assert!(with("", &overrides).is_ok());
}

#[test]
fn problems_of_overrides_come_with_those_of_the_file() {
    let text = SMALL.replace("seq_len: 32", "seq_len: -32");
    let overrides = [
        "distributed.pp_size=four",
        "distributed.pipeline.pp_shedule=gpipe",
        "step_scheduler.global_batch_size=9",
        "optimizer.lr.high=1",
        "dataset.paths.0=a.txt",
        "no value",
        "=3",
        "model..config=1",
        "rng={seed: 1",
        "rng.seed=1\nnext: 2",
        "checkpoint.enabled=!no true",
        "lr_scheduler.min_lr={a: 1, a: 2}",
        "clip_grad_norm=1\n---\n2",
        "",
    ];
    insta::assert_snapshot!(with(&text, &overrides).unwrap_err());
}

#[test]
fn a_file_that_is_no_yaml_hides_no_override_that_is_none() {
    let errors = with("a: [", &["b", "c=[", "d=1"]).unwrap_err();
    let files: Vec<&str> = errors.problems().iter().map(|p| p.file.as_str()).collect();
    assert_eq!(files, ["recipe.yaml", "--set", "--set"]);
    assert!(errors.to_string().ends_with("3 problems in recipe.yaml and --set"));
}

#[test]
fn a_file_that_is_no_section_has_no_keys_to_set() {
    let errors = with("- a", &["rng.seed=1"]).unwrap_err();
    assert_eq!(
        short(errors.problems()),
        [
            ": expected a section, found a list",
            "rng: there are no keys below `the recipe`, which is a list"
        ]
    );
}

#[test]
fn a_problem_found_later_is_shown_at_the_override() {
    let recipe = with(SMALL, &["distributed.tp_size=3"]).unwrap();
    let problem = recipe.problem("distributed.tp_size", "3 ranks cannot share 4 heads", None);
    assert_eq!((problem.file.as_str(), problem.line, problem.column), ("--set", 1, 21));
    assert!(problem.to_string().contains("1 | distributed.tp_size=3\n"), "{problem}");
}

#[test]
fn a_path_is_not_too_deep() {
    let deep = format!("{}=1", ["a"; 30_000].join("."));
    let errors = with(SMALL, &[&deep]).unwrap_err();
    assert_eq!(
        short(errors.problems()),
        [": a value lies at most 20 keys deep, this path has 30000"]
    );
    let errors = with(SMALL, &[&format!("rng.seed={}", "1".repeat(70_000))]).unwrap_err();
    assert_eq!(
        short(errors.problems()),
        ["rng.seed: one text has at most 65536 bytes, this one has 70000"]
    );
}
