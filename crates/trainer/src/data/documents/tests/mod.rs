//! Documents of every kind of file, what is learnt of them, and what is said of those that are none.

mod chat;
mod faults;
mod files;
#[cfg(feature = "parquet")]
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use autopipe_config::{Learn, Tokenizer};
use tempfile::TempDir;

use super::*;

/// Options of an encoder that differ from test to test.
pub(super) struct Setup {
    pub(super) tokenizer: Tokenizer,
    pub(super) chat_template: Option<PathBuf>,
    pub(super) learn: Learn,
}

impl Default for Setup {
    fn default() -> Self {
        Self { tokenizer: Tokenizer::Bytes, chat_template: None, learn: Learn::Completions }
    }
}

/// Where the tokenizers, templates and cases are.
pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chat")
}

pub(super) fn encoder(setup: &Setup) -> Result<Arc<Encoder>, Error> {
    let options = EncoderOptions {
        tokenizer: &setup.tokenizer,
        model_folder: None,
        chat_template: setup.chat_template.as_deref(),
        learn: setup.learn,
        base_dir: &fixtures(),
    };
    Encoder::open(&options).map(Arc::new)
}

/// An encoder with one of the tokenizers and one of the templates.
pub(super) fn model(tokenizer: &str, template: &str) -> Arc<Encoder> {
    let setup = Setup {
        tokenizer: Tokenizer::Path(tokenizer.to_owned()),
        chat_template: Some(format!("templates/{template}.jinja").into()),
        learn: Learn::Completions,
    };
    encoder(&setup).unwrap()
}

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

pub(super) fn source(pattern: &str) -> Source {
    Source {
        paths: vec![pattern.to_owned()],
        weight: 1.0,
        format: None,
        token_dtype: None,
        text_column: "text".to_owned(),
        prompt_column: "prompt".to_owned(),
        completion_column: "completion".to_owned(),
        messages_column: "messages".to_owned(),
    }
}

/// The usual columns.
pub(super) fn columns() -> Columns {
    Columns::of(&source("*"))
}

/// All samples, or what is said in their place, in which the folder is `DIR`.
pub(super) fn read_all(
    source: &Source,
    encoder: Arc<Encoder>,
    folder: &TempDir,
) -> Vec<Result<Sample, String>> {
    let mut documents = Documents::open(source, encoder, folder.path()).unwrap();
    (0..documents.num_samples())
        .map(|number| documents.read(number).map_err(|error| hide(&error, folder)))
        .collect()
}

pub(super) fn hide(error: &Error, folder: &TempDir) -> String {
    error.to_string().replace(folder.path().to_str().unwrap(), "DIR")
}

/// A sample of bytes: its text, in which what is not learnt is in brackets.
pub(super) fn shown(sample: &Sample) -> String {
    assert_eq!(sample.tokens.len(), sample.is_label.len());
    let mut shown = Vec::new();
    let mut was_label = true;
    for (&token, &is_label) in sample.tokens.iter().zip(&sample.is_label) {
        match (was_label, is_label) {
            (true, false) => shown.push(b'['),
            (false, true) => shown.push(b']'),
            _ => {}
        }
        was_label = is_label;
        shown.push(if token == 0 { b'.' } else { u8::try_from(token).unwrap() });
    }
    if !was_label {
        shown.push(b']');
    }
    String::from_utf8(shown).unwrap()
}
