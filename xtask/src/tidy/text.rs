//! Rules for the text of one file: how it begins, how long it is, blanks, unsafe code.

use super::File;

/// The most lines that a Rust file has.
const CEILING: usize = 400;

/// Rust files beyond the ceiling, each with one of its own. The list only ever gets shorter, and
/// the ceilings lower.
const OVERSIZE: &[(&str, usize)] = &[];

/// The files that may hold unsafe code.
const UNSAFE: &[&str] = &[
    "crates/cli/src/threads.rs",
    "crates/nn/src/cpu/gemm.rs",
    "crates/nn/src/gpu/cublas.rs",
    "crates/nn/src/gpu/launch.rs",
    "crates/runtime/src/communicator/link/mpi/transfer.rs",
    "crates/runtime/src/communicator/nccl/memory.rs",
    "crates/runtime/src/communicator/nccl/sys.rs",
    "crates/runtime/src/communicator/parcel/peer.rs",
    "crates/runtime/src/device/pool.rs",
    "crates/runtime/src/memory/allocator.rs",
    "crates/trainer/src/data/tokens/map.rs",
];

/// The lint that forbids unsafe code everywhere, so that a file has to name it to have any. In two
/// parts, or this file would seem to.
const UNSAFE_LINT: &str = concat!("unsafe", "_code");

/// How a file says what it is for.
const BEGINNINGS: [&str; 2] = ["//! ", "#![doc = include_str!("];

pub(super) fn problems(files: &[File]) -> Vec<String> {
    let mut problems: Vec<String> = files.iter().flat_map(blanks).collect();
    for file in files.iter().filter(|file| file.is_rust()) {
        problems.extend(beginning(file));
        problems.extend(length(file, OVERSIZE));
        problems.extend(unsafety(file, UNSAFE));
    }
    let listed = OVERSIZE.iter().map(|(path, _)| path).chain(UNSAFE);
    for path in listed.filter(|path| !files.iter().any(|file| file.path == **path)) {
        problems.push(format!("{path}: xtask's tidy lists it and it is not there; strike it out"));
    }
    problems
}

pub(super) fn blanks(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (line, number) in file.text.split('\n').zip(1..) {
        if line.contains('\t') {
            problems.push(format!("{}:{number}: a tab; use spaces", file.path));
        }
        if line.trim_end() != line {
            problems.push(format!("{}:{number}: blanks at the end of the line", file.path));
        }
    }
    problems
}

pub(super) fn beginning(file: &File) -> Option<String> {
    let begins = BEGINNINGS.iter().any(|beginning| file.text.starts_with(beginning));
    let message = "has to begin with `//!` and what it is for, in one sentence";
    (!begins).then(|| format!("{}:1: the file {message}", file.path))
}

pub(super) fn length(file: &File, oversize: &[(&str, usize)]) -> Option<String> {
    let path = &file.path;
    let lines = file.text.lines().count();
    match oversize.iter().find(|(listed, _)| listed == path) {
        Some(_) if lines <= CEILING => Some(format!(
            "{path}: has {lines} lines, no more than others may; strike it out in xtask's tidy"
        )),
        Some(&(_, ceiling)) if lines > ceiling => Some(format!(
            "{path}: has {lines} lines, its own ceiling is {ceiling}; take something out of it"
        )),
        None if lines > CEILING => Some(format!(
            "{path}: has {lines} lines, the ceiling is {CEILING}; it is more than one thing"
        )),
        Some(_) | None => None,
    }
}

pub(super) fn unsafety(file: &File, listed: &[&str]) -> Option<String> {
    let path = &file.path;
    match (file.text.contains(UNSAFE_LINT), listed.contains(&path.as_str())) {
        (true, false) => Some(format!(
            "{path}: opens `{UNSAFE_LINT}` and is not among the files that may; do it in safe code"
        )),
        (false, true) => {
            Some(format!("{path}: has no unsafe code any more; strike it out in xtask's tidy"))
        }
        (true, true) | (false, false) => None,
    }
}
