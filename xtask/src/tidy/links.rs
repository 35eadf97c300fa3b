//! Links between the files of the project lead somewhere.

use std::path::Path;

use super::File;

pub(super) fn problems(files: &[File], root: &Path) -> Vec<String> {
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents.flat_map(|file| dead(file, |path| root.join(path).exists())).collect()
}

/// The links of one document to files that are not there, by the paths that `exists` knows.
pub(super) fn dead(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut problems = Vec::new();
    let mut in_code = false;
    for (line, number) in file.text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            // A part of a path that leads out of the project is not there either.
            if resolve(folder, target).is_none_or(|path| !exists(&path)) {
                problems
                    .push(format!("{}:{number}: the link to {target} leads nowhere", file.path));
            }
        }
    }
    problems
}

/// What the line links to, other than pages of the web, Rust items and places in the same file.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let target = target.split('#').next().unwrap_or(target);
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

/// `a/b` and `../c/./d` make `a/c/d`.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
