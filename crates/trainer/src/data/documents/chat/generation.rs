//! `{% generation %}`, the tag with which a template marks what an assistant says.
//!
//! Jinja does not know it: transformers adds it to Jinja, and here it becomes a filter over the same
//! part of the template, which sets a mark at either end of what it is given.

use std::ops::Range;

use super::Written;
use crate::data::RecordFault;

/// The filter's name.
pub(super) const FILTER: &str = "generation";

/// What stands before and after an assistant's words. Unicode keeps these two for use within a
/// program, so that no text has them.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// The template with a filter in the tag's place, and whether it has the tag.
pub(super) fn as_filter(source: &str) -> (String, bool) {
    let mut rewritten = String::with_capacity(source.len());
    let mut is_marked = false;
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        rewritten.push_str(before);
        let Some(len) = tag[2..].find("%}") else {
            rest = tag;
            break;
        };
        let (inside, after) = tag[2..].split_at(len);
        let word = inside.trim_matches(['-', '+']).trim();
        let filter = match word {
            "generation" => Some(format!("filter {FILTER}")),
            "endgeneration" => Some("endfilter".to_owned()),
            _ => None,
        };
        rewritten.push_str("{%");
        rest = match filter {
            Some(filter) => {
                is_marked = true;
                rewritten.push_str(&inside.replacen(word, &filter, 1));
                after
            }
            None => &tag[2..],
        };
    }
    rewritten.push_str(rest);
    (rewritten, is_marked)
}

/// The filter.
pub(super) fn mark(text: &str) -> String {
    let [start, end] = MARKS;
    format!("{start}{text}{end}")
}

/// Takes the marks out of a text.
pub(super) fn unmark(marked: &str) -> Result<Written, RecordFault> {
    let [start, end] = MARKS;
    let mut text = String::with_capacity(marked.len());
    let mut learnt: Vec<Range<usize>> = Vec::new();
    let mut rest = marked;
    while let Some((before, after)) = rest.split_once(start) {
        let Some((inside, after)) = after.split_once(end) else {
            return Err(RecordFault::Unmarked);
        };
        if before.contains(end) || inside.contains(start) {
            return Err(RecordFault::Unmarked);
        }
        text.push_str(before);
        learnt.push(text.len()..text.len() + inside.len());
        text.push_str(inside);
        rest = after;
    }
    if rest.contains(end) {
        return Err(RecordFault::Unmarked);
    }
    text.push_str(rest);
    Ok(Written { text, learnt })
}
