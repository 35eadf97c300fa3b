//! The page on recipes says what is in the schema.

use autopipe_config::{Recipe, schema};

use crate::schema::walk;

const PAGE: &str = include_str!("../../../../docs/recipe.md");

#[test]
fn the_page_on_recipes_has_every_key() {
    let mut missing = Vec::new();
    walk(&schema(), "", &mut |path, _| {
        // The page says that the sections have the same keys.
        let same = &path.replace("validation_dataset.", "dataset.");
        let is_there = |path: &str| is_in_the_recipe(path) || is_in_a_line(path);
        if !is_there(path) && !is_there(same) {
            missing.push(path.to_owned());
        }
    });
    assert_eq!(missing, [] as [&str; 0], "docs/recipe.md does not have them");
}

/// Whether the page's recipe has the key, in the section that is the first part of the path.
fn is_in_the_recipe(path: &str) -> bool {
    let yaml = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (section, key) = path.split_once('.').unwrap_or((path, path));
    let key = key.rsplit('.').next().unwrap();
    let mut lines = yaml.lines().skip_while(|line| !line.starts_with(&format!("{section}:")));
    let is_key = |line: &str| {
        let start = line.trim_start_matches([' ', '#']);
        start.starts_with(&format!("{key}:")) || line.contains(&format!("`{key}`"))
    };
    lines.next().is_some_and(is_key)
        || lines.take_while(|line| line.starts_with(' ') || line.is_empty()).any(is_key)
}

/// Whether a line of the page names the key together with its section.
fn is_in_a_line(path: &str) -> bool {
    let names = |line: &str, key: &str| {
        line.contains(&format!("`{key}`")) || line.contains(&format!("`{key}:"))
    };
    let Some((section, key)) = path.rsplit_once('.') else { return names(PAGE, path) };
    if key == "_target_" && PAGE.contains(&format!("\n| `{section}` | `")) {
        return true; // the table of targets
    }
    let last = section.rsplit('.').next().unwrap();
    PAGE.lines().any(|line| (names(line, section) || names(line, last)) && names(line, key))
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
