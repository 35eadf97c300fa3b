//! Colours for a terminal.

use super::look::Look;
use crate::Action;

/// A text with every action in it in the colour of its kind, for a terminal that understands ANSI
/// escapes. Whether the output is one is for the caller to find out.
///
/// It takes any text whose actions are set apart by blanks or commas: a table, a CSV, a violation.
/// The colours are the sixteen that a terminal's own theme defines, so that they are legible on
/// whatever background its owner likes: F blue, I cyan, W green, B yellow, overlap magenta,
/// recompute underlined blue, everything else grey. Nothing but colours is added.
///
/// # Examples
/// ```
/// use autopipe_schedule::render::colored;
///
/// assert_eq!(colored("Step 0: 0F0"), "Step 0: \u{1b}[34m0F0\u{1b}[0m");
/// ```
#[must_use]
pub fn colored(text: &str) -> String {
    let mut colored = String::with_capacity(text.len() * 2);
    let is_gap = |c: char| c.is_whitespace() || c == ',';
    let mut rest = text;
    while !rest.is_empty() {
        let word_start = rest.find(|c| !is_gap(c)).unwrap_or(rest.len());
        let (gap, word_on) = rest.split_at(word_start);
        let (word, after) = word_on.split_at(word_on.find(is_gap).unwrap_or(word_on.len()));
        colored.push_str(gap);
        match word.parse::<Action>() {
            Ok(action) => {
                let code = code(Look::of(action));
                colored.push_str(&format!("\u{1b}[{code}m{word}\u{1b}[0m"));
            }
            Err(_) => colored.push_str(word),
        }
        rest = after;
    }
    colored
}

/// The number that an escape sets the colour by.
fn code(look: Look) -> &'static str {
    match look {
        Look::Forward => "34",
        Look::BackwardInput => "36",
        Look::BackwardWeight => "32",
        Look::Backward => "33",
        Look::Overlap => "35",
        // Blue like the forward it repeats, but underlined.
        Look::Recompute => "4;34",
        Look::Communication | Look::Collective | Look::Optimizer => "90",
    }
}
