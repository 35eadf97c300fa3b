//! The page on recipes says what is in the schema.

use autopipe_config::{Recipe, schema};

use crate::schema::walk;

const PAGE: &str = include_str!("../../../../docs/recipe.md");

#[test]
fn the_page_on_recipes_has_every_key() {
    walk(&schema(), "", &mut |path, _| {
        let key = path.rsplit('.').next().unwrap();
        let is_there = PAGE.contains(&format!("`{key}`"))
            || PAGE.contains(&format!(" {key}:"))
            || PAGE.contains(&format!("\n{key}:"))
            || PAGE.contains(&format!("`{key}:"));
        assert!(is_there, "docs/recipe.md does not have {path}");
    });
}

#[test]
fn its_recipe_is_one_without_a_warning() {
    let yaml = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let recipe = Recipe::parse(yaml, "docs/recipe.md").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(recipe.warnings, []);
}

#[test]
fn its_overrides_are_some_and_its_message_is_what_is_said() {
    let yaml = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let blocks: Vec<&str> = PAGE.split("```text\n").skip(1).collect();
    let block = |index: usize| blocks[index].split("```").next().unwrap();
    let overrides: Vec<&str> = block(0).lines().collect();
    Recipe::parse_with(yaml, "r", &overrides).unwrap_or_else(|errors| panic!("{errors}"));
    let said = Recipe::parse_with(yaml, "r", &["distributed.pp_size=four"]).unwrap_err();
    assert_eq!(said.problems()[0].to_string() + "\n", block(1));
}
