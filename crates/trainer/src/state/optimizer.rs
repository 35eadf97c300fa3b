//! What the optimiser remembers, one file a rank, by the names of parameters.
//!
//! The tensors of parameter `model.norm.weight` are `model.norm.weight/exp_avg` and so on, by torch's
//! names, and `model.norm.weight/step` with the number of its steps. All are float32.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use autopipe_models::Checkpoint;
use autopipe_nn::Parameter;
use autopipe_nn::optim::{Optimizer, State};
use candle_core::{DType, Device, Tensor};

use super::{StateProblem, folder};
use crate::Error;

const STEP: &str = "step";
const STEM: &str = "optimizer-";
const END: &str = ".safetensors";

/// A copy of what is remembered of a parameter, as a file has it: none before its first step. Of each
/// tensor, `gather` makes the whole one.
pub(crate) fn optimizer_tensors(
    optimizer: &Optimizer,
    parameter: &Parameter,
    gather: impl Fn(&Tensor) -> Result<Tensor, Error>,
) -> Result<Vec<(String, Tensor)>, Error> {
    let name = parameter.name();
    let failed = |source| StateProblem::Tensor { name: name.to_owned(), source };
    let Some(state) = optimizer.state(name).map_err(failed)? else { return Ok(Vec::new()) };
    let step = Tensor::new(&[number(state.step)], &Device::Cpu).map_err(failed)?;
    let mut all = vec![(format!("{name}/{STEP}"), step)];
    for (part, tensor) in state.tensors {
        all.push((format!("{name}/{part}"), gather(&tensor)?));
    }
    Ok(all)
}

/// Writes the file of rank `index`; it is on disk when this returns.
pub(crate) fn write_optimizer(
    checkpoint: &Path,
    index: usize,
    num_ranks: usize,
    tensors: Vec<(String, Tensor)>,
) -> Result<(), Error> {
    let name = format!("{STEM}{:05}-of-{num_ranks:05}{END}", index + 1);
    let path = folder(checkpoint).join(name);
    safetensors::serialize_to_file(tensors, None, &path)
        .map_err(|source| StateProblem::Save { path: path.clone(), source })?;
    let sync = File::options().write(true).open(&path).and_then(|file| file.sync_all());
    Ok(sync.map_err(|source| StateProblem::Write { path: path.clone(), source })?)
}

/// What an optimiser has left in a checkpoint: names and places, no numbers.
#[derive(Clone, Debug)]
pub(crate) struct SavedOptimizer {
    files: Vec<Checkpoint>,
    /// The file of each tensor.
    places: BTreeMap<String, usize>,
}

impl SavedOptimizer {
    pub(crate) fn open(checkpoint: &Path) -> Result<Self, Error> {
        let folder = folder(checkpoint);
        let unreadable = |source| StateProblem::Read { path: folder.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            if let Some(name) = name.to_str()
                && name.starts_with(STEM)
                && name.ends_with(END)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        // Every name says how many there are.
        let expected = names.last().and_then(|name| {
            name.trim_end_matches(END).rsplit_once("-of-").and_then(|(_, of)| of.parse().ok())
        });
        let found = names.len();
        if expected != Some(found) {
            let expected = expected.unwrap_or(1);
            return Err(StateProblem::Files { folder, found, expected }.into());
        }
        let mut files = Vec::new();
        let mut places = BTreeMap::new();
        for name in names {
            let file = Checkpoint::open_file(&folder, &name)?;
            places.extend(file.names().map(|name| (name.to_owned(), files.len())));
            files.push(file);
        }
        Ok(Self { files, places })
    }

    /// Gives an optimiser what is remembered of a parameter under the name `saved`, if anything is:
    /// before its first step there is nothing.
    pub(crate) fn load(
        &self,
        optimizer: &mut Optimizer,
        parameter: &Parameter,
        saved: &str,
    ) -> Result<(), Error> {
        let prefix = format!("{saved}/");
        let mut step = None;
        let mut tensors = BTreeMap::new();
        let own = self.places.range(prefix.clone()..);
        for (full, &place) in own.take_while(|(full, _)| full.starts_with(&prefix)) {
            let part = &full[prefix.len()..];
            let tensor = self.files[place].read(full, DType::F32, parameter.device())?;
            if part == STEP {
                let failed = |source| StateProblem::Tensor { name: full.clone(), source };
                let steps =
                    tensor.flatten_all().and_then(|steps| steps.to_vec1()).map_err(failed)?;
                step = steps.first().copied().map(count);
            } else {
                let failed = |source| StateProblem::Tensor { name: full.clone(), source };
                let own = parameter.own_part(&tensor).map_err(|error| failed(error.into()))?;
                tensors.insert(part.to_owned(), own);
            }
        }
        let Some(step) = step else { return Ok(()) };
        let failed = |source| StateProblem::Tensor { name: saved.to_owned(), source };
        Ok(optimizer.load_state(parameter, &State { step, tensors }).map_err(failed)?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "as torch: a run has fewer than 2^24 steps")]
fn number(step: u32) -> f32 {
    step as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of steps; what is none becomes the nearest that is"
)]
fn count(step: f32) -> u32 {
    step as u32
}
