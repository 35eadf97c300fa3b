//! Where something is written: in which text, line and column.

use saphyr_parser::Marker;

/// Where a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the texts that are read together: 0 for the file, then the overrides.
    pub(crate) text: usize,
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    /// In characters, as far as the piece is on its first line; 0 for nothing that could be quoted.
    pub(crate) width: usize,
}

impl Place {
    /// The file as a whole.
    pub(crate) const WHOLE: Place = Place { text: 0, line: 1, column: 1, width: 0 };
}

/// Where a YAML text begins: an override's value begins within its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) text: usize,
    /// Characters of the first line that come before.
    pub(super) offset: usize,
}

impl Origin {
    /// From one marker to the other, or to the end of the line if that comes first.
    pub(super) fn place(self, start: &Marker, end: &Marker) -> Place {
        let width = if start.line() == end.line() {
            end.col().saturating_sub(start.col())
        } else {
            usize::MAX // the report cuts it at the end of the line
        };
        let offset = if start.line() == 1 { self.offset } else { 0 };
        let column = offset + start.col() + 1;
        Place { text: self.text, line: start.line(), column, width: width.max(1) }
    }
}
