//! The tokens that a model's folder gives names to, and the one of them that ends a text.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Tokenizer, TokenizerProblem};
use crate::Error;
use crate::data::SEPARATOR;
use crate::generate::named_ends;
use crate::train::read_regular;

/// What transformers writes of a tokenizer beside `tokenizer.json`.
const FILE: &str = "tokenizer_config.json";

/// The name of the token that ends a text.
pub(crate) const END: &str = "eos_token";

/// What is known of a tokenizer beside what it does with text.
#[derive(Clone, Debug)]
pub(crate) struct SpecialTokens {
    /// The token that ends a text.
    pub(crate) end: u32,
    /// The text of each by its name, such as `bos_token`; what a chat template is given.
    pub(crate) named: BTreeMap<String, String>,
    /// The chat template that stands with them, if one does.
    pub(crate) chat_template: Option<String>,
}

impl SpecialTokens {
    /// Those of bytes: a text ends as files of a [corpus](crate::data) do.
    pub(crate) fn of_bytes() -> Self {
        let named = BTreeMap::from([
            ("bos_token".to_owned(), String::new()),
            (END.to_owned(), char::from(SEPARATOR).to_string()),
        ]);
        Self { end: SEPARATOR.into(), named, chat_template: None }
    }

    /// Those of the tokenizer in a folder: as its `tokenizer_config.json` says, and where that does
    /// not say how a text ends, as `generation_config.json` or `config.json` does.
    pub(crate) fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self, Error> {
        let Tokenizer::HuggingFace(tokenizer) = tokenizer else { return Ok(Self::of_bytes()) };
        let path = folder.join(FILE);
        let config = if path.exists() { read(&path)? } else { Value::Null };
        let mut named = named(&config, &path)?;
        let chat_template = chat_template(&config, &path)?;
        if let Some(token) = named.get(END) {
            let Some(end) = tokenizer.token_to_id(token) else {
                let (key, token) = (END.to_owned(), token.clone());
                return Err(TokenizerProblem::Unknown { path, key, token }.into());
            };
            return Ok(Self { end, named, chat_template });
        }
        let Some(&end) = named_ends(folder)?.first() else {
            return Err(TokenizerProblem::NoEnd { folder: folder.to_owned() }.into());
        };
        named.extend(tokenizer.id_to_token(end).map(|text| (END.to_owned(), text)));
        Ok(Self { end, named, chat_template })
    }
}

fn read(path: &Path) -> Result<Value, TokenizerProblem> {
    let bytes = read_regular(path)
        .map_err(|source| TokenizerProblem::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|source| TokenizerProblem::Json { path: path.to_owned(), source })
}

/// Every `..._token` that is a text, or an object around one.
fn named(config: &Value, path: &Path) -> Result<BTreeMap<String, String>, TokenizerProblem> {
    let mut named = BTreeMap::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        // `add_bos_token` and its like say yes or no.
        if !key.ends_with("_token") || value.is_null() || value.is_boolean() {
            continue;
        }
        let Some(token) = value.as_str().or_else(|| value.get("content")?.as_str()) else {
            return Err(wrong(path, key, "a token, or an object with its `content`", value));
        };
        named.insert(key.clone(), token.to_owned());
    }
    Ok(named)
}

/// A text, or of a list of named ones the one for ordinary use.
fn chat_template(config: &Value, path: &Path) -> Result<Option<String>, TokenizerProblem> {
    const KEY: &str = "chat_template";
    let name = |one: &&Value| one.get("name").and_then(Value::as_str) == Some("default");
    let template = match config.get(KEY) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list.iter().find(name).and_then(|one| one.get("template")),
        Some(one) => Some(one),
    };
    let text = template.and_then(Value::as_str).map(str::to_owned);
    let expected = "a template, or a list of them in which one has the name `default`";
    text.map(Some).ok_or_else(|| wrong(path, KEY, expected, config.get(KEY).unwrap_or(config)))
}

fn wrong(path: &Path, key: &str, expected: &'static str, found: &Value) -> TokenizerProblem {
    let mut found = found.to_string();
    if let Some((end, _)) = found.char_indices().nth(MAX_SHOWN) {
        found.truncate(end);
        found.push('…');
    }
    TokenizerProblem::Value { path: path.to_owned(), key: key.to_owned(), expected, found }
}

/// How many characters of what is wrong are shown.
const MAX_SHOWN: usize = 60;
