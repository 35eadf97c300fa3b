//! Reads pieces of many files while few of them are open.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Sequences in shuffled order jump between files; this many stay open. Systems allow a process a
/// few hundred to a few thousand, and each rank of a process has a loader of its own.
const MAX_OPEN: usize = 16;

/// The files read last, numbered as their owner numbers them.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// The one read last is at the end.
    recent: Vec<(usize, File)>,
}

/// A clone has nothing open: two readers of one open file would move each other's place in it.
impl Clone for OpenFiles {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl OpenFiles {
    /// Fills `buffer` with what lies at `offset` of file `number`, whose path is `path`.
    pub(super) fn read(
        &mut self,
        number: usize,
        path: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut file = match self.recent.iter().position(|&(open, _)| open == number) {
            Some(place) => self.recent.remove(place).1,
            None => File::open(path)?,
        };
        if self.recent.len() == MAX_OPEN {
            self.recent.remove(0);
        }
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)?;
        // Kept only now: a file that failed is opened afresh if anybody tries again.
        self.recent.push((number, file));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
