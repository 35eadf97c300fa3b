//! The two streams: results on standard output, messages on standard error.

use std::io::Write as _;

/// Writes a result. A closed pipe (`autopipe ... | head`) ends the writing quietly.
///
/// # Errors
/// If standard output takes no more for another reason.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a line for whoever watches.
pub(crate) fn message(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
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
