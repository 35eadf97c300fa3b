//! The section `dataset`: what the model reads.

use crate::{
    choice::choices,
    section::{Fixed, Kind as _, ListOf, Name, Section, Size, Text, section},
};

choices! {
    /// How text becomes numbers.
    pub enum Tokenizer("tokenizer") {
        /// Each byte is a token: a vocabulary of 256.
        Bytes = "bytes",
    }
}

section! {
    /// What the model reads.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Dataset {
        /// Glob patterns of text files; at least one. They are not expanded here.
        paths: Vec<String> = ListOf(Text).required(),
        /// Tokens in one sample.
        seq_len: usize = Size.required(),
        /// How text becomes tokens.
        tokenizer: Tokenizer = Name::OF.or(Tokenizer::Bytes),
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "_target_",
        only: &[],
        reason: "no data set of NeMo's has an equivalent here: the text files of `paths` are read",
    },
    Fixed { key: "split", only: &[], reason: "all of the text is trained on" },
];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        draft
    }
}
