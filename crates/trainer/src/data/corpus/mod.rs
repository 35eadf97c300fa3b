//! The text files of a run, read as one row of tokens without holding them in memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find::find;
use super::open_files::OpenFiles;
use super::{CorpusProblem, SEPARATOR};
use crate::Error;

/// One file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it is: the folder that patterns start in and what matched there.
    pub path: PathBuf,
    /// Its length when the corpus was opened, at least 1.
    pub num_bytes: u64,
}

/// Text files, one after the other, with [`SEPARATOR`] after each.
///
/// Only paths and lengths are in memory; text is read when it is asked for, and a few files stay
/// open for that.
///
/// A clone shares what was found when the corpus was opened, so that all readers see the same
/// tokens whatever happens to the files, and has open files of its own.
#[derive(Clone, Debug)]
pub struct Corpus {
    documents: Arc<[Document]>,
    /// The offset of each document's first byte among all tokens; ascending, the first is 0.
    starts: Arc<[u64]>,
    num_tokens: u64,
    num_empty: usize,
    open: OpenFiles,
}

impl Corpus {
    /// Opens the files that `patterns` match; relative ones start in `base_dir`.
    ///
    /// The patterns are a shell's: `*`, `?`, `[a-z]`, and `**` for folders of any depth. Names that
    /// start with a dot match only where the pattern has the dot, names that are not Unicode never.
    /// The files of the first pattern come first, those of one pattern in the order of their paths,
    /// and a file that matches twice is taken once. Folders that match are passed over, and so are
    /// empty files and, unless they are named, pipes and devices.
    ///
    /// # Errors
    /// Everything that is wrong at once: malformed patterns, patterns that match no file, files that
    /// cannot be read, or nothing but empty files.
    pub fn open(patterns: &[impl AsRef<str>], base_dir: &Path) -> Result<Self, Error> {
        let (paths, mut problems) = find(patterns, base_dir);
        let mut documents = Vec::with_capacity(paths.len());
        let mut empty = Vec::new();
        for path in paths {
            match measure(&path) {
                Ok(0) => empty.push(path),
                Ok(num_bytes) => documents.push(Document { path, num_bytes }),
                Err(source) => problems.push(CorpusProblem::Unreadable { path, source }),
            }
        }
        let num_empty = empty.len();
        if documents.is_empty() && problems.is_empty() {
            problems.extend(empty.into_iter().map(|path| CorpusProblem::Empty { path }));
        }
        let layout = layout(documents.iter().map(|document| document.num_bytes), 1);
        if layout.is_none() {
            problems.push(CorpusProblem::TooLong);
        }
        match layout {
            Some((starts, num_tokens)) if problems.is_empty() => {
                let (documents, starts) = (documents.into(), starts.into());
                Ok(Self { documents, starts, num_tokens, num_empty, open: OpenFiles::default() })
            }
            _ => Err(Error::Corpus(problems)),
        }
    }

    /// The files, in the order in which their text stands.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// How many files matched and were left out because there is nothing in them.
    pub fn num_empty(&self) -> usize {
        self.num_empty
    }

    /// How many tokens there are: the bytes of all files and one separator after each.
    pub fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Fills `buffer` with the tokens from `offset` on. The caller keeps to [`num_tokens`]: what lies
    /// beyond stays as it was.
    ///
    /// [`num_tokens`]: Self::num_tokens
    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let first = self.starts.partition_point(|&start| start <= offset).saturating_sub(1);
        let mut offset = offset;
        let mut rest = buffer;
        for (number, document) in self.documents.iter().enumerate().skip(first) {
            let within = offset - self.starts[number];
            let available = document.num_bytes.saturating_sub(within);
            let len = usize::try_from(available).map_or(rest.len(), |len| len.min(rest.len()));
            let (text, after) = rest.split_at_mut(len);
            if !text.is_empty() {
                self.open.read(number, &document.path, within, text).map_err(|source| {
                    Error::ReadCorpus {
                        path: document.path.clone(),
                        num_bytes: document.num_bytes,
                        source,
                    }
                })?;
            }
            let Some((separator, after)) = after.split_first_mut() else { return Ok(()) };
            *separator = SEPARATOR;
            rest = after;
            offset = self.starts[number] + document.num_bytes + 1;
        }
        Ok(())
    }
}

/// The length of a file that can be opened.
pub(super) fn measure(path: &Path) -> std::io::Result<u64> {
    // Opening finds out what the metadata do not say: whether this process may read it.
    File::open(path)?;
    Ok(fs::metadata(path)?.len())
}

/// Where each file starts and how many tokens there are, with `num_separators` after each file;
/// `None` if that cannot be counted.
pub(super) fn layout(
    lengths: impl Iterator<Item = u64>,
    num_separators: u64,
) -> Option<(Vec<u64>, u64)> {
    let mut starts = Vec::new();
    let mut end = 0_u64;
    for len in lengths {
        starts.push(end);
        end = end.checked_add(len)?.checked_add(num_separators)?;
    }
    Some((starts, end))
}

#[cfg(test)]
mod tests;
