//! What can be wrong with the files of a source.

use std::path::PathBuf;

use crate::data::CorpusProblem;

/// One reason why a source cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentsProblem {
    /// A pattern is wrong, or a file cannot be read.
    #[error(transparent)]
    Files(#[from] CorpusProblem),
    /// No file has a record in it.
    #[error("`{}` has no record in it, and neither has any other file that matches", path.display())]
    Empty {
        /// The first of the files.
        path: PathBuf,
    },
    /// Files of tokens have no documents.
    #[error(
        "`{}` holds tokens, and others of this source hold documents; give it as a source of its own",
        path.display()
    )]
    Tokens {
        /// The file.
        path: PathBuf,
    },
    /// A file is no Parquet.
    #[error("`{}` is no Parquet file that can be read: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading Parquet is not compiled in.
    #[error(
        "`{}` is a Parquet file, and this program is built without what reads them; build it with \
         `--features parquet`",
        path.display()
    )]
    NoParquet {
        /// The file.
        path: PathBuf,
    },
}
