//! Runs the command and keeps what it wrote.

use std::path::Path;
use std::process::Command;

pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `autopipe` with `args` in `folder`.
pub(crate) fn autopipe_in(folder: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_autopipe"))
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

pub(crate) fn autopipe(args: &[&str]) -> Output {
    autopipe_in(Path::new("."), args)
}
