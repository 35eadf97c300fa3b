//! The folder of a run: where checkpoints and metrics are, and which checkpoint is the newest.
//!
//! ```text
//! RUN/metrics.jsonl                one line per step
//! RUN/timeline.json                when every action of the last step that was measured happened
//! RUN/trace-000120.json            step 120 beside what was predicted, for ui.perfetto.dev
//! RUN/tensorboard/                 event files
//! RUN/lock                         held by the process that trains here
//! RUN/checkpoints/step-000300/     a Hugging Face model folder, taken after step 300
//! RUN/checkpoints/latest           the text `step-000300`: the newest checkpoint that is whole
//! RUN/checkpoints/best             likewise the one after the best evaluation
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use autopipe::schedule::Timeline;
use autopipe_models::checkpoint::save::sync_folder;

use crate::Error;
use lock::Lock;

mod lock;

/// How much of a file that should hold a name an error message repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
    /// Of a run that is under way.
    lock: Option<Lock>,
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
        let run = Self::at(root);
        if let Some(path) = run.trace_of_run() {
            return Err(Error::RunExists { root: run.root, path });
        }
        run.prepare()
    }

    /// As [`create`](Self::create) for the run that is in the folder, which goes on.
    ///
    /// # Errors
    /// If a folder cannot be made or written to, or a process trains there.
    pub fn resume(root: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::at(root).prepare()
    }

    /// A folder to look into.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), lock: None }
    }

    /// Whether a run is there.
    pub fn is_run(&self) -> bool {
        self.trace_of_run().is_some()
    }

    fn trace_of_run(&self) -> Option<PathBuf> {
        [self.metrics_path(), self.latest_path()].into_iter().find(|path| path.exists())
    }

    fn prepare(mut self) -> Result<Self, Error> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(cannot_write(&checkpoints))?;
        self.lock = Some(Lock::take(&self.root)?);
        for folder in [self.root(), &checkpoints] {
            let probe = folder.join(".write-test");
            fs::write(&probe, [])
                .and_then(|()| fs::remove_file(&probe))
                .map_err(cannot_write(&probe))?;
        }
        self.sweep()?;
        Ok(self)
    }

    /// Bytes that can still be written there.
    ///
    /// # Errors
    /// If the system does not tell, or the folder is not there.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        let unreadable = |source| Error::ReadRunDir { path: self.root.clone(), source };
        fs4::available_space(&self.root).map_err(unreadable)
    }

    /// What is in the folder of checkpoints.
    fn in_checkpoints(&self) -> Result<Vec<PathBuf>, Error> {
        let checkpoints = self.checkpoints();
        let paths = fs::read_dir(&checkpoints)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        paths.map_err(|source| Error::ReadRunDir { path: checkpoints, source })
    }

    /// Removes what a run that was killed has left of checkpoints that it was writing or removing.
    fn sweep(&self) -> Result<(), Error> {
        for path in self.in_checkpoints()? {
            let is_rest = path
                .extension()
                .is_some_and(|end| end == "partial" || end == "former" || end == REMOVED);
            let is_step = path.file_stem().and_then(|stem| step_of(stem.to_str()?)).is_some();
            if is_rest && is_step {
                fs::remove_dir_all(&path).map_err(cannot_write(&path))?;
            }
        }
        Ok(())
    }

    /// The folder for event files of TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// Writes what is shown of a step beside its prediction, and returns where.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_trace(&self, step: usize, text: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(format!("trace-{step:06}.json"));
        fs::write(&path, text).map_err(cannot_write(&path))?;
        Ok(path)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the metrics are.
    pub fn metrics_path(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
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
        self.set_name(&self.latest_path(), step)
    }

    /// Names a checkpoint as the best, as [`set_latest`](Self::set_latest) does.
    ///
    /// # Errors
    /// As [`set_latest`](Self::set_latest).
    pub fn set_best(&self, step: usize) -> Result<(), Error> {
        self.set_name(&self.best_path(), step)
    }

    fn set_name(&self, name: &Path, step: usize) -> Result<(), Error> {
        let Checkpoint { path, .. } = self.checkpoint(step);
        if !path.is_dir() {
            return Err(Error::NoCheckpoint { path });
        }
        let unfinished = name.with_extension("unfinished");
        write_to_disk(&unfinished, &format!("{}\n", folder_name(step)))
            .map_err(cannot_write(&unfinished))?;
        fs::rename(&unfinished, name).map_err(cannot_write(name))?;
        let folder = self.checkpoints();
        sync_folder(&folder).map_err(cannot_write(&folder))?;
        tracing::debug!(step, name = %name.display(), "a checkpoint has a name");
        Ok(())
    }

    /// Removes all but the `keep` newest checkpoints; the newest whole and the best one stay besides.
    ///
    /// A folder is renamed before it is removed, so that none that looks whole is half of one.
    ///
    /// # Errors
    /// If a folder cannot be read or removed.
    pub fn prune(&self, keep: usize) -> Result<(), Error> {
        let named = [self.latest()?, self.best()?];
        let stays = |step| named.iter().flatten().any(|checkpoint| checkpoint.step == step);
        let all = self.all_checkpoints()?;
        let num_old = all.len().saturating_sub(keep);
        for Checkpoint { path, .. } in all.iter().take(num_old).filter(|c| !stays(c.step)) {
            let removed = path.with_extension(REMOVED);
            fs::rename(path, &removed)
                .and_then(|()| fs::remove_dir_all(&removed))
                .map_err(cannot_write(path))?;
        }
        Ok(())
    }

    /// All whole checkpoints, the oldest first.
    ///
    /// # Errors
    /// If their folder cannot be read.
    pub fn all_checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        let mut all = Vec::new();
        for path in self.in_checkpoints()? {
            if let Some(step) = path.file_name().and_then(|name| step_of(name.to_str()?)) {
                all.push(Checkpoint { step, path });
            }
        }
        all.sort_by_key(|checkpoint| checkpoint.step);
        Ok(all)
    }

    /// The checkpoint after the best evaluation, `None` if there is none, or none any more.
    ///
    /// # Errors
    /// As [`latest`](Self::latest), but for a checkpoint that is gone.
    pub fn best(&self) -> Result<Option<Checkpoint>, Error> {
        match self.named(&self.best_path()) {
            // Somebody has removed it: there is none then.
            Err(Error::NoCheckpoint { .. }) => Ok(None),
            best => best,
        }
    }

    /// The newest whole checkpoint, `None` if there is none yet.
    ///
    /// # Errors
    /// If the file that names it cannot be read or says something else, or the checkpoint is gone.
    pub fn latest(&self) -> Result<Option<Checkpoint>, Error> {
        self.named(&self.latest_path())
    }

    fn named(&self, path: &Path) -> Result<Option<Checkpoint>, Error> {
        let path = path.to_owned();
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

    fn best_path(&self) -> PathBuf {
        self.checkpoints().join("best")
    }
}

/// What is added to the name of a checkpoint that is being removed.
const REMOVED: &str = "removed";

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
