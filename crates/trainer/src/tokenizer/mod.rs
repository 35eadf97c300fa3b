//! From text to tokens and back: by a `tokenizer.json`, or byte by byte.

mod special;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::data::VOCAB_SIZE;
use crate::train::read_regular;
pub(crate) use special::{END, SpecialTokens};
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
    /// There is no tokenizer where the recipe says that there is one.
    #[error("there is no tokenizer at `{}`; name a tokenizer.json, or a folder that has one", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file about a tokenizer is no JSON.
    #[error("`{}` is no JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops to be.
        source: serde_json::Error,
    },
    /// A value in such a file is of another kind.
    #[error("`{key}` of `{}` is {found}; it is {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The value's key.
        key: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A special token that the tokenizer does not have.
    #[error("`{key}` of `{}` is `{token}`, which is no token of its tokenizer", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The key, such as `eos_token`.
        key: String,
        /// The token.
        token: String,
    },
    /// Nothing says how a text ends.
    #[error(
        "nothing in `{}` says which token ends a text; name it as `eos_token` in its \
         tokenizer_config.json",
        folder.display()
    )]
    NoEnd {
        /// The tokenizer's folder.
        folder: PathBuf,
    },
    /// A chat template that is none.
    #[error("the chat template `{}` cannot be read: {reason}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Messages, and nothing that says how to write them.
    #[error(
        "the data has messages, and the model no chat template to write them with; give a file that \
         has one as `chat_template`"
    )]
    NoTemplate,
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
        Self::open_file(&path)
    }

    /// The tokenizer in a file of the form of `tokenizer.json`.
    ///
    /// # Errors
    /// If the file is not a tokenizer.
    pub fn open_file(path: &Path) -> Result<Self, TokenizerProblem> {
        let bytes = read_regular(path)
            .map_err(|source| TokenizerProblem::Read { path: path.to_owned(), source })?;
        let format = |source| TokenizerProblem::Format { path: path.to_owned(), source };
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
                Ok(tokenizer.encode_fast(text, true).map_err(unreadable)?.get_ids().to_vec())
            }
        }
    }

    /// The tokens of a text, and nothing before or after them.
    pub(crate) fn encode_plain(&self, text: &str) -> Result<Vec<u32>, TokenizerProblem> {
        match self {
            Self::Bytes => self.encode(text),
            Self::HuggingFace(tokenizer) => {
                Ok(tokenizer.encode_fast(text, false).map_err(unreadable)?.get_ids().to_vec())
            }
        }
    }

    /// The tokens of a text, and nothing before or after them, each with the bytes that it stands for.
    ///
    /// Bytes that a tokenizer counts to no token, as many do with blanks, belong to the token behind
    /// them.
    pub(crate) fn encode_with_places(
        &self,
        text: &str,
    ) -> Result<Vec<(u32, Range<usize>)>, TokenizerProblem> {
        match self {
            Self::Bytes => {
                Ok(text.bytes().zip(0..).map(|(byte, at)| (byte.into(), at..at + 1)).collect())
            }
            Self::HuggingFace(tokenizer) => {
                let encoding = tokenizer.encode(text, false).map_err(unreadable)?;
                let mut end = 0;
                let places = encoding.get_ids().iter().zip(encoding.get_offsets());
                let whole = |(&token, &(start, stop)): (&u32, &(usize, usize))| {
                    let place = start.min(end)..stop;
                    end = end.max(stop);
                    (token, place)
                };
                Ok(places.map(whole).collect())
            }
        }
    }

    /// The tokens that stand before every text.
    pub(crate) fn beginning(&self) -> Result<Vec<u32>, TokenizerProblem> {
        match self {
            Self::Bytes => Ok(Vec::new()),
            Self::HuggingFace(tokenizer) => {
                // Of a text, because around nothing it would not be known what is before and after.
                let encoding = tokenizer.encode_fast("a", true).map_err(unreadable)?;
                let is_added = |place: &usize| encoding.get_special_tokens_mask()[*place] != 0;
                let num_added = (0..encoding.len()).take_while(is_added).count();
                Ok(encoding.get_ids()[..num_added].to_vec())
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

fn unreadable(source: tokenizers::Error) -> TokenizerProblem {
    TokenizerProblem::Run { task: "read the text", source }
}
