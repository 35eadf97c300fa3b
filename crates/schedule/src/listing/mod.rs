//! Words for messages: lists that stay readable however long they are.

#[cfg(test)]
mod tests;

use std::fmt::Display;

/// How many entries a message shows before it only counts them.
const SHOWN: usize = 20;

/// How many characters of a foreign text a message quotes.
const QUOTED: usize = 40;

/// `0`, `0 and 1`, `0, 1 and 2`.
pub(crate) fn and(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Sorted numbers with the runs drawn together: `0, 2 to 4 and 7`.
pub(crate) fn ranges(runs: &[(usize, usize)]) -> String {
    let shown = runs.iter().take(SHOWN).flat_map(|&(first, last)| match last - first {
        0 => vec![first.to_string()],
        1 => vec![first.to_string(), last.to_string()],
        _ => vec![format!("{first} to {last}")],
    });
    match runs.len().saturating_sub(SHOWN) {
        0 => and(shown),
        more => format!("{} and {more} more runs", shown.collect::<Vec<_>>().join(", ")),
    }
}

/// One item a line, under a heading; after the first few, only their number.
pub(crate) fn lines(heading: &str, items: &[impl Display]) -> String {
    let mut text = heading.to_owned();
    for item in items.iter().take(SHOWN) {
        text.push_str("\n- ");
        text.push_str(&item.to_string());
    }
    match items.len().saturating_sub(SHOWN) {
        0 => {}
        more => text.push_str(&format!("\n- and {more} more")),
    }
    text
}

/// The beginning of a text that may be long, with control characters made visible.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED).is_some() {
        short.push_str("...");
    }
    short
}
