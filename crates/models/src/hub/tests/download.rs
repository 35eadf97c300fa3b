//! Downloads from a server on this machine that answers as the Hub does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use super::server::{COMMIT, Content, Server};
use super::{get, hub};
use crate::hub::{Hub, MAIN, Progress, Repository, folder};

const NAME: &str = "owner/tiny";
const INDEX: &str = "model.safetensors.index.json";

/// A repository with these files.
fn content(files: &[(&'static str, &str)]) -> Content {
    let files: BTreeMap<_, _> =
        files.iter().map(|&(file, text)| (file, text.as_bytes().to_vec())).collect();
    Content { name: NAME, files, ..Content::default() }
}

fn single() -> Content {
    content(&[
        ("README.md", "a model"),
        ("config.json", "{\"model_type\": \"llama\"}"),
        ("model.safetensors", "weights as bytes"),
        ("tokenizer.json", "{}"),
        ("pytorch_model.bin", "the same"),
    ])
}

fn at(server: &Server, cache: &Path) -> Hub {
    Hub { endpoint: Some(server.endpoint.clone()), ..hub(cache) }
}

fn message(content: Content) -> String {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(content);
    let error = get(&at(&server, cache.path()), NAME, MAIN).unwrap_err().to_string();
    error
        .replace(&server.endpoint, "HUB")
        .replace(&cache.path().display().to_string(), "CACHE")
        .replace("cannot get `owner/tiny` from the Hub: ", "")
}

#[test]
fn a_model_is_fetched_once_and_found_afterwards() {
    let cache = tempfile::tempdir().unwrap();
    let content = single();
    let server = Server::start(content.clone());
    let online = at(&server, cache.path());
    let mut seen = Vec::new();
    let repository = Repository { name: NAME, revision: MAIN };
    let path = folder(&online, &repository, &mut |progress: &Progress<'_>| {
        seen.push((progress.file.to_owned(), progress.done, progress.total));
    })
    .unwrap();
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&path), ["config.json", "model.safetensors", "tokenizer.json"]);
    for file in names(&path) {
        assert_eq!(fs::read(path.join(&file)).unwrap(), content.files[file.as_str()], "{file}");
        let size = content.files[file.as_str()].len() as u64;
        assert!(seen.contains(&(file, size, size)), "{seen:?}");
    }

    let asked = server.requests().len();
    for revision in [MAIN, COMMIT] {
        assert_eq!(get(&online, NAME, revision).unwrap(), path);
        assert_eq!(get(&hub(cache.path()), NAME, revision).unwrap(), path);
    }
    assert_eq!(server.requests().len(), asked, "the cache is enough");
}

/// Each has a look at the cache before any has fetched the model.
#[test]
fn of_many_that_want_a_model_at_once_one_fetches_it() {
    let cache = tempfile::tempdir().unwrap();
    let content = single();
    let server = Server::start(content.clone());
    let (online, start) = (at(&server, cache.path()), Barrier::new(6));
    let paths: Vec<_> = thread::scope(|scope| {
        let fetch = || {
            start.wait();
            get(&online, NAME, MAIN).unwrap()
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(fetch)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for path in paths {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            assert_eq!(fs::read(path.join(file)).unwrap(), content.files[file], "{file}");
        }
    }
    let mut requests = server.requests();
    let num_requests = requests.len();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), num_requests, "nothing is asked for twice");
    assert_eq!(get(&hub(cache.path()), NAME, MAIN).unwrap(), get(&online, NAME, MAIN).unwrap());
}

/// Of several processes, one after the other goes on with what was cut, until it is whole.
#[test]
fn who_waits_goes_on_with_what_another_has_left_half_done() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(Content { cuts: true, ..single() });
    let (online, start) = (at(&server, cache.path()), Barrier::new(5));
    let outcomes: Vec<bool> = thread::scope(|scope| {
        let fetch = || {
            start.wait();
            get(&online, NAME, MAIN).is_ok()
        };
        let threads: Vec<_> = (0..5).map(|_| scope.spawn(fetch)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // 16 bytes, of which 8, 4, 2 and 1 come, and then the last.
    assert_eq!(outcomes.iter().filter(|is_there| **is_there).count(), 1, "{outcomes:?}");
    let path = get(&hub(cache.path()), NAME, MAIN).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), b"weights as bytes");
}

#[test]
fn shards_are_those_that_the_index_names() {
    let index = r#"{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#;
    let files = [
        ("config.json", "{}"),
        (INDEX, index),
        ("x.safetensors", "one"),
        ("y.safetensors", "two"),
        ("z.safetensors", "of no use"),
    ];
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(content(&files));
    let path = get(&at(&server, cache.path()), NAME, "v1.0").unwrap();
    assert_eq!(fs::read_to_string(path.join("y.safetensors")).unwrap(), "two");
    assert!(!path.join("z.safetensors").exists());
    assert_eq!(get(&hub(cache.path()), NAME, "v1.0").unwrap(), path);

    let reason = message(content(&[files[0], files[1], files[2]]));
    let expected =
        "its index of weights cannot be used: it names y.safetensors, which is not there";
    assert_eq!(reason, expected);
    let reason = message(content(&[files[0], (INDEX, r#"{"weight_map": {"a": "../x"}}"#)]));
    assert!(reason.starts_with("its index of weights cannot be used: "), "{reason}");
}

#[test]
fn what_is_no_model_is_told() {
    assert_eq!(
        message(content(&[("model.safetensors", "")])),
        "it has no `config.json`, so that it is no model that transformers would load"
    );
    assert_eq!(
        message(content(&[("config.json", "{}"), ("pytorch_model.bin", "w"), ("w.gguf", "w")])),
        "it has no weights in safetensors but only pytorch_model.bin, w.gguf; save them with \
         transformers' `save_pretrained`"
    );
}

#[test]
fn refusals_say_what_to_do() {
    for status in [401, 404] {
        assert_eq!(
            message(Content { refused: Some(("/api/", status)), ..single() }),
            "HUB has no such repository with a revision `main`, or it is private; check both names, \
             or give the access token of somebody who may read it"
        );
    }
    for status in [401, 403] {
        assert_eq!(
            message(Content { refused: Some(("/resolve/", status)), ..single() }),
            "its files are for those only who have agreed to its terms; do so at HUB/owner/tiny and \
             give your access token"
        );
    }
    assert_eq!(
        message(Content { refused: Some(("model.safetensors", 503)), ..single() }),
        "HUB answers with status 503 to model.safetensors; try again later"
    );
}

#[test]
fn nobody_answers() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(single());
    let gone = at(&server, cache.path());
    drop(server);
    let message = get(&gone, NAME, MAIN).unwrap_err().to_string();
    assert!(message.contains(" cannot be reached: "), "{message}");
    assert!(
        message.ends_with("connect this machine, or give the path of a folder that has the model")
    );
}

#[test]
fn a_download_that_was_cut_is_gone_on_with() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(Content { cuts: true, ..single() });
    let error = get(&at(&server, cache.path()), NAME, MAIN).unwrap_err().to_string();
    assert!(error.contains("model.safetensors did not arrive: "), "{error}");
    assert!(get(&hub(cache.path()), NAME, MAIN).is_err(), "half a model is none");
    drop(server);

    let server = Server::start(single());
    let path = get(&at(&server, cache.path()), NAME, MAIN).unwrap();
    assert_eq!(fs::read(path.join("model.safetensors")).unwrap(), b"weights as bytes");
    let rest = format!("/{NAME}/resolve/{COMMIT}/model.safetensors 8-");
    assert!(server.requests().contains(&rest), "{:?}", server.requests());
}

#[test]
fn what_is_left_of_another_file_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--owner--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    // Named by its tag, but for what follows its last dot.
    fs::write(blobs.join("model.part"), "longer than the weights that there are").unwrap();
    let server = Server::start(single());
    let error = get(&at(&server, cache.path()), NAME, MAIN).unwrap_err().to_string();
    let expected = "what is left of an earlier download of model.safetensors does not fit; delete the files that end in `.part` in ";
    assert!(error.contains(expected), "{error}");
}
