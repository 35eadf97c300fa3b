//! What is true of any bytes: the body of the fuzz target `recipe` in `fuzz`, which the tests run over
//! a small corpus and its mutations.

use autopipe_config::{Problem, Recipe, RecipeErrors};

/// No problem takes more bytes than this to show, whatever it is about.
const SHOWN: usize = 4_000;

/// A text, and after each zero byte an override, is a recipe or is refused. What is said about it lies
/// within it, and what is accepted is the same a second time. Says whether it was accepted.
pub(crate) fn recipe(bytes: &[u8]) -> bool {
    let input = String::from_utf8_lossy(bytes);
    let mut texts = input.split('\0');
    let text = texts.next().unwrap_or_default();
    let overrides: Vec<&str> = texts.collect();
    let read = |overrides: &[&str]| Recipe::parse_with(text, "recipe.yaml", overrides);
    let is_within = |problem: &Problem| is_within(problem, text, &overrides);
    match read(&overrides) {
        Err(errors) => {
            assert!((1..=100).contains(&errors.problems().len()));
            assert!(errors.problems().iter().all(is_within), "{errors:?}");
            assert_eq!(read(&overrides), Err(errors));
            false
        }
        Ok(recipe) => {
            assert!(recipe.warnings.iter().all(is_within), "{:?}", recipe.warnings);
            assert_eq!(read(&overrides).as_ref(), Ok(&recipe));
            sets_what_is_set(&recipe, |over| read(&[&overrides, [over].as_slice()].concat()));
            for key in
                ["distributed.tp_size", "dataset.paths", "model.config.a.b", "checkpoint", ""]
            {
                assert!(is_within(&recipe.problem(key, "wrong", None)), "{key}");
            }
            let steps = &recipe.step_scheduler;
            assert!(steps.num_accumulation_steps(1).is_ok_and(|num_steps| num_steps > 0));
            true
        }
    }
}

/// To set what is said anyway makes the same recipe.
fn sets_what_is_set<F: Fn(&str) -> Result<Recipe, RecipeErrors>>(recipe: &Recipe, read: F) {
    let Recipe { step_scheduler, distributed, optimizer, dataset, .. } = recipe;
    for over in [
        format!("step_scheduler.max_steps={}", step_scheduler.max_steps),
        format!("distributed.pp_size={}", distributed.pp_size),
        format!("optimizer.lr={:e}", optimizer.lr),
        format!("dataset.seq_len={}", dataset.seq_len),
    ] {
        assert_eq!(read(&over).as_ref().map(same), Ok(same(recipe)), "{over}");
    }
}

/// The recipe without the warnings, whose places an override may have changed.
fn same(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.warnings.clear();
    recipe
}

/// Whether a problem can be shown, at a place that exists.
fn is_within(problem: &Problem, text: &str, overrides: &[&str]) -> bool {
    let shown = problem.to_string();
    assert!(shown.len() < SHOWN, "{} bytes: {shown}", shown.len());
    let has_place = |text: &&str| {
        let lines =
            text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
        let line = problem.line.checked_sub(1).and_then(|index| lines.into_iter().nth(index));
        line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&problem.column))
    };
    match problem.file.as_str() {
        "recipe.yaml" => has_place(&text),
        "--set" => overrides.iter().any(has_place),
        _ => false,
    }
}
