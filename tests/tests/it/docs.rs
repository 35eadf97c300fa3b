//! What the documentation shows is true: its recipes can be read, its schedules can run.

use std::fs;
use std::path::{Path, PathBuf};

use autopipe::schedule::{csv, lower, validate};
use autopipe_config::Recipe;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let parts = text.split("\n```").collect::<Vec<_>>();
    let blocks = parts.iter().filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n'));
    blocks.map(|block| format!("{block}\n")).collect()
}

#[test]
fn the_page_on_recipes_shows_a_whole_one() {
    let recipes = blocks("docs/recipe.md", "yaml");
    assert_eq!(recipes.len(), 1);
    let recipe =
        Recipe::parse(&recipes[0], "docs/recipe.md").unwrap_or_else(|errors| panic!("{errors}"));
    assert!(recipe.warnings.is_empty(), "{:?}", recipe.warnings);
    // Every option is there: what PipelineConfig lists, the page shows.
    for option in autopipe::PipelineConfig::default().to_dict().keys() {
        assert!(recipes[0].contains(&format!(" {option}: ")), "{option} is missing");
    }
}

#[test]
fn the_schedules_shown_are_valid() {
    let tables = blocks("docs/recipe.md", "csv");
    assert_eq!(tables.len(), 1);
    for table in tables {
        let plan = csv::read_plan(table.as_bytes()).unwrap();
        assert_eq!((plan.num_ranks(), plan.num_microbatches()), (2, 3));
        validate(lower(&plan)).unwrap();
    }
}

#[test]
fn the_examples_can_be_read() {
    let mut num_recipes = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let recipe = Recipe::parse(&text, &path.display().to_string())
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert!(recipe.warnings.is_empty(), "{:?}", recipe.warnings);
        num_recipes += 1;
    }
    assert!(num_recipes > 0);
}
