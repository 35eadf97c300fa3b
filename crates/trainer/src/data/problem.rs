//! What can be wrong with the files of a corpus.

use std::io;
use std::path::PathBuf;

use super::TokensProblem;

/// One reason why a corpus cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusProblem {
    /// The list of patterns is empty.
    #[error("no file pattern is given; name at least one, like `data/*.txt`")]
    NoPattern,
    /// A pattern cannot be understood.
    #[error("the file pattern `{pattern}` is malformed: {reason}")]
    Malformed {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern is relative to a folder whose name is not Unicode, in which patterns are written.
    #[error(
        "the file pattern `{pattern}` starts in `{}`, whose name is not Unicode; give an absolute one",
        base_dir.display()
    )]
    BaseDir {
        /// The pattern as given.
        pattern: String,
        /// Where it starts.
        base_dir: PathBuf,
    },
    /// A pattern matches nothing.
    #[error(
        "the file pattern `{pattern}` matches nothing in `{}`, where relative patterns start",
        base_dir.canonicalize().as_ref().unwrap_or(base_dir).display()
    )]
    NoMatch {
        /// The pattern as given.
        pattern: String,
        /// Where a relative pattern starts.
        base_dir: PathBuf,
    },
    /// A pattern matches folders and no file.
    #[error(
        "the file pattern `{pattern}` matches only folders; for the files in them add `/*`, for those \
         at any depth `/**/*`"
    )]
    OnlyFolders {
        /// The pattern as given.
        pattern: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no byte in it, and neither has any other that matches.
    #[error("`{}` is empty, and so is every other file that matches", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The lengths of the files do not add up to a number.
    #[error("the files are longer together than the {} bytes that can be counted", u64::MAX)]
    TooLong,
    /// A file of tokens is not in the form that its name says.
    #[error(transparent)]
    Tokens(#[from] TokensProblem),
}
