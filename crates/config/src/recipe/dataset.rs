//! The section `dataset`: what the model reads.

use crate::{
    choice::choices,
    section::{Reported, Section, choice, list_of, size, text},
};

choices! {
    /// How text becomes numbers.
    pub enum Tokenizer("tokenizer") {
        /// Each byte is a token: a vocabulary of 256.
        Bytes = "bytes",
    }
}

/// What the model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Glob patterns of text files; at least one. They are not expanded here.
    pub paths: Vec<String>,
    /// Tokens in one sample.
    pub seq_len: usize,
    /// How text becomes tokens.
    pub tokenizer: Tokenizer,
}

impl Dataset {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let paths = section.required("paths", list_of(text));
        let seq_len = section.required("seq_len", size);
        let tokenizer = section.or("tokenizer", Tokenizer::Bytes, choice);
        section.finish();
        Ok(Dataset { paths: paths?, seq_len: seq_len?, tokenizer: tokenizer? })
    }
}
