//! The crate from outside: NeMo AutoModel's recipes, the rules between sections, the schema, and any
//! bytes at all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod docs; // docs/recipe.md says what is in the schema
mod fuzz; // a small corpus, and mutations of it
mod fuzz_bodies; // what is true of any bytes
mod nemo; // what is read, what changes nothing, what is refused
mod overrides; // values that are set from outside
mod peft; // adapters, what is frozen, and what is computed again
mod rules; // what sections have to agree about, and problems that others find
mod schema; // it says what the reader does
mod validator; // as much of JSON Schema as that takes

use autopipe_config::{Problem, Recipe, RecipeErrors};

/// The smallest recipe of a pipeline.
const SMALL: &str = include_str!("../../src/recipe/testdata/small.yaml");

/// A recipe with every key that has an effect.
const FULL: &str = include_str!("../../src/recipe/testdata/full.yaml");

/// A recipe with the keys of NeMo AutoModel's.
const NEMO: &str = include_str!("../../src/recipe/testdata/nemo.yaml");

fn parse(text: &str) -> Result<Recipe, RecipeErrors> {
    Recipe::parse(text, "recipe.yaml")
}

/// The small recipe with one thing changed.
fn small_with(from: &str, to: &str) -> Result<Recipe, RecipeErrors> {
    assert!(SMALL.contains(from), "{from}");
    parse(&SMALL.replace(from, to))
}

/// What is wrong, without the lines it is about.
fn refusals(result: Result<Recipe, RecipeErrors>) -> Vec<String> {
    short(result.expect_err("the recipe is wrong").problems())
}

/// Keys and messages.
fn short(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}
