//! What is wrong with a recipe, shown as a compiler would: place, key, message, line and caret.

#[cfg(test)]
mod tests;
mod texts;

pub(crate) use texts::{Texts, lines};

use std::{fmt, ops::Range};

use crate::section::MAX_PROBLEMS;

/// A line of the source is shown up to this many characters around the caret.
const MAX_SHOWN: usize = 100;

/// One thing wrong with a recipe, or one warning about it.
///
/// It prints as several lines: `file:line:column: key: message`, the line of the recipe with a
/// caret, and a way out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The name that the recipe was read under, or `--set` for an override.
    pub file: String,
    /// Where it is, counted from 1.
    pub line: usize,
    /// The character within the line, counted from 1.
    pub column: usize,
    /// The dotted path of the key, such as `distributed.pipeline.pp_schedule`; empty where the text
    /// is not YAML at all.
    pub key: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// A way out.
    pub help: Option<String>,
    /// Which of the texts that were read together: 0 for the file, then the overrides.
    pub(crate) text: usize,
    /// The line as written; empty where there is nothing to quote.
    pub(crate) source: String,
    /// How many characters the caret underlines.
    pub(crate) width: usize,
}

impl Problem {
    /// What comes before what in a report.
    pub(crate) fn order(&self) -> (usize, usize, usize) {
        (self.text, self.line, self.column)
    }
}

/// Everything that is wrong with a recipe, in the order of its lines, and then of the overrides; the
/// first hundred problems found, if there are more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeErrors {
    problems: Vec<Problem>,
}

impl RecipeErrors {
    /// The error that these problems are, in whatever order they are given; none if there is none.
    ///
    /// ```
    /// use autopipe_config::RecipeErrors;
    ///
    /// assert_eq!(RecipeErrors::new(Vec::new()), None);
    /// ```
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(Problem::order);
        (!problems.is_empty()).then_some(RecipeErrors { problems })
    }

    /// The problems, by line and column; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for RecipeErrors {
    fn from(problem: Problem) -> Self {
        RecipeErrors { problems: vec![problem] }
    }
}

impl std::error::Error for RecipeErrors {}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}\n")?;
        }
        let mut files: Vec<&str> = self.problems.iter().map(|problem| &*problem.file).collect();
        files.dedup();
        let file = files.join(" and ");
        match self.problems.len() {
            1 => write!(f, "1 problem in {file}"),
            many @ ..MAX_PROBLEMS => write!(f, "{many} problems in {file}"),
            many => write!(f, "{many} problems or more in {file}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, key, message, .. } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{}: ", on_one_line(key))?;
        }
        write!(f, "{}", on_one_line(message))?;
        let margin = " ".repeat(line.to_string().len());
        if !self.source.is_empty() {
            let (shown, caret) =
                excerpt(&on_one_line(&self.source), column.saturating_sub(1), self.width);
            write!(f, "\n{margin} |\n{line} | {shown}\n{margin} | {caret}")?;
        }
        match &self.help {
            Some(help) => write!(f, "\n{margin} = help: {help}"),
            None => Ok(()),
        }
    }
}

/// The text without what would end its line or steer a terminal, in as many characters.
fn on_one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}

/// The line, cut to what fits around the caret, and the line of the caret below it.
fn excerpt(source: &str, start: usize, width: usize) -> (String, String) {
    let chars: Vec<char> = source.trim_end().chars().collect();
    let Range { start: from, end: to } = window(chars.len(), start);
    let (before, after) = (&chars[..from], &chars[to..]);
    let mut shown: String = chars[from..to].iter().collect();
    // A tab moves what follows it; the caret's line repeats it to move as far.
    let indent = chars[from..start.clamp(from, to)].iter();
    let mut caret: String = indent.map(|c| if *c == '\t' { '\t' } else { ' ' }).collect();
    if !before.is_empty() {
        shown.insert_str(0, "...");
        caret.insert_str(0, "   ");
    }
    if !after.is_empty() {
        shown.push_str("...");
    }
    let end = start.saturating_add(width).min(to);
    let marked = chars.get(start..end).unwrap_or_default();
    let blanks = marked.iter().rev().take_while(|c| c.is_whitespace()).count();
    caret.push_str(&"^".repeat((marked.len() - blanks).max(1)));
    (shown, caret)
}

/// The part of a line of `len` characters that is shown for a caret at `start`.
fn window(len: usize, start: usize) -> Range<usize> {
    if len <= MAX_SHOWN {
        return 0..len;
    }
    let from = start.saturating_sub(MAX_SHOWN / 2).min(len - MAX_SHOWN);
    from..from + MAX_SHOWN
}
