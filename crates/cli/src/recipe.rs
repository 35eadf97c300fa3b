//! Recipes as the command reads them: from a file, with values set from outside.

use std::path::Path;

use anyhow::Context as _;
use autopipe_config::{Recipe, schema};

use crate::output;

/// The recipe of a file. Warnings about it are told at once.
///
/// # Errors
/// If it cannot be read, or anything is wrong with it or the values set.
pub(crate) fn read(path: &Path, set: &[String]) -> anyhow::Result<Recipe> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the recipe `{name}`"))?;
    let recipe = Recipe::parse_with(&text, &name, set)?;
    for warning in &recipe.warnings {
        output::warning(&warning.to_string());
    }
    Ok(recipe)
}

/// `autopipe schema`.
///
/// # Errors
/// If standard output takes no more.
pub(crate) fn print_schema() -> anyhow::Result<()> {
    output::result(&format!("{:#}\n", schema()))
}
