//! Names and patterns of names, as for files.

use crate::Error;

/// A name in which `*`, `?` and `[..]` stand for letters, as [`Options::freeze`](super::Options::freeze)
/// has them.
///
/// ```
/// use autopipe_models::Pattern;
///
/// let pattern = Pattern::new("model.layers.[01]")?;
/// assert!(pattern.covers("model.layers.1.mlp.up_proj.weight"));
/// assert!(!pattern.covers("model.layers.10.mlp.up_proj.weight"));
/// # Ok::<(), autopipe_models::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    glob: glob::Pattern,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If a bracket is not closed, or stars follow each other in a way that says nothing.
    pub fn new(text: &str) -> Result<Self, Error> {
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

    /// Whether it is for the parameter of this name, or for a module around it.
    pub fn covers(&self, name: &str) -> bool {
        let inner = name.match_indices('.').map(|(dot, _)| &name[..dot]);
        inner.chain([name]).any(|start| self.glob.matches(start))
    }
}

/// Whether a pattern is for this path or for the end of it.
pub(crate) fn matches_end(pattern: &Pattern, path: &str) -> bool {
    let ends = path.match_indices('.').map(|(dot, _)| &path[dot + 1..]);
    std::iter::once(path).chain(ends).any(|end| pattern.glob.matches(end))
}
