//! Which files a corpus takes, how their text stands together, and what is said when it cannot.

use std::fs;

use tempfile::TempDir;

use super::*;

/// A folder with these files; those whose name ends in a slash are folders.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }
    folder
}

fn names(corpus: &Corpus) -> Vec<String> {
    let name =
        |document: &Document| document.path.file_name().unwrap().to_string_lossy().into_owned();
    corpus.documents().iter().map(name).collect()
}

fn text(corpus: &mut Corpus, offset: u64, len: usize) -> String {
    let mut buffer = vec![b'?'; len];
    corpus.read(offset, &mut buffer).unwrap();
    String::from_utf8(buffer).unwrap()
}

/// What opening says, with the folder's own name, which differs from run to run, as `DIR`.
fn refusal(patterns: &[&str], folder: &TempDir) -> String {
    let error = Corpus::open(patterns, folder.path()).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "DIR")
}

#[test]
fn patterns_in_order_and_paths_in_order_within() {
    let folder = folder(&[
        ("b.txt", "b"),
        ("a.txt", "a"),
        ("z/c.md", "c"),
        ("z/y/d.md", "d"),
        (".h.txt", "h"),
    ]);
    let open = |patterns: &[&str]| names(&Corpus::open(patterns, folder.path()).unwrap());
    assert_eq!(open(&["*.txt"]), ["a.txt", "b.txt"]);
    assert_eq!(open(&["**/*.md", "*.txt"]), ["c.md", "d.md", "a.txt", "b.txt"]);
    assert_eq!(open(&["b.txt", "*.txt", "z/../a.txt"]), ["b.txt", "a.txt"], "each file once");
    assert_eq!(open(&["*"]), ["a.txt", "b.txt"], "no folders");
}

#[test]
fn hidden_names_have_to_be_asked_for() {
    let folder = folder(&[("a", "a"), (".b", "b"), (".c/d", "d"), (".c/.e", "e"), ("f/.g/h", "h")]);
    let open = |pattern: &str| names(&Corpus::open(&[pattern], folder.path()).unwrap());
    assert_eq!(open("**/*"), ["a"]);
    assert_eq!(open(".*"), [".b"]);
    assert_eq!(open(".c/*"), ["d"]);
    assert_eq!(open(".c/.*"), [".e"]);
    assert_eq!(open("**/.g/*"), ["h"]);
}

#[test]
fn an_absolute_pattern_needs_no_folder() {
    let folder = folder(&[("a.txt", "a")]);
    let pattern = folder.path().join("*.txt");
    let corpus = Corpus::open(&[pattern.to_str().unwrap()], Path::new("nowhere")).unwrap();
    assert_eq!(corpus.documents(), [Document { path: folder.path().join("a.txt"), num_bytes: 1 }]);
}

#[test]
fn nothing_in_the_folders_name_is_special() {
    let folder = folder(&[("[ab]*?/a.txt", "here"), ("a/a.txt", "not here")]);
    let corpus = Corpus::open(&["*.txt"], &folder.path().join("[ab]*?")).unwrap();
    assert_eq!(corpus.documents()[0].num_bytes, 4);
    assert_eq!(corpus.documents().len(), 1);
}

#[test]
fn text_goes_over_file_ends() {
    let folder = folder(&[("1", "one"), ("2", "2"), ("3", "three")]);
    let mut corpus = Corpus::open(&["*"], folder.path()).unwrap();
    let whole = "one\x002\x00three\0";
    assert_eq!(corpus.num_tokens(), whole.len() as u64);
    for start in 0..=whole.len() {
        for end in start..=whole.len() {
            assert_eq!(
                text(&mut corpus, start as u64, end - start),
                whole[start..end],
                "{start}..{end}"
            );
        }
    }
}

#[test]
fn a_file_that_shrinks_during_the_run_is_named() {
    let folder = folder(&[("a", "some text"), ("b", "more")]);
    let mut corpus = Corpus::open(&["*"], folder.path()).unwrap();
    fs::write(folder.path().join("a"), "some").unwrap();
    let error = corpus.read(2, &mut [0; 5]).unwrap_err().to_string();
    assert!(error.contains("/a`, which had 9 bytes when the run began: "), "{error}");
    assert_eq!(text(&mut corpus, 10, 4), "more", "the others can still be read");
}

#[test]
fn every_problem_is_reported() {
    let folder = folder(&[("a.txt", "a"), ("empty.txt", ""), ("sub/deeper/", "")]);
    assert_eq!(
        refusal(&["*.txt", "*.md", "[", "sub", "sub/***", "", "\0"], &folder),
        "the file pattern `*.md` matches nothing in `DIR`, where relative patterns start; \
         the file pattern `[` is malformed: invalid range pattern; \
         the file pattern `sub` matches only folders; for the files in them add `/*`, for those at any \
         depth `/**/*`; \
         the file pattern `sub/***` is malformed: wildcards are either regular `*` or recursive `**`; \
         the file pattern `` is malformed: it is empty; \
         the file pattern `\0` matches nothing in `DIR`, where relative patterns start"
    );
}

#[test]
fn empty_files_are_left_out_unless_there_are_no_others() {
    let some = folder(&[("a.txt", "a"), ("b.txt", ""), ("c.txt", "c")]);
    let corpus = Corpus::open(&["*.txt"], some.path()).unwrap();
    assert_eq!(
        (names(&corpus), corpus.num_empty()),
        (vec!["a.txt".to_owned(), "c.txt".to_owned()], 1)
    );
    let none = folder(&[("b.txt", "")]);
    assert_eq!(
        refusal(&["*.txt"], &none),
        "`DIR/b.txt` is empty, and so is every other file that matches"
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_opened() {
    let folder = folder(&[("a.txt", "a")]);
    // A socket stands for everything that a reader could wait at.
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.txt")).unwrap();
    assert_eq!(names(&Corpus::open(&["*.txt"], folder.path()).unwrap()), ["a.txt"]);
    assert_eq!(refusal(&["s.txt"], &folder), "cannot read `DIR/s.txt`: it is not a regular file");
}

#[test]
fn a_clone_sees_the_same_whatever_comes_later() {
    let folder = folder(&[("a.txt", "first")]);
    let mut corpus = Corpus::open(&["*.txt"], folder.path()).unwrap();
    fs::write(folder.path().join("0.txt"), "new").unwrap();
    let mut copy = corpus.clone();
    assert_eq!(text(&mut copy, 0, 5), text(&mut corpus, 0, 5));
    assert_eq!(copy.num_tokens(), 6);
}

#[test]
fn no_pattern_no_corpus() {
    assert_eq!(
        refusal(&[], &folder(&[])),
        "no file pattern is given; name at least one, like `data/*.txt`"
    );
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_unreadable() {
    let folder = folder(&[]);
    std::os::unix::fs::symlink("gone", folder.path().join("link.txt")).unwrap();
    let error = refusal(&["*.txt"], &folder);
    assert!(error.starts_with("cannot read `DIR/link.txt`: "), "{error}");
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_never_match() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(&[("a", "a")]);
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "b").unwrap();
    assert_eq!(names(&Corpus::open(&["*"], folder.path()).unwrap()), ["a"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let base = Path::new(std::ffi::OsStr::from_bytes(b"\xff"));
    let error = Corpus::open(&["*.txt"], base).unwrap_err().to_string();
    assert!(error.ends_with("whose name is not Unicode; give an absolute one"), "{error}");
}

#[test]
fn lengths_that_cannot_be_counted() {
    assert_eq!(layout([3, 1].into_iter(), 1), Some((vec![0, 4], 6)));
    assert_eq!(layout([u64::MAX].into_iter(), 1), None);
    assert_eq!(layout([u64::MAX / 2, u64::MAX / 2].into_iter(), 1), None);
}
