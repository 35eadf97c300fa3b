//! From text to tokens and back: by a `tokenizer.json`, or byte by byte.

mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::data::VOCAB_SIZE;
use crate::train::read_regular;
pub use stream::TextStream;

/// Hugging Face's file of everything that a tokenizer does.
const FILE: &str = "tokenizer.json";

/// Files of tokenizers that are not read. A model that comes with one means no bytes.
const OTHERS: [&str; 4] = ["tokenizer.model", "vocab.json", "vocab.txt", "tekken.json"];

/// How a model's text becomes tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Tokenizer {
    /// A token is a byte, as in [training data](crate::data).
    Bytes,
    /// As `tokenizer.json` says.
    HuggingFace(Box<tokenizers::Tokenizer>),
}

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerProblem {
    /// The file cannot be read.
    #[error("cannot read the tokenizer `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file describes none.
    #[error("`{}` is no tokenizer: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: tokenizers::Error,
    },
    /// A tokenizer in another form.
    #[error(
        "the tokenizer in `{}` is in the form of `{file}`, which is not read; save it as \
         `tokenizer.json` (transformers' fast tokenizers do)",
        folder.display()
    )]
    OtherForm {
        /// The model's folder.
        folder: PathBuf,
        /// What is in it.
        file: &'static str,
    },
    /// A text cannot be made into tokens, or tokens into text.
    #[error("the tokenizer cannot {task}: {source}")]
    Run {
        /// What it was to do.
        task: &'static str,
        /// What it says.
        source: tokenizers::Error,
    },
}

impl Tokenizer {
    /// The tokenizer of a model's folder: its `tokenizer.json`, or bytes where there is none.
    ///
    /// # Errors
    /// If the file is not a tokenizer, or the folder has one in another form.
    pub fn open(folder: &Path) -> Result<Self, TokenizerProblem> {
        let path = folder.join(FILE);
        if !path.exists() {
            let other = OTHERS.into_iter().find(|file| folder.join(file).exists());
            return match other {
                Some(file) => Err(TokenizerProblem::OtherForm { folder: folder.to_owned(), file }),
                None => Ok(Self::Bytes),
            };
        }
        let bytes = read_regular(&path)
            .map_err(|source| TokenizerProblem::Read { path: path.clone(), source })?;
        let format = |source| TokenizerProblem::Format { path: path.clone(), source };
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(format)?;
        // Those are for batches of a training run; a prompt is taken as it is.
        tokenizer.with_truncation(None).map_err(format)?.with_padding(None);
        Ok(Self::HuggingFace(Box::new(tokenizer)))
    }

    /// The tokens of a text, with what the tokenizer puts before every text.
    ///
    /// # Errors
    /// If the tokenizer has no token for some of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerProblem> {
        match self {
            Self::Bytes => Ok(text.bytes().map(u32::from).collect()),
            Self::HuggingFace(tokenizer) => {
                let failed = |source| TokenizerProblem::Run { task: "read the text", source };
                Ok(tokenizer.encode_fast(text, true).map_err(failed)?.get_ids().to_vec())
            }
        }
    }

    /// How many tokens make text; `None` for all that the model has.
    pub fn num_tokens(&self) -> Option<usize> {
        match self {
            Self::Bytes => Some(VOCAB_SIZE),
            Self::HuggingFace(_) => None,
        }
    }
}
