//! Rules for the manifests: a crate says what it is, and every package has the workspace's lints.

use std::collections::BTreeSet;

use super::File;

pub(super) fn problems(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    for manifest in packages(files) {
        let path = &manifest.path;
        let keys = keys(&manifest.text);
        let has = |section: &str, key: &str| keys.contains(&(section, key));
        if !has("lints", "workspace") {
            problems
                .push(format!("{path}: has not the workspace's lints: [lints] workspace = true"));
        }
        let Some(folder) = crate_folder(path) else { continue };
        if !has("package", "description") {
            problems.push(format!("{path}: has no description; say in one line what the crate is"));
        }
        let readme = format!("crates/{folder}/README.md");
        if !files.iter().any(|file| file.path == readme) {
            problems.push(format!("{readme}: is missing; every crate has one"));
        }
        // A README whose examples nobody compiles goes wrong sooner or later.
        let library = format!("crates/{folder}/src/lib.rs");
        let included = "#![doc = include_str!(\"../README.md\")]";
        if files.iter().any(|file| file.path == library && !file.text.starts_with(included)) {
            problems.push(format!("{library}: does not begin with {included}"));
        }
    }
    problems
}

/// The manifests of all packages, so without the workspace's own.
fn packages(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with("/Cargo.toml"))
}

/// The manifests of the crates, each with the crate's folder.
pub(super) fn crates(files: &[File]) -> impl Iterator<Item = (&str, &File)> {
    packages(files).filter_map(|file| Some((crate_folder(&file.path)?, file)))
}

/// `crates/nn/Cargo.toml` is the manifest of `nn`.
fn crate_folder(path: &str) -> Option<&str> {
    let folder = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!folder.contains('/')).then_some(folder)
}

/// The packages that a manifest depends on, other than for its tests.
pub(super) fn dependencies(manifest: &str) -> BTreeSet<&str> {
    keys(manifest)
        .into_iter()
        .filter_map(|(section, key)| {
            // `[dependencies]`, also of one target or of the build.
            let is_list = |name: &str| {
                let name = name.rsplit('.').next().unwrap_or(name);
                name == "dependencies" || name == "build-dependencies"
            };
            // `[dependencies.serde]` names a package in its heading.
            match section.rsplit_once('.') {
                _ if is_list(section) => Some(key),
                Some((list, package)) if is_list(list) => Some(package),
                Some(_) | None => None,
            }
        })
        .collect()
}

/// All (section, key) of a manifest; of a dotted key the first part.
fn keys(manifest: &str) -> BTreeSet<(&str, &str)> {
    let mut keys = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = heading.trim();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            keys.insert((section, key.split('.').next().unwrap_or(key).trim()));
        }
    }
    keys
}
