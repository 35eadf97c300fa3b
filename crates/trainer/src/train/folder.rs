//! The folder of a run: one process opens it, and the others make sure that they see the same.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process;

use super::job::Job;
use super::process::ProcessProblem;
use super::space::{NoSpace, num_at_once};
use crate::{Error, RunDir};

impl Job<'_> {
    /// Opens the folder of the run, if it has one, and asks for room for its checkpoints. One rank of
    /// a run does, before the others [look into it](Self::enter_run_dir).
    pub(super) fn open_run_dir(&mut self) -> Result<(), Error> {
        let checkpoint = &self.recipe.checkpoint;
        if !checkpoint.enabled {
            return Ok(());
        }
        let root = &checkpoint.checkpoint_dir;
        let run_dir = if self.is_same_run { RunDir::resume(root)? } else { RunDir::create(root)? };
        // Another process may have trained on until it let go of the folder.
        let latest = run_dir.latest()?.map(|checkpoint| checkpoint.path);
        let restored = self.restored.as_ref().map(|restored| &restored.folder);
        if self.is_same_run && latest.as_ref() != restored {
            return Err(Error::RunChanged { root: root.into() });
        }
        let num_there = run_dir.all_checkpoints()?.len();
        let num_at_once = num_at_once(self.recipe, self.state.step, num_there);
        let (free, bytes_each) = (run_dir.free_bytes()?, self.checkpoint_bytes);
        if bytes_each.saturating_mul(num_at_once) > free {
            let root = root.into();
            return Err(NoSpace { root, free, num_at_once, bytes_each }.into());
        }
        self.run_dir = Some(run_dir);
        Ok(())
    }

    /// Leaves a file in the open folder, for other processes to see that theirs is the same, and returns
    /// its name; empty if the run has no folder.
    pub(super) fn mark_run_dir(&self) -> Result<String, Error> {
        let Some(run_dir) = &self.run_dir else { return Ok(String::new()) };
        // No other process of this host has this name.
        let mark = format!(".met-{}", process::id());
        let path = run_dir.root().join(&mark);
        fs::write(&path, []).map_err(|source| Error::WriteRunDir { path, source })?;
        Ok(mark)
    }

    /// Takes the folder that another process has opened and marked.
    pub(super) fn enter_run_dir(&mut self, mark: &str) -> Result<(), Error> {
        let checkpoint = &self.recipe.checkpoint;
        if !checkpoint.enabled {
            return Ok(());
        }
        let root = Path::new(&checkpoint.checkpoint_dir);
        if !root.join(mark).exists() {
            return Err(ProcessProblem::NotShared { root: root.into() }.into());
        }
        self.run_dir = Some(RunDir::at(root));
        Ok(())
    }

    /// Removes the mark, when all have seen it.
    pub(super) fn unmark_run_dir(&self, mark: &str) {
        if let Some(run_dir) = &self.run_dir {
            // A file of no bytes that stays does no harm.
            let _ = fs::remove_file(run_dir.root().join(mark));
        }
    }

    /// What all ranks of a run have to have the same: what it is to do, and where it begins.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        let Self { recipe, options, restored, state, .. } = self;
        format!("{recipe:?}").hash(&mut hasher);
        (options.resume, options.trace_step, state.step).hash(&mut hasher);
        restored.as_ref().map(|restored| &restored.folder).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}
