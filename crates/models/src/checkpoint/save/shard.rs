//! One rank's part of a checkpoint: a safetensors file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use autopipe_nn::{Parameter, Parameters};
use safetensors::tensor::{Metadata, TensorInfo};

use crate::Error;
use crate::checkpoint::SINGLE_FILE;

/// The file of shard `index`, counted from 0: `model-00001-of-00004.safetensors` is the first of
/// four, `model.safetensors` the only one.
pub(super) fn file_name(index: usize, num_shards: usize) -> String {
    match num_shards {
        1 => SINGLE_FILE.to_owned(),
        _ => format!("model-{:05}-of-{num_shards:05}.safetensors", index + 1),
    }
}

/// Writes the parameters of one rank's stages to `folder` as shard `index` of `num_shards`, counted
/// from 0, bit by bit as they are, and waits until they are on disk.
///
/// Holds one tensor in memory beyond the parameters.
///
/// # Errors
/// If `index` is not below `num_shards`, a name occurs twice, or a file cannot be written.
pub fn write_shard(
    folder: &Path,
    index: usize,
    num_shards: usize,
    parameters: &[&Parameters],
) -> Result<(), Error> {
    if index >= num_shards {
        return Err(Error::Shard { index, num_shards });
    }
    let path = folder.join(file_name(index, num_shards));
    let mut parameters: Vec<&Parameter> = parameters.iter().copied().flatten().collect();
    parameters.sort_by(|a, b| a.name().cmp(b.name()));
    if let Some(pair) = parameters.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
        return Err(Error::SavedTwice { name: pair[0].name().to_owned() });
    }
    let header = header(&parameters, &path)?;

    let failed = |source| Error::Write { path: path.clone(), source };
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    file.write_all(&header).map_err(failed)?;
    for parameter in parameters {
        parameter
            .value()
            .write_bytes(&mut file)
            .map_err(|source| Error::Save { name: parameter.name().to_owned(), source })?;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// Names, dtypes, shapes and places, padded so that the data behind it is aligned.
fn header(parameters: &[&Parameter], path: &Path) -> Result<Vec<u8>, Error> {
    let mut end = 0;
    let infos = parameters.iter().map(|parameter| {
        let start = end;
        end += parameter.num_elements() * parameter.dtype().size_in_bytes();
        let info = TensorInfo {
            dtype: parameter.dtype().into(),
            shape: parameter.shape().dims().to_vec(),
            data_offsets: (start, end),
        };
        (parameter.name().to_owned(), info)
    });
    // transformers wants to be told whose tensors these are: torch's, in its layout.
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let header = Metadata::new(Some(format), infos.collect());
    let mut text = serde_json::to_vec(
        &header.map_err(|source| Error::Header { path: path.to_owned(), source })?,
    )
    .map_err(|source| Error::Json { path: path.to_owned(), source })?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}
