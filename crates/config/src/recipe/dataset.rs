//! The sections `dataset` and `validation_dataset`: what the model reads, and how it becomes batches.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::source::Source;
use crate::{
    choice::choices,
    document::{Node, Value},
    section::{
        Complaints, Field as _, Fixed, Flag, Kind, Name, Reading, Reported, Section, Size, Text,
    },
};

choices! {
    /// How samples become the rows of a batch.
    pub enum Arrange("arrangement") {
        /// One after the other, over the ends of rows.
        Stream = "stream",
        /// One a row, the rest filled up.
        Pad = "pad",
        /// As many whole ones a row as fit, none of which sees another.
        Pack = "pack",
    }
}

choices! {
    /// What of prompts and conversations is learnt.
    pub enum Learn("part to learn") {
        /// Completions and what the assistant says.
        Completions = "completions",
        /// Every token.
        All = "all",
    }
}

choices! {
    /// What happens to a sample with more tokens than a row.
    pub enum TooLong("way with long samples") {
        /// Its end is cut off.
        Truncate = "truncate",
        /// It is left out and counted.
        Skip = "skip",
        /// The run ends.
        Stop = "stop",
    }
}

choices! {
    /// What happens at a record that cannot be read.
    pub enum OnError("way with bad records") {
        /// The run ends.
        Stop = "stop",
        /// It is left out and counted.
        Skip = "skip",
    }
}

/// How text becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tokenizer {
    /// By the `tokenizer.json` of the model's folder; each byte a token if it has none.
    #[default]
    Auto,
    /// Each byte is a token: a vocabulary of 256.
    Bytes,
    /// By the `tokenizer.json` of this path, or in this folder.
    Path(String),
}

impl Serialize for Tokenizer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Tokenizer::Auto => "auto",
            Tokenizer::Bytes => "bytes",
            Tokenizer::Path(path) => path,
        })
    }
}

/// A tokenizer by its name or path.
struct TokenizerName;

impl Kind for TokenizerName {
    type Value = Tokenizer;

    fn read(&self, node: &Node) -> Reading<Tokenizer> {
        match &node.value {
            Value::Text(name) if name == "auto" => Ok(Tokenizer::Auto),
            Value::Text(name) if name == "bytes" => Ok(Tokenizer::Bytes),
            Value::Text(path) if !path.is_empty() => Ok(Tokenizer::Path(path.clone())),
            _ => Err(Complaints::expected("`auto`, `bytes` or a path", node)),
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// What the model reads, and how it becomes batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Where the text comes from; at least one.
    pub sources: Vec<Source>,
    /// Tokens in one row.
    pub seq_len: usize,
    /// How text becomes tokens.
    pub tokenizer: Tokenizer,
    /// The file of the template that renders conversations, in place of the tokenizer's own.
    pub chat_template: Option<String>,
    /// How samples become rows; without it, `stream` if all sources are plain text or tokens, and
    /// else `pad`.
    pub arrange: Option<Arrange>,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// What of prompts and conversations is learnt.
    pub learn: Learn,
    /// What happens to samples that are longer than a row.
    pub too_long: TooLong,
    /// What happens at a record that cannot be read.
    pub on_error: OnError,
    /// Steps whose batches are made before they are needed.
    pub prefetch: usize,
    /// The most batches of one evaluation; all there are without it.
    pub max_batches: Option<usize>,
}

/// Which of the two sections is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    Training,
    /// It takes from the training data what it does not say itself.
    Validation(Option<&'a Dataset>),
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "_target_",
        only: &[],
        reason: "no data set of NeMo's has an equivalent here: the files of `paths` are read",
    },
    Fixed { key: "split", only: &[], reason: "all of the files is read" },
];

/// Reads the section, with every problem in it.
pub(super) fn read(section: &mut Section<'_>, role: Role<'_>) -> Result<Dataset, Reported> {
    section.describe(match role {
        Role::Training => "What the model reads, and how it becomes batches.",
        Role::Validation(_) => {
            "What the model is evaluated on. What is left out is as in `dataset`, but for the \
             sources; the order is that of the files."
        }
    });
    let base = match role {
        Role::Training | Role::Validation(None) => None,
        Role::Validation(Some(base)) => Some(base),
    };
    let sources = Source::read_all(section, role);
    let seq_len = match role {
        Role::Training => section.field("seq_len", "Tokens in one row.", Size.required()),
        Role::Validation(base) => {
            let own = section.field("seq_len", "Tokens in one row.", Size.optional());
            // Without training data, which is reported, no length is known.
            own.map(|own| own.or(base.map(|base| base.seq_len)).unwrap_or(1))
        }
    };
    let doc = "How text becomes tokens: `auto` (the `tokenizer.json` of the model's folder, bytes \
               without one), `bytes`, or the path of a `tokenizer.json` or its folder.";
    let default = base.map_or(Tokenizer::Auto, |base| base.tokenizer.clone());
    let tokenizer = section.field("tokenizer", doc, TokenizerName.or(default));
    let doc = "The file of a template that renders conversations, in place of the tokenizer's own.";
    let chat_template = section.field("chat_template", doc, Text.optional());
    let doc = "How samples become rows: one after the other over the ends of rows (`stream`), one a \
               row (`pad`), or as many whole ones as fit, none of which sees another (`pack`). \
               Without it files of text and of tokens are a stream, and records one a row, so that \
               of texts longer than a row the rest is cut off: make them a `stream`.";
    let arrange = section.field("arrange", doc, Name::<Arrange>::OF.optional());
    let shuffle = match role {
        Role::Training => {
            section.field("shuffle", "Whether each epoch has its own order.", Flag.or(true))
        }
        Role::Validation(_) => Ok(false),
    };
    let doc = "What of prompts and conversations is learnt: completions and what the assistant says, \
               or all of it.";
    let default = base.map_or(Learn::Completions, |base| base.learn);
    let learn = section.field("learn", doc, Name::OF.or(default));
    let doc = "What happens to samples that are longer than a row.";
    let default = base.map_or(TooLong::Truncate, |base| base.too_long);
    let too_long = section.field("too_long", doc, Name::OF.or(default));
    if let (Ok(Some(Arrange::Stream)), true) = (arrange, section.is_set("too_long")) {
        let message = "has no effect, a stream goes over the ends of rows";
        section.refuse("too_long", message, "choose `arrange: pad` or `pack`, or leave it out");
    }
    let doc = "What happens at a record that cannot be read.";
    let default = base.map_or(OnError::Stop, |base| base.on_error);
    let on_error = section.field("on_error", doc, Name::OF.or(default));
    let prefetch = match role {
        Role::Training => {
            let doc = "Steps whose batches are made before they are needed.";
            section.field("prefetch", doc, Size.or(2_usize))
        }
        Role::Validation(_) => Ok(1),
    };
    let max_batches = match role {
        Role::Training => Ok(None),
        Role::Validation(_) => {
            let doc = "The most batches of one evaluation; all there are without it.";
            Size.optional().read(section, "max_batches", doc)
        }
    };
    section.fixed(FIXED);
    Ok(Dataset {
        sources: sources?,
        seq_len: seq_len?,
        tokenizer: tokenizer?,
        chat_template: chat_template?.or_else(|| base.and_then(|base| base.chat_template.clone())),
        arrange: arrange?.or_else(|| base.and_then(|base| base.arrange)),
        shuffle: shuffle?,
        learn: learn?,
        too_long: too_long?,
        on_error: on_error?,
        prefetch: prefetch?,
        max_batches: max_batches?,
    })
}
