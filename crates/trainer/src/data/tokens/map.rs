//! A file mapped into memory: the only unsafe code of this crate.
#![expect(unsafe_code, reason = "the system maps a file only on a promise that it cannot check")]

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use memmap2::{Advice, Mmap};

/// The bytes of a file, which the system reads when they are looked at.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    map: Arc<Mmap>,
}

impl Mapped {
    /// Maps a file that has at least one byte.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: a mapped file must not change while it is looked at. Data files are written once, and
        // nothing here writes to one. Against a program that replaces one by a shorter, `bytes` looks
        // at its length; tokens that change under a run are checked like all others. No reference to
        // the bytes leaves this folder, and no text or type that some bytes would break is made of them.
        let map = unsafe { Mmap::map(&file)? };
        // Rows are read in a shuffled order, so that reading ahead would read what nobody wants. It is
        // advice: without it everything is as right.
        #[cfg(unix)]
        map.advise(Advice::Random).ok();
        Ok(Self { map: Arc::new(map) })
    }

    /// How many bytes the file had when it was opened.
    pub(super) fn num_bytes(&self) -> usize {
        self.map.len()
    }

    /// The bytes of the file at `path`, if it still has as many: looking at a missing one would end the
    /// process.
    pub(super) fn bytes(&self, path: &Path) -> io::Result<&[u8]> {
        if fs::metadata(path)?.len() < self.map.len() as u64 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        Ok(&self.map)
    }
}
