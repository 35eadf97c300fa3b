//! The texts that a recipe is read from, to quote them.

use super::Problem;
use crate::{document::Place, nearest::shortened};

/// The texts of a recipe, each with its name: the file, then the overrides.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Vec<(String, String)>);

impl Texts {
    pub(crate) fn new(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        Texts(texts.into_iter().collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One of the texts.
    pub(crate) fn text(&self, text: usize) -> &str {
        self.0.get(text).map_or("", |(_, text)| text)
    }

    /// A line, counted from 1.
    pub(crate) fn line(&self, text: usize, line: usize) -> &str {
        line.checked_sub(1).and_then(|index| lines(self.text(text)).nth(index)).unwrap_or_default()
    }

    /// A problem that quotes what it is about.
    pub(crate) fn problem(
        &self,
        place: Place,
        key: &str,
        message: String,
        help: Option<String>,
    ) -> Problem {
        let Place { text, line, column, width } = self.within(place);
        let file = self.0.get(text).map_or("", |(name, _)| name).to_owned();
        let source = if width > 0 { self.line(text, line) } else { "" }.to_owned();
        let key = shortened(key).to_owned();
        Problem { file, line, column, key, message, help, text, source, width }
    }

    /// The place, or the last one before it that exists: the parser may point behind the end.
    fn within(&self, place: Place) -> Place {
        let num_lines = lines(self.text(place.text)).count();
        let is_behind = place.line > num_lines;
        let line = place.line.min(num_lines);
        let end = self.line(place.text, line).chars().count() + 1;
        Place { line, column: if is_behind { end } else { place.column.min(end) }, ..place }
    }
}

/// The lines of a text, which end with a line feed, a carriage return, or both.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.flat_map(|line| line.split('\r'))
}
