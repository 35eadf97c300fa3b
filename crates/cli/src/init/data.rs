//! What kind of data a file has: its name tells, and of JSON lines the first record.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use autopipe_config::DataFormat;
use autopipe_trainer::data::format_by_name;
use serde_json::{Map, Value};

use super::draft::quoted;

/// What records are, with the names of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A file of text.
    Text,
    /// Numbers.
    Tokens,
    /// A table, whose rows say themselves what they are.
    Table,
    /// A text a record.
    Documents { text: &'static str },
    /// A prompt and what follows.
    Pairs { prompt: &'static str, completion: &'static str },
    /// What several have said.
    Conversations { messages: &'static str },
}

impl Form {
    /// Whether samples are something by themselves, of which each row has whole ones.
    pub(super) fn is_apart(&self) -> bool {
        match self {
            Self::Table | Self::Pairs { .. } | Self::Conversations { .. } => true,
            Self::Text | Self::Tokens | Self::Documents { .. } => false,
        }
    }
}

/// The names that are in use for the same, the usual one first.
const TEXTS: [&str; 2] = ["text", "content"];
const PAIRS: [(&str, &str); 4] =
    [("prompt", "completion"), ("question", "answer"), ("input", "output"), ("query", "response")];
const MESSAGES: [&str; 2] = ["messages", "conversations"];

/// The longest first record that is looked at.
const MAX_RECORD: u64 = 64 << 20;

/// The kind of the data in a file.
///
/// # Errors
/// If it is no file, cannot be read, or its first record is none of them.
pub(super) fn form(path: &Path) -> anyhow::Result<Form> {
    let unreadable = || format!("cannot read `{}`", path.display());
    // Reading a pipe or a device might never end.
    if !fs::metadata(path).with_context(unreadable)?.is_file() {
        bail!("`{}` is no regular file; name a file with data", path.display());
    }
    match format_by_name(path) {
        DataFormat::Text => Ok(Form::Text),
        DataFormat::Tokens => Ok(Form::Tokens),
        DataFormat::Parquet => Ok(Form::Table),
        DataFormat::Jsonl => {
            let file = File::open(path).with_context(unreadable)?;
            let lines = BufReader::new(file.take(MAX_RECORD)).lines();
            for (line, number) in lines.zip(1..) {
                let line = line.with_context(unreadable)?;
                let record = line.trim_start_matches('\u{feff}').trim();
                if !record.is_empty() {
                    return of_record(path, number, record);
                }
            }
            bail!("there is no record in `{}`", path.display())
        }
    }
}

fn of_record(path: &Path, number: usize, record: &str) -> anyhow::Result<Form> {
    let place = || format!("line {number} of `{}`", path.display());
    let object: Map<String, Value> = serde_json::from_str(record)
        .with_context(|| format!("{} is no record, a JSON object on one line", place()))?;
    let has = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    if let Some(messages) = MESSAGES.into_iter().find(|key| has(key)) {
        return Ok(Form::Conversations { messages });
    }
    if let Some((prompt, completion)) = PAIRS.into_iter().find(|(p, c)| has(p) && has(c)) {
        return Ok(Form::Pairs { prompt, completion });
    }
    if let Some(text) = TEXTS.into_iter().find(|key| has(key)) {
        return Ok(Form::Documents { text });
    }
    let keys: Vec<String> = object.keys().map(|key| format!("`{key}`")).collect();
    bail!(
        "{} has the keys {}; a record has `text`, `prompt` with `completion`, or `messages`; rename \
         them, or write a recipe that names its columns",
        place(),
        keys.join(", ")
    )
}

/// The glob pattern that matches this file and no other, as a recipe has it.
///
/// # Errors
/// If the path is not in UTF-8.
pub(super) fn pattern(path: &Path) -> anyhow::Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("the path {} is not in UTF-8; rename it", path.display()))?;
    let mut pattern = String::new();
    for character in text.chars() {
        match character {
            '*' | '?' | '[' | ']' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
    }
    quoted(Path::new(&pattern))
}
