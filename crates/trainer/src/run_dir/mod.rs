//! The folder of a run: where checkpoints and metrics are, and which checkpoint is the newest.
//!
//! ```text
//! RUN/metrics.jsonl                one line per step
//! RUN/timeline.json                when every action of the last step happened
//! RUN/checkpoints/step-000300/     a Hugging Face model folder, taken after step 300
//! RUN/checkpoints/latest           the text `step-000300`: the newest checkpoint that is whole
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use autopipe::schedule::Timeline;

use crate::Error;

/// How much of a file that should hold a name an error message repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// The folder of a run that can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
}

/// A checkpoint's folder and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The step after which it was taken.
    pub step: usize,
    /// Its folder.
    pub path: PathBuf,
}

impl RunDir {
    /// Makes the folder, if it is not there, and proves that files can be written in it, so that a
    /// run does not find out after its first hours. One rank of a run calls this.
    ///
    /// What is in the folder already stays, but no run may be there: two would mix.
    ///
    /// # Errors
    /// If there is a run, or a folder cannot be made or written to.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let run = Self { root: root.into() };
        if let Some(path) = [run.metrics_path(), run.latest_path()].into_iter().find(|p| p.exists())
        {
            return Err(Error::RunExists { root: run.root, path });
        }
        let checkpoints = run.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(cannot_write(&checkpoints))?;
        for folder in [run.root(), &checkpoints] {
            let probe = folder.join(".write-test");
            fs::write(&probe, [])
                .and_then(|()| fs::remove_file(&probe))
                .map_err(cannot_write(&probe))?;
        }
        Ok(run)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the metrics are.
    pub fn metrics_path(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Opens the metrics to add lines.
    ///
    /// # Errors
    /// If the file cannot be written to.
    pub fn open_metrics(&self) -> Result<File, Error> {
        let path = self.metrics_path();
        OpenOptions::new().create(true).append(true).open(&path).map_err(cannot_write(&path))
    }

    /// Writes when every action of a step happened, and returns where. Times are in seconds.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_timeline(&self, timeline: &Timeline) -> Result<PathBuf, Error> {
        let path = self.root.join("timeline.json");
        let text = serde_json::to_string(timeline).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text)).map_err(cannot_write(&path))?;
        Ok(path)
    }

    /// Where the checkpoint taken after `step` belongs: `checkpoints/step-000300`.
    pub fn checkpoint(&self, step: usize) -> Checkpoint {
        Checkpoint { step, path: self.checkpoints().join(folder_name(step)) }
    }

    /// Names a checkpoint as the newest. To be called when all of it is on disk.
    ///
    /// The name is replaced in one piece: whoever reads it sees this one or the one before, even if
    /// the process dies in between.
    ///
    /// # Errors
    /// If the checkpoint's folder is not there or the name cannot be written.
    pub fn set_latest(&self, step: usize) -> Result<(), Error> {
        let Checkpoint { path, .. } = self.checkpoint(step);
        if !path.is_dir() {
            return Err(Error::NoCheckpoint { path });
        }
        let latest = self.latest_path();
        let unfinished = self.checkpoints().join("latest.unfinished");
        write_to_disk(&unfinished, &format!("{}\n", folder_name(step)))
            .map_err(cannot_write(&unfinished))?;
        fs::rename(&unfinished, &latest).map_err(cannot_write(&latest))?;
        tracing::debug!(step, "the newest checkpoint");
        Ok(())
    }

    /// The newest whole checkpoint, `None` if there is none yet.
    ///
    /// # Errors
    /// If the file that names it cannot be read or says something else, or the checkpoint is gone.
    pub fn latest(&self) -> Result<Option<Checkpoint>, Error> {
        let path = self.latest_path();
        let content = match fs::read(&path) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::ReadRunDir { path, source }),
        };
        let Some(step) = step_of(content.trim_end()) else {
            let content = content.trim_end().chars().take(MAX_QUOTED_CHARS).collect();
            return Err(Error::Latest { path, content });
        };
        let checkpoint = self.checkpoint(step);
        if !checkpoint.path.is_dir() {
            return Err(Error::NoCheckpoint { path: checkpoint.path });
        }
        Ok(Some(checkpoint))
    }

    fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    fn latest_path(&self) -> PathBuf {
        self.checkpoints().join("latest")
    }
}

/// Six digits, so that folders stand in the order of their steps; a longer run has more.
fn folder_name(step: usize) -> String {
    format!("step-{step:06}")
}

/// The inverse of [`folder_name`]; nothing else is a name.
fn step_of(name: &str) -> Option<usize> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (folder_name(step) == name).then_some(step)
}

/// Returns when the text is on disk and not only in the system's memory.
fn write_to_disk(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::WriteRunDir { path, source }
}

#[cfg(test)]
mod tests;
