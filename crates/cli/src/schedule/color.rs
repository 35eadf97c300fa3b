//! Whether to colour a table.

use std::io::IsTerminal as _;

use autopipe_schedule::render::colored;

use crate::args::Color;

/// A text that goes to standard output, or to a file, with its actions in colour if that is wanted.
pub(super) fn paint(text: String, color: Color, is_file: bool) -> String {
    let is_wanted = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !is_file && std::io::stdout().is_terminal() && environment_allows(),
    };
    if is_wanted { colored(&text) } else { text }
}

/// NO_COLOR, if set to anything, forbids colours (no-color.org); a dumb terminal has none.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the one reader of the environment"
)]
fn environment_allows() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !is_set && !is_dumb
}
