//! What a line of JSON or a row of a table says: a text, a prompt with its completion, or a conversation.

use autopipe_config::Source;
use serde_json::{Map, Value};

use crate::data::RecordFault;

/// What the keys of a record are called, as the source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) text: String,
    pub(super) prompt: String,
    pub(super) completion: String,
    pub(super) messages: String,
}

impl Columns {
    pub(super) fn of(source: &Source) -> Self {
        Self {
            text: source.text_column.clone(),
            prompt: source.prompt_column.clone(),
            completion: source.completion_column.clone(),
            messages: source.messages_column.clone(),
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// A whole document.
    Text(String),
    /// What is given and what is to follow.
    Pair { prompt: String, completion: String },
    /// What several have said.
    Conversation(Conversation),
}

/// What is given to a chat template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conversation {
    /// Each with a `role`, and without the keys whose value is null, as transformers has them.
    pub(super) messages: Vec<Map<String, Value>>,
    /// Descriptions of what an assistant may call; null without any.
    pub(super) tools: Value,
}

/// The key of the descriptions of tools, beside messages.
const TOOLS: &str = "tools";

/// Who speaks, in the two spellings that are in use.
const ROLE: &str = "role";
const FROM: &str = "from";

impl Record {
    /// The record that an object is, by the keys that it has. A null counts as no key.
    pub(super) fn read(
        mut object: Map<String, Value>,
        columns: &Columns,
    ) -> Result<Self, RecordFault> {
        let key = form(&object, columns)?;
        let mut take = |key: &String| object.remove(key).unwrap_or(Value::Null);
        Ok(match key {
            Form::Text => Self::Text(text(take(&columns.text), &columns.text)?),
            Form::Pair => Self::Pair {
                prompt: text(take(&columns.prompt), &columns.prompt)?,
                completion: text(take(&columns.completion), &columns.completion)?,
            },
            Form::Conversation => {
                let tools = take(&TOOLS.to_owned());
                if !tools.is_null() && !tools.is_array() {
                    return Err(wrong(TOOLS.to_owned(), "a list", &tools));
                }
                let key = &columns.messages;
                Self::Conversation(Conversation { messages: messages(take(key), key)?, tools })
            }
        })
    }
}

impl Conversation {
    /// The numbers of the messages that are an assistant's.
    pub(super) fn assistants(&self) -> impl Iterator<Item = usize> {
        let is_assistant = |message: &Map<String, Value>| {
            message.get(ROLE).and_then(Value::as_str) == Some("assistant")
        };
        let numbered = self.messages.iter().enumerate();
        numbered.filter(move |(_, message)| is_assistant(message)).map(|(number, _)| number)
    }

    /// Whether one of the characters is anywhere in it.
    pub(super) fn has_any(&self, characters: &[char]) -> bool {
        let in_object = |object: &Map<String, Value>| {
            object.iter().any(|(key, value)| key.contains(characters) || has_any(value, characters))
        };
        self.messages.iter().any(in_object) || has_any(&self.tools, characters)
    }
}

fn has_any(value: &Value, characters: &[char]) -> bool {
    match value {
        Value::String(text) => text.contains(characters),
        Value::Array(list) => list.iter().any(|value| has_any(value, characters)),
        Value::Object(object) => {
            object.iter().any(|(key, value)| key.contains(characters) || has_any(value, characters))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The three kinds of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Pair,
    Conversation,
}

impl Form {
    const ALL: [Self; 3] = [Self::Text, Self::Pair, Self::Conversation];

    /// The columns that make it, and what they are called where nothing else is said.
    fn columns(self, columns: &Columns) -> Vec<(&str, &'static str)> {
        match self {
            Self::Text => vec![(columns.text.as_str(), "text")],
            Self::Pair => {
                vec![
                    (columns.prompt.as_str(), "prompt"),
                    (columns.completion.as_str(), "completion"),
                ]
            }
            Self::Conversation => vec![(columns.messages.as_str(), "messages")],
        }
    }

    fn is_in(self, object: &Map<String, Value>, columns: &Columns) -> bool {
        let has = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
        self.columns(columns).iter().all(|(name, _)| has(name))
    }

    /// Whether the recipe gives a column of its own name.
    fn is_named(self, columns: &Columns) -> bool {
        self.columns(columns).iter().any(|(name, usual)| name != usual)
    }

    fn shown(self, columns: &Columns) -> String {
        let names: Vec<String> =
            self.columns(columns).iter().map(|(name, _)| format!("`{name}`")).collect();
        names.join(" with ")
    }
}

/// The one form that the object has all columns of. A form whose columns the recipe names goes before
/// one with the usual names: data often has a `text` beside what it was made of.
fn form(object: &Map<String, Value>, columns: &Columns) -> Result<Form, RecordFault> {
    let shown = |forms: &[Form], or: &str| {
        let shown: Vec<String> = forms.iter().map(|form| form.shown(columns)).collect();
        shown.join(or)
    };
    let mut forms = Form::ALL.to_vec();
    forms.retain(|form| form.is_in(object, columns));
    if forms.len() > 1 && forms.iter().any(|form| form.is_named(columns)) {
        forms.retain(|form| form.is_named(columns));
    }
    match forms.as_slice() {
        [one] => Ok(*one),
        [] => Err(RecordFault::NoForm {
            found: object.keys().cloned().collect(),
            forms: shown(&Form::ALL, ", or "),
        }),
        several => Err(RecordFault::Ambiguous { forms: shown(several, ", and ") }),
    }
}

/// The columns that a table is read for.
#[cfg(feature = "parquet")]
pub(super) fn wanted(columns: &Columns) -> [&str; 5] {
    [&columns.text, &columns.prompt, &columns.completion, &columns.messages, TOOLS]
}

fn text(value: Value, key: &str) -> Result<String, RecordFault> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(key.to_owned(), "a text", &other)),
    }
}

fn messages(value: Value, key: &str) -> Result<Vec<Map<String, Value>>, RecordFault> {
    const EXPECTED: &str = "a list of messages, at least one";
    match value {
        Value::Array(list) if !list.is_empty() => {
            list.into_iter().zip(0..).map(|(one, number)| message(one, key, number)).collect()
        }
        Value::Array(_) => Err(RecordFault::Value {
            key: key.to_owned(),
            expected: EXPECTED,
            found: "an empty list",
        }),
        other => Err(wrong(key.to_owned(), EXPECTED, &other)),
    }
}

/// A message with a `role`; one `from` somebody with a `value` is put into these words.
fn message(value: Value, key: &str, number: usize) -> Result<Map<String, Value>, RecordFault> {
    let Value::Object(mut message) = value else {
        return Err(wrong(format!("{key}[{number}]"), "an object", &value));
    };
    message.retain(|_, value| !value.is_null());
    if !message.contains_key(ROLE) && message.contains_key(FROM) {
        let who = message.remove(FROM).unwrap_or(Value::Null);
        let role = match who.as_str() {
            Some("human") => "user".into(),
            Some("gpt") => "assistant".into(),
            _ => who,
        };
        let said = message.remove("value");
        message.insert(ROLE.to_owned(), role);
        message.extend(said.map(|said| ("content".to_owned(), said)));
    }
    match message.get(ROLE) {
        Some(Value::String(_)) => Ok(message),
        other => {
            let found = other.unwrap_or(&Value::Null);
            Err(wrong(format!("{key}[{number}].{ROLE}"), "a text, like \"user\"", found))
        }
    }
}

fn wrong(key: String, expected: &'static str, found: &Value) -> RecordFault {
    RecordFault::Value { key, expected, found: kind(found) }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "missing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
