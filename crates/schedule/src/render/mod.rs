//! Pictures of timelines for people and for other tools: SVG, a page, a trace, a report, colours.

mod ansi;
mod html;
mod json;
mod look;
mod number;
mod svg;
#[cfg(test)]
mod tests;
mod trace;

pub use ansi::colored;
pub use html::html;
pub use json::{CriticalAction, RankReport, Report, json, report};
pub use number::number;
pub use svg::svg;
pub use trace::{TraceError, read_trace, trace, trace_beside};

use crate::{Analysis, Timeline};

/// One schedule to be drawn: when everything happens, and what follows from it.
///
/// The analysis has to be that of the timeline. What it lacks, because it is another's, is left out
/// of the picture.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// What the schedule is called; any text.
    pub title: &'a str,
    /// When everything happens, simulated or measured.
    pub timeline: &'a Timeline,
    /// What [`analyze`](crate::analyze) says of it.
    pub analysis: &'a Analysis,
}

impl Chart<'_> {
    /// Makespan, bubble and memory in one line: what one compares schedules by.
    fn summary(&self) -> String {
        let peak = self.timeline.peak_activations().into_iter().max().unwrap_or(0);
        format!(
            "makespan {}, bubble {}, at most {peak} live activation{} on a rank",
            number(self.timeline.makespan()),
            number::percent(self.timeline.bubble_rate()),
            if peak == 1 { "" } else { "s" },
        )
    }
}

/// Text inside HTML and SVG, in elements and in quoted attributes. Characters that XML has no way
/// to hold, and ends of lines, become spaces.
///
/// # Examples
/// ```
/// use autopipe_schedule::render::escaped;
///
/// assert_eq!(escaped("1F1B <fast>\n"), "1F1B &lt;fast&gt; ");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\r' | '\t' | '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
