//! The rules of the house that no compiler knows: arrows between crates, shape of files,
//! manifests, links.

mod arrows;
mod files;
mod links;
mod manifest;
mod text;

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};

use files::{File, files};

/// Everything that is untidy below `root`, each with its place.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let files = files(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut problems = text::problems(&files);
    problems.extend(manifest::problems(&files));
    problems.extend(arrows::problems(&files));
    problems.extend(links::problems(&files, root));
    problems.sort();
    Ok(problems)
}
