//! A model's folder written anew: with adapters merged into it, or in another type.

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use autopipe_config::DType;
use autopipe_models::checkpoint::save::{begin, commit};
use autopipe_models::{self as models, AutoModel, Lora, load_folder_with, read_config};

use crate::Error;
use crate::train::{candle_dtype, saved_dtype};
use crate::whole::write_whole;

/// What is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A Hugging Face folder with weights.
    pub model: PathBuf,
    /// A folder of adapters to be merged into them.
    pub adapter: Option<PathBuf>,
    /// The type that weights are written in; `None` for the one that they have.
    pub dtype: Option<DType>,
    /// The folder to be made, with weights in one file. It must not have anything in it.
    pub output: PathBuf,
}

/// What has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The type of the weights.
    pub dtype: DType,
    /// How many numbers there are.
    pub num_parameters: usize,
}

/// Writes the model's folder anew. It appears at its place when it is whole. The model is in memory
/// meanwhile; adapters are added in float32, and each number is rounded once to the type that the
/// sum is written in.
///
/// # Errors
/// If model or adapters cannot be read or do not fit each other, nothing is trained or saved in the
/// type, the output has something in it, or it cannot be written.
pub fn export(options: &Options) -> Result<Exported, Error> {
    let Options { model: folder, adapter, output, .. } = options;
    if is_in_use(output) {
        return Err(Error::OutputInUse { path: output.clone() });
    }
    let dtype = match options.dtype {
        Some(dtype) => dtype,
        None => saved_dtype(&read_config(folder)?),
    };
    let model = load(folder, adapter.as_deref(), dtype)?;
    let partial = begin(output)?;
    write_whole(&model, &partial)?;
    commit(&partial, output)?;
    Ok(Exported { dtype, num_parameters: model.num_parameters() })
}

fn load(folder: &Path, adapter: Option<&Path>, dtype: DType) -> Result<AutoModel, Error> {
    if dtype == DType::Float64 {
        return Err(Error::Precision { dtype });
    }
    let lora = adapter.map(Lora::load).transpose()?;
    let options = models::Options { dtype: candle_dtype(dtype), lora, ..Default::default() };
    Ok(load_folder_with(folder, options)?)
}

/// Whether something would be lost if the folder were replaced.
fn is_in_use(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        // What is there and no folder is somebody's file.
        Err(_) => folder.symlink_metadata().is_ok(),
    }
}
