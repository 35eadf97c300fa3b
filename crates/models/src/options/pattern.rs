//! Names and patterns of names, as for files.

use crate::Error;

/// A name in which `*`, `?` and `[..]` stand for letters.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    glob: glob::Pattern,
}

impl Pattern {
    /// # Errors
    /// If a bracket is not closed, or stars follow each other in a way that says nothing.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        let glob = glob::Pattern::new(text).map_err(|error| Error::Pattern {
            pattern: text.to_owned(),
            position: error.pos,
            reason: error.msg,
        })?;
        Ok(Self { text: text.to_owned(), glob })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether a pattern is for this name or for a module around it.
pub(crate) fn matches_start(pattern: &Pattern, name: &str) -> bool {
    let inner = name.match_indices('.').map(|(dot, _)| &name[..dot]);
    inner.chain([name]).any(|start| pattern.glob.matches(start))
}

/// Whether a pattern is for this path or for the end of it.
pub(crate) fn matches_end(pattern: &Pattern, path: &str) -> bool {
    let ends = path.match_indices('.').map(|(dot, _)| &path[dot + 1..]);
    std::iter::once(path).chain(ends).any(|end| pattern.glob.matches(end))
}
