//! What is in the cache is found without asking anybody; what is not there is fetched, or told.

#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Hub, MAIN, Repository, folder};
use crate::Error;

const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn hub(cache: &Path) -> Hub {
    Hub { cache: cache.to_owned(), endpoint: None, token: None }
}

fn get(hub: &Hub, name: &str, revision: &str) -> Result<PathBuf, Error> {
    folder(hub, &Repository { name, revision }, &mut |_| {})
}

/// A cache with `owner/tiny` at one commit, of these files.
fn cached(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("models--owner--tiny");
    let snapshot = root.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &root.join("refs/pr")] {
        fs::create_dir_all(folder).unwrap();
    }
    for name in ["main", "pr/1"] {
        fs::write(root.join("refs").join(name), COMMIT).unwrap();
    }
    for (file, text) in files {
        fs::write(snapshot.join(file), text).unwrap();
    }
    (cache, snapshot)
}

#[test]
fn what_is_whole_in_the_cache_is_found_by_branch_and_by_commit() {
    let index = r#"{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#;
    let single: &[(&str, &str)] = &[("config.json", "{}"), ("model.safetensors", "")];
    let sharded: &[(&str, &str)] = &[
        ("config.json", "{}"),
        ("model.safetensors.index.json", index),
        ("x.safetensors", ""),
        ("y.safetensors", ""),
    ];
    for files in [single, sharded] {
        let (cache, snapshot) = cached(files);
        let hub = hub(cache.path());
        for revision in [MAIN, "pr/1", COMMIT] {
            assert_eq!(get(&hub, "owner/tiny", revision).unwrap(), snapshot);
        }
        assert!(get(&hub, "owner/tiny", "v2").is_err());
        assert!(get(&hub, "owner/other", MAIN).is_err());
        for (file, _) in files {
            let path = snapshot.join(file);
            let text = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            assert!(get(&hub, "owner/tiny", MAIN).is_err(), "{file} is not there");
            fs::write(&path, text).unwrap();
        }
    }
}

#[test]
fn nothing_is_fetched_from_nowhere() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(
        get(&hub(cache.path()), "owner/tiny", MAIN).unwrap_err().to_string(),
        format!(
            "cannot get `owner/tiny` from the Hub: it is not whole in the cache {}, and nothing is to \
             be downloaded; allow it, or give the path of a folder that has the model",
            cache.path().display()
        )
    );
}

#[test]
fn names_lead_nowhere_else() {
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&cache.path().join("hub"));
    let message = |name, revision| get(&hub, name, revision).unwrap_err().to_string();
    for name in
        ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a b", "a\\b", "models--a", "a?b", "."]
    {
        assert_eq!(
            message(name, MAIN),
            format!(
                "cannot get `{name}` from the Hub: a repository is named OWNER/NAME, in letters, \
                 digits, `-`, `_` and `.`"
            )
        );
    }
    for revision in ["", "/main", "main/", "../../x", "a/../b", "a b", ".git", "a?b", "a%2Fb"] {
        assert!(
            message("a/b", revision).ends_with(&format!(
                "`{revision}` is no revision; give a branch, a tag or a commit, or `main`"
            )),
            "{revision}"
        );
    }
    // A ref that somebody else has written is looked at as well.
    let refs = hub.cache.join("models--a--b/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), "../../../elsewhere").unwrap();
    assert!(message("a/b", MAIN).contains("not whole in the cache"));
}

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_feature_nothing_is_downloaded() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub { endpoint: Some(super::ENDPOINT.to_owned()), ..hub(cache.path()) };
    let message = get(&hub, "owner/tiny", MAIN).unwrap_err().to_string();
    assert!(message.contains("built without the feature `hub`"), "{message}");
}
