//! The metrics file: JSON lines, each of them whole, that a run which is resumed goes on with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{EvalRecord, StepRecord};
use crate::Error;

/// Writes records as JSON lines: one object per line, and every line whole.
#[derive(Debug)]
pub struct MetricsWriter<W> {
    writer: W,
}

impl<W: Write> MetricsWriter<W> {
    /// Writes to `writer`, which need not be buffered.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Writes one line and flushes it, so that what a run has reported survives its end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, record: &StepRecord) -> Result<(), Error> {
        self.line(record).map_err(|source| Error::WriteMetrics { step: record.step, source })
    }

    /// The same of an evaluation.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_evaluation(&mut self, record: &EvalRecord) -> Result<(), Error> {
        self.line(record).map_err(|source| Error::WriteMetrics { step: record.step, source })
    }

    fn line(&mut self, record: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        // One write per line: whoever follows the file never sees half of one.
        self.writer.write_all(&line)?;
        self.writer.flush()
    }
}

impl MetricsWriter<File> {
    /// Goes on with the file of a run that is resumed after `step`: what it says of later steps, and a
    /// last line that was cut off, are gone when this returns, in one piece. A file that is not there
    /// is begun.
    ///
    /// # Errors
    /// If the file cannot be read or written, or a line that is not the last is none of a run.
    pub fn resume_after(path: &Path, step: usize) -> Result<Self, Error> {
        let cannot_write = |source| Error::WriteRunDir { path: path.to_owned(), source };
        let before = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Error::ReadRunDir { path: path.to_owned(), source }),
        };
        let kept = kept(path, &before, step)?;
        if kept.len() < before.len() {
            let dropped = before.len() - kept.len();
            tracing::debug!(step, dropped, "bytes of later steps go from the metrics");
            replace(path, &kept).map_err(cannot_write)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(cannot_write)?;
        Ok(Self::new(file))
    }
}

/// What every line says.
#[derive(Deserialize)]
struct Line {
    step: usize,
}

/// The lines up to a step, each with its end.
fn kept(path: &Path, text: &[u8], step: usize) -> Result<Vec<u8>, Error> {
    let mut kept = Vec::with_capacity(text.len());
    for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break; // cut off
        }
        let read: Line = serde_json::from_slice(line).map_err(|source| Error::MetricsLine {
            path: path.to_owned(),
            line: index + 1,
            source,
        })?;
        if read.step <= step {
            kept.extend_from_slice(line);
        }
    }
    Ok(kept)
}

/// Whoever reads the file sees the old content or the new, even if the process dies in between.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}
