//! From file patterns to files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use crate::data::CorpusProblem;

/// The files that the patterns match, in order and each once, and what is wrong with the patterns.
pub(in crate::data) fn find(
    patterns: &[impl AsRef<str>],
    base_dir: &Path,
) -> (Vec<PathBuf>, Vec<CorpusProblem>) {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    if patterns.is_empty() {
        problems.push(CorpusProblem::NoPattern);
    }
    for pattern in patterns {
        match matches(pattern.as_ref(), base_dir, &mut problems) {
            Ok(paths) => files.extend(paths.into_iter().filter(|path| seen.insert(identity(path)))),
            Err(problem) => problems.push(problem),
        }
    }
    (files, problems)
}

/// What two paths of one file have in common. A file that has none is found out when it is opened.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The files that one pattern matches, sorted. Folders that cannot be looked into go to `problems`.
fn matches(
    pattern: &str,
    base_dir: &Path,
    problems: &mut Vec<CorpusProblem>,
) -> Result<Vec<PathBuf>, CorpusProblem> {
    if pattern.is_empty() {
        return Err(CorpusProblem::Malformed {
            pattern: String::new(),
            reason: "it is empty".to_owned(),
        });
    }
    let whole = absolute(pattern, base_dir)?;
    // The place of the mistake is left out: it is counted in the pattern with its folder.
    let malformed = |error: glob::PatternError| CorpusProblem::Malformed {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    };
    let found = glob::glob(&whole).map_err(malformed)?;
    let dotted = dotted(&whole).map_err(malformed)?;

    let known = problems.len();
    let (mut files, mut any_folder) = (Vec::new(), false);
    for path in found {
        match path {
            Ok(path) if is_hidden(&path, &dotted) => {}
            Ok(path) if path.is_dir() => any_folder = true,
            // A pipe or a device: reading it may never end. Passed over unless it is named.
            Ok(path) if path.exists() && !path.is_file() => {
                if path == Path::new(&whole) || path.ends_with(pattern) {
                    let source = io::Error::other("it is not a regular file");
                    problems.push(CorpusProblem::Unreadable { path, source });
                }
            }
            Ok(path) => files.push(path),
            Err(error) => problems.push(CorpusProblem::Unreadable {
                path: error.path().to_owned(),
                source: error.into(),
            }),
        }
    }
    if files.is_empty() && problems.len() == known {
        let pattern = pattern.to_owned();
        return Err(if any_folder {
            CorpusProblem::OnlyFolders { pattern }
        } else {
            CorpusProblem::NoMatch { pattern, base_dir: base_dir.to_owned() }
        });
    }
    files.sort();
    Ok(files)
}

/// The pattern with the folder it starts in; nothing in that folder's own name is special.
fn absolute(pattern: &str, base_dir: &Path) -> Result<String, CorpusProblem> {
    if Path::new(pattern).is_absolute() {
        return Ok(pattern.to_owned());
    }
    let Some(folder) = base_dir.to_str() else {
        return Err(CorpusProblem::BaseDir {
            pattern: pattern.to_owned(),
            base_dir: base_dir.to_owned(),
        });
    };
    // Both halves are Unicode: nothing is lost.
    Ok(Path::new(&Pattern::escape(folder)).join(pattern).to_string_lossy().into_owned())
}

/// The components of a pattern that start with a dot, and so match hidden names.
fn dotted(pattern: &str) -> Result<Vec<Pattern>, glob::PatternError> {
    pattern
        .split(std::path::is_separator)
        .filter(|part| part.starts_with('.'))
        .map(Pattern::new)
        .collect()
}

/// Whether a hidden name is on the path which no component of the pattern asked for.
///
/// `glob` has an option for this, which panics on names that are not Unicode and hides what
/// `.*` asks for.
fn is_hidden(path: &Path, dotted: &[Pattern]) -> bool {
    path.components().any(|component| match component {
        Component::Normal(name) => {
            let name = name.to_string_lossy();
            name.starts_with('.') && !dotted.iter().any(|pattern| pattern.matches(&name))
        }
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    })
}
