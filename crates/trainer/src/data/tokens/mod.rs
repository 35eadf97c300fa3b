//! Files of tokens, read as one row without holding them in memory.
//!
//! A `.bin` file is nothing but tokens, each of two or four bytes, little-endian. That is what
//! nanoGPT's and Megatron-LM's scripts write (the latter with an `.idx` beside it, which is not
//! needed here); documents follow each other, and whatever ends one is among the tokens. A
//! `.safetensors` file has them as a tensor of one dimension, `tokens` or `input_ids`, of type U8,
//! U16, U32, I32 or I64.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use autopipe_config::TokenDtype;

use super::corpus::{layout, measure};
use super::find::find;
use super::{CorpusProblem, LoaderProblem};
use crate::Error;
use file::TokenFile;
pub(super) use file::is_token_file;
pub use problem::TokensProblem;

mod file;
mod map;
mod problem;

/// Vocabularies up to this one have tokens of two bytes, unless told otherwise.
const MAX_UINT16_VOCAB_SIZE: usize = 1 << 16;

/// Files of tokens, one after the other with nothing between them.
///
/// They are mapped into memory, so that clones share them.
#[derive(Clone, Debug)]
pub struct TokenFiles {
    files: Arc<[TokenFile]>,
    /// The offset of each file's first token among all; ascending, the first is 0.
    starts: Arc<[u64]>,
    num_tokens: u64,
    num_empty: usize,
}

impl TokenFiles {
    /// Opens the files that `patterns` match, as [`Corpus::open`](super::Corpus::open) does.
    ///
    /// Raw tokens are of type `dtype`; without it of 16 bits, unless a vocabulary of `vocab_size`
    /// needs more.
    ///
    /// # Errors
    /// Everything that is wrong at once: patterns, files that cannot be read, or are not in the form
    /// that their names say, or nothing but empty files.
    pub fn open(
        patterns: &[impl AsRef<str>],
        base_dir: &Path,
        dtype: Option<TokenDtype>,
        vocab_size: usize,
    ) -> Result<Self, Error> {
        let is_narrow = vocab_size <= MAX_UINT16_VOCAB_SIZE;
        let usual = if is_narrow { TokenDtype::Uint16 } else { TokenDtype::Uint32 };
        let dtype = dtype.unwrap_or(usual);
        let (paths, mut problems) = find(patterns, base_dir);
        let (mut files, mut empty) = (Vec::new(), Vec::new());
        for path in paths {
            match measure(&path) {
                Ok(0) => empty.push(path),
                Ok(_) => match TokenFile::open(&path, dtype) {
                    Ok(file) if file.num_tokens() == 0 => empty.push(path),
                    Ok(file) => files.push(file),
                    Err(problem) => problems.push(problem),
                },
                Err(source) => problems.push(CorpusProblem::Unreadable { path, source }),
            }
        }
        let num_empty = empty.len();
        if files.is_empty() && problems.is_empty() {
            problems.extend(empty.into_iter().map(|path| CorpusProblem::Empty { path }));
        }
        let layout = layout(files.iter().map(|file| file.num_tokens() as u64), 0);
        match layout {
            Some((starts, num_tokens)) if problems.is_empty() => {
                Ok(Self { files: files.into(), starts: starts.into(), num_tokens, num_empty })
            }
            Some(_) => Err(Error::Corpus(problems)),
            None => {
                problems.push(CorpusProblem::TooLong);
                Err(Error::Corpus(problems))
            }
        }
    }

    /// How many tokens there are.
    pub fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// How many files they are in.
    pub fn num_files(&self) -> usize {
        self.files.len()
    }

    /// Whether any of them is nothing but tokens, so that their type has to be known.
    pub(super) fn has_raw(&self) -> bool {
        self.files.iter().any(TokenFile::is_raw)
    }

    /// How many files matched and were left out because there is nothing in them.
    pub fn num_empty(&self) -> usize {
        self.num_empty
    }

    /// Puts `len` tokens from `offset` on behind those of `tokens`. The caller keeps to
    /// [`num_tokens`](Self::num_tokens): there are none beyond.
    ///
    /// # Errors
    /// If a file has become shorter, or has a token that is not below `vocab_size`.
    pub(super) fn read(
        &self,
        offset: u64,
        len: usize,
        vocab_size: usize,
        tokens: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let first = self.starts.partition_point(|&start| start <= offset).saturating_sub(1);
        let mut rest = len;
        let mut offset = offset;
        for (file, start) in self.files.iter().zip(&*self.starts).skip(first) {
            if rest == 0 {
                break;
            }
            // Within a file that is mapped, so that it fits.
            let within = usize::try_from(offset - start).unwrap_or(usize::MAX);
            let taken = file.num_tokens().saturating_sub(within).min(rest);
            read_file(file, within, taken, vocab_size, tokens)?;
            rest -= taken;
            offset += taken as u64;
        }
        Ok(())
    }
}

/// Puts tokens of one file behind those of `tokens`.
fn read_file(
    file: &TokenFile,
    start: usize,
    len: usize,
    vocab_size: usize,
    tokens: &mut Vec<u32>,
) -> Result<(), Error> {
    let mut number = start;
    let mut wrong: Option<(usize, i64)> = None;
    let read = file.read(start..start + len, |token| {
        match u32::try_from(token) {
            Ok(known) if (known as usize) < vocab_size => tokens.push(known),
            _ => {
                wrong.get_or_insert((number, token));
            }
        }
        number += 1;
    });
    let path: PathBuf = file.path.clone();
    read.map_err(|source| Error::ReadCorpus {
        path: path.clone(),
        num_bytes: file.num_bytes(),
        source,
    })?;
    match wrong {
        None => Ok(()),
        Some((offset, token)) => {
            Err(LoaderProblem::Token { path, offset: offset as u64, token, vocab_size }.into())
        }
    }
}

#[cfg(test)]
mod tests;
