//! One safetensors file: its header in memory, its tensors on disk until they are asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::CheckpointProblem;
use crate::Error;

/// Bytes of the header's length at the beginning of a file.
const LENGTH_SIZE: u64 = 8;

/// The longest header that safetensors' own reader takes.
const MAX_HEADER: u64 = 100_000_000;

/// A file whose header is whole and whose length is what the header promises.
#[derive(Clone, Debug)]
pub(super) struct WeightFile {
    path: PathBuf,
    name: String,
    /// Where the header ends and the data begins.
    data_start: u64,
    header: Metadata,
}

impl WeightFile {
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self, CheckpointProblem> {
        let path = folder.join(name);
        let unreadable = |error: std::io::Error| CheckpointProblem::Unreadable {
            file: name.to_owned(),
            reason: error.to_string(),
        };
        let damaged = |reason: String| CheckpointProblem::Header { file: name.to_owned(), reason };

        let mut file = File::open(&path).map_err(unreadable)?;
        let actual = file.metadata().map_err(unreadable)?.len();
        if actual < LENGTH_SIZE {
            return Err(damaged(format!("it has {actual} bytes, fewer than any such file")));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(unreadable)?;
        let length = u64::from_le_bytes(length);
        // Before anything is allocated for it.
        if length > MAX_HEADER || length > actual - LENGTH_SIZE {
            return Err(damaged(format!(
                "its header would have {length} bytes, the file has {actual}"
            )));
        }
        let mut text = Vec::new();
        file.take(length).read_to_end(&mut text).map_err(unreadable)?;
        let header: Metadata =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let data_start = LENGTH_SIZE + length;
        let expected = data_start.saturating_add(header.data_len() as u64);
        if actual != expected {
            return Err(CheckpointProblem::Length { file: name.to_owned(), expected, actual });
        }
        Ok(Self { path, name: name.to_owned(), data_start, header })
    }

    /// The file's name within the checkpoint.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the header ends and the data begins.
    pub(super) fn data_start(&self) -> u64 {
        self.data_start
    }

    /// The names of its tensors, in the order of their data.
    pub(super) fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Its tensors, in the order of their data.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (String, &TensorInfo)> {
        self.names().into_iter().filter_map(|name| self.info(&name).map(|info| (name, info)))
    }

    pub(super) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name)
    }

    /// Whether there is such a tensor, of numbers that weights come in.
    pub(super) fn is_readable(&self, name: &str) -> bool {
        self.info(name).is_some_and(|info| readable(info.dtype).is_some())
    }

    /// What keeps a tensor of this file from being the parameter of the given shape.
    pub(super) fn misfit(&self, tensor: &str, expected: &[usize]) -> Vec<CheckpointProblem> {
        let Some(info) = self.info(tensor) else { return Vec::new() };
        let (file, tensor) = (self.name.clone(), tensor.to_owned());
        let mut problems = Vec::new();
        if info.shape != expected {
            problems.push(CheckpointProblem::Shape {
                file: file.clone(),
                tensor: tensor.clone(),
                expected: expected.to_vec(),
                actual: info.shape.clone(),
            });
        }
        if readable(info.dtype).is_none() {
            problems.push(CheckpointProblem::Dtype { file, tensor, dtype: info.dtype.to_string() });
        }
        problems
    }

    /// Reads one tensor and converts it.
    pub(super) fn read(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor, Error> {
        let problem = |problem| Error::Checkpoint {
            folder: self.path.parent().map(Path::to_owned).unwrap_or_default(),
            problems: vec![problem],
        };
        let Some(info) = self.info(name) else {
            return Err(problem(CheckpointProblem::Missing { tensor: name.to_owned() }));
        };
        let Some(stored) = readable(info.dtype) else {
            let (file, tensor) = (self.name.clone(), name.to_owned());
            return Err(problem(CheckpointProblem::Dtype {
                file,
                tensor,
                dtype: info.dtype.to_string(),
            }));
        };
        let bytes =
            self.bytes(info).map_err(|source| Error::Read { path: self.path.clone(), source })?;
        let failed = |source| Error::Parameter { name: name.to_owned(), source };
        let tensor =
            Tensor::from_raw_buffer(&bytes, stored, &info.shape, device).map_err(failed)?;
        drop(bytes); // the conversion needs room for two copies, not three
        tensor.to_dtype(dtype).map_err(failed)
    }

    fn bytes(&self, info: &TensorInfo) -> std::io::Result<Vec<u8>> {
        let (start, end) = info.data_offsets;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.data_start + start as u64))?;
        let mut bytes = vec![0; end - start];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The dtype to read weights as, `None` if they do not come in it.
fn readable(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F16 => Some(DType::F16),
        // An open list, grown by safetensors: quantized, integer, complex, double.
        _ => None,
    }
}
