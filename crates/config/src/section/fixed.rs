//! Keys of NeMo AutoModel that are accepted only where they say what happens anyway.

use serde_json::{Value as Json, json};

use super::{Complaints, Kind, Reading, Section, field::or_none, field::value};
use crate::{
    document::{Node, Value},
    nearest::either_of,
};

/// A key with the values that change nothing; to leave it out, or `none`, is always one.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) key: &'static str,
    pub(crate) only: &'static [Only],
    /// What happens here, whatever else the key asks for.
    pub(crate) reason: &'static str,
}

/// A value that says what happens anyway.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Only {
    Flag(bool),
    Number(i32),
    Text(&'static str),
    /// A section that says `enabled: false`, whatever else it says.
    Disabled,
    /// A list with nothing in it.
    NoItems,
}

impl Only {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Only::Flag(only), Value::Bool(value)) => only == *value,
            (Only::Number(only), Value::Integer(value)) => i64::from(only) == *value,
            (Only::Number(only), Value::Float(value)) => f64::from(only).total_cmp(value).is_eq(),
            (Only::Text(only), Value::Text(value)) => only == value,
            (Only::NoItems, Value::List(items)) => items.is_empty(),
            (Only::Disabled, Value::Mapping(entries)) => entries
                .iter()
                .any(|entry| entry.key == "enabled" && entry.node.value == Value::Bool(false)),
            _ => false,
        }
    }

    fn schema(self) -> Json {
        match self {
            Only::Flag(value) => value.into(),
            Only::Number(value) => value.into(),
            Only::Text(value) => value.into(),
            Only::NoItems => json!([]),
            Only::Disabled => json!({
                "type": "object",
                "properties": { "enabled": { "const": false, "description": "Only `false`." } },
                "required": ["enabled"],
            }),
        }
    }

    /// How messages name it.
    fn name(self) -> String {
        match self {
            Only::Flag(value) => value.to_string(),
            Only::Number(value) => value.to_string(),
            Only::Text(value) => value.to_owned(),
            Only::Disabled => String::from("enabled: false"),
            Only::NoItems => String::from("[]"),
        }
    }
}

impl Kind for &Fixed {
    type Value = ();

    fn read(&self, node: &Node) -> Reading<()> {
        if self.only.iter().any(|only| only.is(&node.value)) {
            return Ok(());
        }
        let names: Vec<String> = self.only.iter().map(|only| only.name()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = match names.as_slice() {
            [] => String::from("leave it out"),
            names => format!("leave it out; it can only be {}", either_of(names)),
        };
        match node.value {
            Value::Broken => Err(Complaints::default()),
            _ => Err(Complaints::one(node, self.reason).help(&help)),
        }
    }

    fn schema(&self) -> Json {
        match self.only {
            [Only::Disabled] => Only::Disabled.schema(),
            values => {
                json!({ "enum": values.iter().map(|only| only.schema()).collect::<Vec<_>>() })
            }
        }
    }
}

impl Section<'_> {
    /// Refuses a section whose keys stand in another one here.
    pub(crate) fn moved(&mut self, key: &'static str, to: &str) {
        let message = format!("its keys stand in `{to}` here");
        self.ask(key, &message, false, |_| json!({ "$ref": "#/$defs/none" }));
        self.hide();
        if self.is_set(key) {
            self.refuse(key, message, "move them there");
        }
    }

    /// The key asked for last is not worth naming to somebody who looks for one.
    pub(super) fn hide(&mut self) {
        if let Some(asked) = self.asked.last_mut() {
            asked.is_named = false;
        }
    }

    /// Reads keys that can say nothing new.
    pub(crate) fn fixed(&mut self, keys: &'static [Fixed]) {
        for fixed in keys {
            self.ask(fixed.key, fixed.reason, false, |_| match fixed.only {
                [] => json!({ "$ref": "#/$defs/none" }),
                _ => or_none(fixed.schema()),
            });
            self.hide();
            // Whatever is wrong has been reported, and there is no value to miss.
            let _ = value(&fixed, self, fixed.key);
        }
    }
}
