//! Every moment at which a crash can come leaves a whole checkpoint behind.

use std::backtrace::Backtrace;
use std::fs;
use std::path::Path;

use super::{begin, commit};
use crate::Error;

fn content(folder: &Path) -> String {
    fs::read_to_string(folder.join("file")).unwrap()
}

fn write(folder: &Path, text: &str) {
    fs::write(folder.join("file"), text).unwrap();
}

#[test]
fn a_checkpoint_appears_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("step-000300");
    let partial = begin(&folder).unwrap();
    assert_eq!(partial, dir.path().join("step-000300.partial"));
    write(&partial, "one");
    assert!(!folder.exists());
    commit(&partial, &folder).unwrap();
    assert_eq!(content(&folder), "one");
    assert!(!partial.exists());
}

#[test]
fn another_one_takes_its_place_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("last");
    for text in ["one", "two", "three"] {
        let partial = begin(&folder).unwrap();
        write(&partial, text);
        commit(&partial, &folder).unwrap();
        assert_eq!(content(&folder), text);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_crashes_left_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("last");
    // Between the two renames: the former one has moved aside, the new one is not there yet.
    for name in ["last.former", "last.partial"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        write(&dir.path().join(name), name);
    }
    let partial = begin(&folder).unwrap();
    assert_eq!(fs::read_dir(&partial).unwrap().count(), 0);
    write(&partial, "new");
    commit(&partial, &folder).unwrap();
    assert_eq!(content(&folder), "new");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn without_a_new_checkpoint_the_former_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("last");
    let partial = begin(&folder).unwrap();
    write(&partial, "one");
    commit(&partial, &folder).unwrap();
    assert!(commit(&partial, &folder).is_err());
    assert_eq!(content(&folder), "one");
}

#[test]
fn a_folder_needs_a_name() {
    assert_eq!(
        begin(Path::new("/")).unwrap_err().to_string(),
        "/ is no name for a checkpoint folder"
    );
}

#[test]
fn a_file_in_the_way_stays_and_is_told_in_the_systems_words() {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("last.partial");
    fs::write(&partial, "not a folder").unwrap();
    let words = fs::remove_dir_all(&partial).unwrap_err().to_string();
    assert_eq!(
        begin(&dir.path().join("last")).unwrap_err().to_string(),
        format!("cannot write {}: {words}", partial.display())
    );
    assert_eq!(fs::read_to_string(&partial).unwrap(), "not a folder");
}

#[test]
fn a_message_has_no_backtrace() {
    let inner = Box::new(candle_core::Error::Msg("out of memory".to_owned()));
    let backtrace = Box::new(Backtrace::force_capture());
    let source = candle_core::Error::WithBacktrace { inner, backtrace };
    assert_eq!(
        Error::Save { name: "norm.weight".to_owned(), source }.to_string(),
        "cannot write the parameter `norm.weight`: out of memory"
    );
}
