//! What a checkpoint has besides the model, so that a run goes on as if it had never stopped.
//!
//! ```text
//! step-000300/training/state.json                              counters and the place in the data
//! step-000300/training/optimizer-00001-of-00002.safetensors    what the optimiser remembers, by the
//!                                                              name of each parameter
//! ```
//!
//! Nothing in it depends on ranks, stages or the schedule: every rank writes what it has, and takes
//! what it needs from whichever file has it.

mod optimizer;
mod problem;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::data::Position;
pub(crate) use optimizer::{SavedOptimizer, optimizer_tensors, write_optimizer};
pub use problem::StateProblem;

/// The folder within a checkpoint's.
const FOLDER: &str = "training";
const FILE: &str = "state.json";

/// Counts up when a reader of the number before could no longer go on with the files.
const VERSION: u32 = 1;

/// Where a run stands after a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    version: u32,
    /// Steps that are done.
    pub step: usize,
    /// The rule of the optimiser, as a recipe names it.
    pub optimizer: String,
    /// Where in the data the next step begins.
    pub position: Position,
    /// How much an epoch of each source has: other data have no such place. Empty if that is not known.
    #[serde(default)]
    pub epoch_lens: Vec<u64>,
    /// What of the recipe decided the order of the data, by key: in another there is no such place
    /// either. Empty if that is not known.
    #[serde(default)]
    pub data_order: BTreeMap<String, String>,
    /// What the learning rate is multiplied by, since numbers that were none have lowered it.
    pub lr_factor: f64,
    /// How many of the last steps in a row have changed nothing.
    pub num_skipped_steps: usize,
    /// Label tokens of all steps.
    pub num_tokens: u64,
    /// The best evaluation so far.
    pub best: Option<Best>,
}

/// An evaluation that was better than all before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The step after which it was.
    pub step: usize,
    /// Its loss.
    pub val_loss: f64,
}

impl TrainingState {
    /// A run that begins, in data that begin at `position`.
    pub fn beginning(optimizer: &str, position: Position) -> Self {
        Self {
            version: VERSION,
            step: 0,
            optimizer: optimizer.to_owned(),
            position,
            epoch_lens: Vec::new(),
            data_order: BTreeMap::new(),
            lr_factor: 1.0,
            num_skipped_steps: 0,
            num_tokens: 0,
            best: None,
        }
    }

    /// Reads the state in the folder of a checkpoint.
    ///
    /// # Errors
    /// If there is none, or it is of another version or damaged.
    pub fn read(checkpoint: &Path) -> Result<Self, Error> {
        let path = folder(checkpoint).join(FILE);
        let text = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                StateProblem::NoState { checkpoint: checkpoint.to_owned() }
            }
            _ => StateProblem::Read { path: path.clone(), source },
        })?;
        let damaged = |source| StateProblem::Damaged { path: path.clone(), source };
        let version: Version = serde_json::from_slice(&text).map_err(damaged)?;
        if version.version != VERSION {
            let (found, known) = (version.version, VERSION);
            return Err(StateProblem::Version { path, found, known }.into());
        }
        Ok(serde_json::from_slice(&text).map_err(damaged)?)
    }

    /// Writes the state into the folder of a checkpoint, where [`create`] has been; it is on disk
    /// when this returns.
    pub(crate) fn write(&self, checkpoint: &Path) -> Result<(), Error> {
        let path = folder(checkpoint).join(FILE);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|source| StateProblem::Write { path: path.clone(), source }.into())
    }
}

/// What every version says.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Makes the folder for the state within that of a checkpoint.
pub(crate) fn create(checkpoint: &Path) -> Result<(), Error> {
    let path = folder(checkpoint);
    fs::create_dir_all(&path).map_err(|source| StateProblem::Write { path, source }.into())
}

fn folder(checkpoint: &Path) -> PathBuf {
    checkpoint.join(FOLDER)
}
