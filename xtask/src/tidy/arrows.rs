//! Which crate may depend on which: the arrows of ARCHITECTURE.md, as a table.

use std::collections::BTreeSet;

use super::File;
use super::manifest::{crates, dependencies};

/// Every crate by its folder, with those of ours that it may use. A new arrow is a decision: it
/// changes this table and ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 10] = [
    ("autopipe", &["config", "mesh", "runtime", "schedule", "splitter"]),
    ("cli", &["autopipe", "config", "schedule", "trainer"]),
    ("config", &[]),
    ("mesh", &[]),
    ("models", &["nn", "runtime", "splitter"]),
    ("nn", &[]),
    ("runtime", &["nn", "schedule", "splitter"]),
    ("schedule", &[]),
    ("splitter", &[]),
    ("trainer", &["autopipe", "config", "models", "nn"]),
];

/// The crates that compile without tensors.
const PURE: [&str; 4] = ["config", "mesh", "schedule", "splitter"];

pub(super) fn problems(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut missing: BTreeSet<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    for (folder, manifest) in crates(files) {
        missing.remove(folder);
        problems.extend(crate_problems(folder, &manifest.text));
    }
    problems.extend(missing.into_iter().map(|folder| {
        format!("crates/{folder}: xtask's tidy has arrows for it and it is not there")
    }));
    problems
}

/// What is wrong with the dependencies of one crate.
pub(super) fn crate_problems(folder: &str, manifest: &str) -> Vec<String> {
    let path = format!("crates/{folder}/Cargo.toml");
    let Some((_, allowed)) = ARROWS.iter().find(|(listed, _)| *listed == folder) else {
        return vec![format!(
            "{path}: a crate without arrows; say in xtask's tidy what it may use"
        )];
    };
    let mut problems = Vec::new();
    for package in dependencies(manifest) {
        if let Some(target) = folder_of(package)
            && !allowed.contains(&target)
        {
            problems.push(format!("{path}: {folder} may not use {target}: {}", list(allowed)));
        }
        if PURE.contains(&folder) && package.starts_with("candle") {
            problems
                .push(format!("{path}: {folder} may not use {package}: it works without tensors"));
        }
    }
    problems
}

/// The folder of a package of ours; none for other people's.
fn folder_of(package: &str) -> Option<&str> {
    if package == "autopipe" { Some(package) } else { package.strip_prefix("autopipe-") }
}

fn list(allowed: &[&str]) -> String {
    match allowed {
        [] => "it uses no other crate of the workspace".to_owned(),
        _ => format!("it may use {}", allowed.join(", ")),
    }
}
