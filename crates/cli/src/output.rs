//! The two streams: results on standard output, messages on standard error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

/// Writes a result. A closed pipe (`autopipe ... | head`) ends the writing quietly.
///
/// # Errors
/// If standard output takes no more for another reason.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    to(None, |out| out.write_all(text.as_bytes()))
}

/// Writes what may be long to a file, or as a result to standard output, a buffer at a time.
///
/// # Errors
/// If the file cannot be written, or standard output takes no more for another reason than that
/// nobody reads it.
pub(crate) fn to(
    file: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let Some(path) = file else {
        let mut out = BufWriter::new(io::stdout().lock());
        return match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write to standard output"),
        };
    };
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out).and_then(|()| out.flush())
    });
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes a line for whoever watches.
pub(crate) fn message(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes what is probably not meant as it is.
pub(crate) fn warning(text: &str) {
    message(&format!("warning: {text}"));
}

/// Writes an error with all its causes that the text does not tell already.
pub(crate) fn error(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        // A message tells its cause already, as a rule; what follows a first line is a backtrace.
        let cause = cause.to_string();
        let cause = cause.lines().next().unwrap_or_default();
        if !text.contains(cause) {
            text.push_str("\n  because ");
            text.push_str(cause);
        }
    }
    message(&text);
}
