//! A checkpoint folder in Hugging Face's layout: which tensors it has, and where.
//!
//! Opening reads the headers only. A stage then reads its own tensors one by one, so that a rank's
//! peak memory is its stage and one tensor more, however large the checkpoint is.

mod file;
mod finite;
mod index;
mod problem;
pub mod save;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::{Error, json};
use file::WeightFile;
pub use problem::CheckpointProblem;

/// The only file of a checkpoint with one.
pub(crate) const SINGLE_FILE: &str = "model.safetensors";

/// Which tensor is in which file, if there are several.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

pub(crate) const CONFIG_FILE: &str = "config.json";
pub(crate) const GENERATION_FILE: &str = "generation_config.json";

/// The files in which transformers keeps a tokenizer.
pub(crate) const TOKENIZER_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

/// An open checkpoint: the headers of its weight files, found to be whole.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<WeightFile>,
    /// The file of each tensor, by its place in `files`.
    tensors: BTreeMap<String, usize>,
    generation_config: Option<Value>,
}

impl Checkpoint {
    /// Reads the headers of the weights in `folder`: `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// If there are no weights, or everything that is wrong with the files, all at once.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (names, weight_map) = index::weight_files(folder)?;
        Self::open_files(folder, names, weight_map.as_ref())
    }

    /// Reads the header of one safetensors file in `folder`.
    ///
    /// # Errors
    /// If it cannot be read, or is not whole.
    pub fn open_file(folder: &Path, name: &str) -> Result<Self, Error> {
        Self::open_files(folder, [name.to_owned()].into(), None)
    }

    fn open_files(
        folder: &Path,
        names: BTreeSet<String>,
        weight_map: Option<&index::WeightMap>,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut files = Vec::new();
        for name in names {
            match WeightFile::open(folder, &name) {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            }
        }
        // With a file missing, half of the index would be reported as well.
        if problems.is_empty() {
            problems = index::disagreements(&files, weight_map);
        }
        if !problems.is_empty() {
            return Err(Error::Checkpoint { folder: folder.to_owned(), problems });
        }
        let places = files.iter().enumerate();
        let tensors = places
            .flat_map(|(place, file)| file.names().into_iter().map(move |name| (name, place)))
            .collect();
        let generation = folder.join(GENERATION_FILE);
        let generation_config =
            if generation.exists() { Some(json::read(&generation)?) } else { None };
        Ok(Self { folder: folder.to_owned(), files, tensors, generation_config })
    }

    /// The folder it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The content of `generation_config.json`, if there is one.
    pub fn generation_config(&self) -> Option<&Value> {
        self.generation_config.as_ref()
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether the checkpoint has exactly the tensors `expected`, by name and shape, in dtypes that
    /// can be read; those that are `optional` may be there and are passed over.
    ///
    /// Tables that other programs save although they are computed (`rotary_emb.inv_freq`) do not
    /// count.
    ///
    /// # Errors
    /// Everything that does not fit, all at once.
    pub fn check<'a>(
        &self,
        expected: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        optional: &[&str],
    ) -> Result<(), Error> {
        let expected: BTreeMap<&str, &[usize]> = expected.into_iter().collect();
        let mut problems = Vec::new();
        for (&name, &shape) in &expected {
            match self.tensors.get(name) {
                Some(&place) => problems.extend(self.files[place].misfit(name, shape)),
                None => problems.push(CheckpointProblem::Missing { tensor: name.to_owned() }),
            }
        }
        for (name, &place) in &self.tensors {
            let is_known = expected.contains_key(name.as_str());
            if !is_known && !is_computed(name) && !optional.contains(&name.as_str()) {
                let (file, tensor) = (self.files[place].name().to_owned(), name.clone());
                problems.push(CheckpointProblem::Extra { file, tensor });
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Checkpoint { folder: self.folder.clone(), problems })
        }
    }

    /// Reads one tensor and converts it to `dtype` on `device`.
    ///
    /// # Errors
    /// If there is no such tensor, or its file cannot be read any more.
    pub fn read(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor, Error> {
        let Some(&place) = self.tensors.get(name) else {
            let problems = vec![CheckpointProblem::Missing { tensor: name.to_owned() }];
            return Err(Error::Checkpoint { folder: self.folder.clone(), problems });
        };
        self.files[place].read(name, dtype, device)
    }

    /// As [`read`](Self::read), and if `is_checked` refuses numbers that are not finite.
    pub(crate) fn read_checked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
        is_checked: bool,
    ) -> Result<Tensor, Error> {
        if !is_checked {
            return self.read(name, dtype, device);
        }
        // All dtypes that weights come in fit in this one, but not in every one that they are
        // converted to.
        let stored = self.read(name, DType::F32, device)?;
        let failed = |source| Error::Parameter { name: name.to_owned(), source };
        let tensor = stored.to_dtype(dtype).map_err(failed)?;
        let problem = match self.not_finite(name, &stored)? {
            None => self.not_finite(name, &tensor)?.map(|problem| problem.converted_to(dtype)),
            found => found,
        };
        match problem {
            Some(problem) => {
                Err(Error::Checkpoint { folder: self.folder.clone(), problems: vec![problem] })
            }
            None => Ok(tensor),
        }
    }
}

/// The names of the files that the weights in `folder` are in, or should be by their index.
pub(crate) fn weight_files(folder: &Path) -> Result<BTreeSet<String>, Error> {
    Ok(index::weight_files(folder)?.0)
}

/// Whether a saved tensor is no weight but a table computed from the config.
fn is_computed(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq") || name.ends_with("rotary_emb.original_inv_freq")
}
