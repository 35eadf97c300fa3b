//! Pieces come from the right file however many there are, and few stay open.

use super::*;

#[test]
fn more_files_than_may_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..2 * MAX_OPEN).map(|i| folder.path().join(i.to_string())).collect();
    for (number, path) in paths.iter().enumerate() {
        std::fs::write(path, format!("file {number:02} of many")).unwrap();
    }
    let mut files = OpenFiles::default();
    for _ in 0..2 {
        for (number, path) in paths.iter().enumerate() {
            let mut piece = [0; 5];
            files.read(number, path, 5, &mut piece).unwrap();
            assert_eq!(piece, format!("{number:02} of").as_bytes());
            assert!(files.recent.len() <= MAX_OPEN);
        }
    }
}

#[test]
fn the_file_read_longest_ago_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "x").unwrap();
    let mut files = OpenFiles::default();
    for number in 0..MAX_OPEN {
        files.read(number, &path, 0, &mut [0]).unwrap();
    }
    files.read(0, &path, 0, &mut [0]).unwrap();
    files.read(MAX_OPEN, &path, 0, &mut [0]).unwrap();
    let open: Vec<_> = files.recent.iter().map(|&(number, _)| number).collect();
    let expected: Vec<_> = (2..MAX_OPEN).chain([0, MAX_OPEN]).collect();
    assert_eq!(open, expected);
}

#[test]
fn a_file_that_failed_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "short").unwrap();
    let mut files = OpenFiles::default();
    let error = files.read(0, &path, 3, &mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(files.recent.is_empty());
    let mut piece = [0; 2];
    files.read(0, &path, 3, &mut piece).unwrap();
    assert_eq!(&piece, b"rt");
}
