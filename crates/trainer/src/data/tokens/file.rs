//! One file of tokens: where in it they are, and how they are written.

use std::ops::Range;
use std::path::{Path, PathBuf};

use autopipe_config::TokenDtype;
use safetensors::{Dtype, SafeTensors};

use super::TokensProblem;
use super::map::Mapped;
use crate::data::CorpusProblem;

/// The names that the tensor of tokens may have, in the order in which they are looked for.
const NAMES: [&str; 2] = ["tokens", "input_ids"];

/// A file of tokens that can be read.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    pub(super) path: PathBuf,
    map: Mapped,
    /// Where the tokens are in the file.
    bytes: Range<usize>,
    width: Width,
}

/// How a token is written; little-endian, as everything that writes such files does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    U8,
    U16,
    U32,
    I32,
    I64,
}

impl Width {
    fn num_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// Calls `each` with every number.
    fn decode(self, bytes: &[u8], each: impl FnMut(i64)) {
        fn chunks<const N: usize>(
            bytes: &[u8],
            number: impl Fn([u8; N]) -> i64,
            each: impl FnMut(i64),
        ) {
            bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).for_each(each);
        }
        match self {
            Self::U8 => chunks(bytes, |[byte]| byte.into(), each),
            Self::U16 => chunks(bytes, |bytes| u16::from_le_bytes(bytes).into(), each),
            Self::U32 => chunks(bytes, |bytes| u32::from_le_bytes(bytes).into(), each),
            Self::I32 => chunks(bytes, |bytes| i32::from_le_bytes(bytes).into(), each),
            Self::I64 => chunks(bytes, i64::from_le_bytes, each),
        }
    }
}

impl TokenFile {
    /// Opens a file that has at least one byte; `dtype` is that of raw tokens.
    pub(super) fn open(path: &Path, dtype: TokenDtype) -> Result<Self, CorpusProblem> {
        let path = path.to_owned();
        match extension(&path) {
            Some(Extension::Bin) => Ok(Self::raw(path, dtype)?),
            Some(Extension::Safetensors) => Self::tensor(path),
            None => Err(TokensProblem::Extension { path }.into()),
        }
    }

    fn raw(path: PathBuf, dtype: TokenDtype) -> Result<Self, CorpusProblem> {
        let map = mapped(&path)?;
        let width = match dtype {
            TokenDtype::Uint16 => Width::U16,
            TokenDtype::Uint32 => Width::U32,
        };
        let num_bytes = map.num_bytes();
        if !num_bytes.is_multiple_of(width.num_bytes()) {
            let (num_bytes, token_bytes) = (num_bytes as u64, width.num_bytes() as u64);
            return Err(TokensProblem::Odd { path, num_bytes, token_bytes }.into());
        }
        Ok(Self { path, map, bytes: 0..num_bytes, width })
    }

    fn tensor(path: PathBuf) -> Result<Self, CorpusProblem> {
        let map = mapped(&path)?;
        let unreadable = |source| CorpusProblem::Unreadable { path: path.clone(), source };
        let format = |source| TokensProblem::Format { path: path.clone(), source };
        let bytes = map.bytes(&path).map_err(unreadable)?;
        let (header_len, metadata) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let found = NAMES.iter().find_map(|&name| metadata.info(name).map(|info| (name, info)));
        let Some((name, info)) = found else {
            let mut names: Vec<String> = metadata.tensors().into_keys().collect();
            names.sort_unstable();
            return Err(TokensProblem::Missing { path, names }.into());
        };
        let width = match info.dtype {
            Dtype::U8 => Width::U8,
            Dtype::U16 => Width::U16,
            Dtype::U32 => Width::U32,
            Dtype::I32 => Width::I32,
            Dtype::I64 => Width::I64,
            other => {
                let dtype = other.to_string();
                return Err(TokensProblem::DType { path, name, dtype }.into());
            }
        };
        if info.shape.len() != 1 {
            let dims = info.shape.clone();
            return Err(TokensProblem::Shape { path, name, dims }.into());
        }
        // The header's own length stands in front of it, in eight bytes. That all tensors lie within
        // the file has been looked at.
        let start = size_of::<u64>() + header_len;
        let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
        Ok(Self { path, map, bytes, width })
    }

    /// Whether it is nothing but tokens.
    pub(super) fn is_raw(&self) -> bool {
        extension(&self.path) == Some(Extension::Bin)
    }

    pub(super) fn num_tokens(&self) -> usize {
        self.bytes.len() / self.width.num_bytes()
    }

    /// How many bytes the file had when it was opened.
    pub(super) fn num_bytes(&self) -> u64 {
        self.map.num_bytes() as u64
    }

    /// Calls `each` with the numbers of these tokens. The caller keeps to
    /// [`num_tokens`](Self::num_tokens): there are none beyond.
    pub(super) fn read(&self, tokens: Range<usize>, each: impl FnMut(i64)) -> std::io::Result<()> {
        let width = self.width.num_bytes();
        let all = self.map.bytes(&self.path)?.get(self.bytes.clone()).unwrap_or_default();
        let bytes = all.get(tokens.start * width..tokens.end * width).unwrap_or_default();
        self.width.decode(bytes, each);
        Ok(())
    }
}

/// How a file of tokens is written, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Bin,
    Safetensors,
}

fn extension(path: &Path) -> Option<Extension> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "bin" => Some(Extension::Bin),
        "safetensors" => Some(Extension::Safetensors),
        _ => None,
    }
}

/// Whether a file of this name holds tokens.
pub(in crate::data) fn is_token_file(path: &Path) -> bool {
    extension(path).is_some()
}

fn mapped(path: &Path) -> Result<Mapped, CorpusProblem> {
    let unreadable = |source| CorpusProblem::Unreadable { path: path.to_owned(), source };
    Mapped::open(path).map_err(unreadable)
}
