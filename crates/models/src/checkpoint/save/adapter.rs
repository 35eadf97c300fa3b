//! The one file that PEFT loads, made of those that the ranks have written.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::shard::text;
use crate::checkpoint::file::WeightFile;
use crate::lora::{ADAPTER_CONFIG, ADAPTER_FILE};
use crate::{AutoModel, Error, Lora, WeightSource, json};

/// Joins the ranks' files, writes `adapter_config.json`, and loads both as a reader would.
pub(super) fn finish(folder: &Path, model: &AutoModel, shards: &[WeightFile]) -> Result<(), Error> {
    let lora = model.options().lora.as_ref().ok_or(Error::NoAdapters)?;
    if shards.len() > 1 {
        join(&folder.join(ADAPTER_FILE), shards)?;
        for shard in shards {
            let path = shard.path().to_owned();
            fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
        }
    }
    let base = match model.weights() {
        WeightSource::Folder(checkpoint) => checkpoint.folder().to_str(),
        WeightSource::Random { .. } => None,
    };
    let decoder = model.decoder();
    let config = lora.config_json(decoder.adapted(), &decoder.trained_whole(), base);
    json::write(&folder.join(ADAPTER_CONFIG), &config)?;
    match Lora::load(folder)?.weights {
        crate::AdapterWeights::Saved(adapter) => adapter.check(&model.decoder().planned()),
        crate::AdapterWeights::Random { .. } => Ok(()),
    }
}

/// Writes the tensors of several files into one, without reading any as a whole.
fn join(path: &Path, shards: &[WeightFile]) -> Result<(), Error> {
    let mut end = 0;
    let infos = shards.iter().flat_map(WeightFile::tensors).map(|(name, info)| {
        let start = end;
        end += info.data_offsets.1 - info.data_offsets.0;
        let info = TensorInfo { data_offsets: (start, end), ..info.clone() };
        (name, info)
    });
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let header = Metadata::new(Some(format), infos.collect());
    let header = header.map_err(|source| Error::Header { path: path.to_owned(), source })?;
    let header = text(&header, path)?;
    let write = || -> io::Result<()> {
        let mut joined = BufWriter::new(File::create(path)?);
        joined.write_all(&(header.len() as u64).to_le_bytes())?;
        joined.write_all(&header)?;
        for shard in shards {
            let mut data = BufReader::new(File::open(shard.path())?);
            data.seek(SeekFrom::Start(shard.data_start()))?;
            io::copy(&mut data, &mut joined)?;
        }
        joined.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}
