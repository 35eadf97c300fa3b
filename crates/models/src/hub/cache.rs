//! The Hub's cache on disk: `models--OWNER--NAME`, in it `refs/REVISION` with a commit's name, and
//! `snapshots/COMMIT` with its files.

use std::fs;
use std::path::{Path, PathBuf};

use super::Repository;
use crate::checkpoint::{self, CONFIG_FILE};

/// How many letters the name of a commit has.
const COMMIT_LENGTH: usize = 40;

/// Of a model's folder.
pub(super) fn folder_name(name: &str) -> String {
    format!("models--{}", name.replace('/', "--"))
}

/// The folder of a model that is whole in the cache.
pub(super) fn find(cache: &Path, repository: &Repository<'_>) -> Option<PathBuf> {
    let root = cache.join(folder_name(repository.name));
    let commit = match fs::read_to_string(root.join("refs").join(repository.revision)) {
        Ok(commit) => commit.trim().to_owned(),
        Err(_) => repository.revision.to_owned(),
    };
    // What stands in a file of refs may be anything.
    let is_commit = commit.len() == COMMIT_LENGTH && commit.chars().all(|c| c.is_ascii_hexdigit());
    let folder = root.join("snapshots").join(commit);
    (is_commit && is_whole(&folder)).then_some(folder)
}

/// Whether config and weights are there. The tokenizer is fetched before the weights.
fn is_whole(folder: &Path) -> bool {
    folder.join(CONFIG_FILE).exists()
        && checkpoint::weight_files(folder)
            .is_ok_and(|files| files.iter().all(|file| folder.join(file).exists()))
}
