//! The types a value of a recipe can have, and what is said to a value of another type.

use serde_json::{Number, Value as Json, json};

use super::{
    Complaints, Reading,
    field::{Optional, Or, Required},
};
use crate::{
    choice::Choice,
    document::{Entry, Node, Value},
    nearest::listed,
};

/// A type of values: how they are read, and their JSON schema.
pub(crate) trait Kind: Sized {
    /// What a value is in the program.
    type Value;

    fn read(&self, node: &Node) -> Reading<Self::Value>;

    fn schema(&self) -> Json;

    /// A key that must have such a value.
    fn required(self) -> Required<Self> {
        Required(self)
    }

    /// A key that may have such a value.
    fn optional(self) -> Optional<Self> {
        Optional(self)
    }

    /// A key that has such a value in any case.
    fn or(self, default: impl Into<Self::Value>) -> Or<Self> {
        Or(self, default.into())
    }
}

/// Any text but the empty one.
pub(crate) struct Text;

impl Kind for Text {
    type Value = String;

    fn read(&self, node: &Node) -> Reading<String> {
        match &node.value {
            Value::Text(text) if text.is_empty() => {
                Err(Complaints::one(node, "the text is empty")
                    .help("leave the key out, or fill it in"))
            }
            Value::Text(text) => Ok(text.clone()),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                Err(Complaints::expected("text", node).help("put it in quotes"))
            }
            Value::Null | Value::List(_) | Value::Mapping(_) | Value::Broken => {
                Err(Complaints::expected("text", node))
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// Yes or no.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn read(&self, node: &Node) -> Reading<bool> {
        match &node.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(Complaints::expected("`true` or `false`", node)),
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "boolean" })
    }
}

/// One of the names of a closed set.
pub(crate) struct Name<T>(std::marker::PhantomData<T>);

impl<T: Choice> Name<T> {
    pub(crate) const OF: Name<T> = Name(std::marker::PhantomData);
}

impl<T: Choice> Kind for Name<T> {
    type Value = T;

    fn read(&self, node: &Node) -> Reading<T> {
        let Value::Text(name) = &node.value else {
            return Err(Complaints::expected(&format!("a {}", T::WHAT), node).help(&valid::<T>()));
        };
        name.parse().map_err(|unknown: crate::UnknownName| {
            let asked = unknown.nearest.map(|name| format!("; did you mean `{name}`?"));
            let message = format!("unknown {}{}", T::WHAT, asked.unwrap_or_default());
            Complaints::one(node, message).help(&valid::<T>())
        })
    }

    fn schema(&self) -> Json {
        json!({ "enum": T::SPELLINGS })
    }
}

pub(super) fn valid<T: Choice>() -> String {
    match T::NAMES {
        [only] => format!("the only valid one is `{only}`"),
        names => format!("the valid ones are {}", listed(names)),
    }
}

/// Such a value, or the word `auto`, which leaves it open.
pub(crate) struct Auto<K>(pub(crate) K);

impl<K: Kind> Kind for Auto<K> {
    type Value = Option<K::Value>;

    fn read(&self, node: &Node) -> Reading<Option<K::Value>> {
        match &node.value {
            Value::Text(text) if text == "auto" => Ok(None),
            _ => self.0.read(node).map(Some),
        }
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [self.0.schema(), { "const": "auto" }] })
    }
}

/// A list with at least one item.
pub(crate) struct ListOf<K>(pub(crate) K);

impl<K: Kind> Kind for ListOf<K> {
    type Value = Vec<K::Value>;

    fn read(&self, node: &Node) -> Reading<Vec<K::Value>> {
        match &node.value {
            Value::List(items) => read_some(&self.0, node, items),
            Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                Err(Complaints::expected("a list", node).help("put it in brackets"))
            }
            Value::Null | Value::Mapping(_) | Value::Broken => {
                Err(Complaints::expected("a list", node))
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "array", "items": self.0.schema(), "minItems": 1 })
    }
}

/// A list with at least one item, or the one item alone.
pub(crate) struct OneOrMore<K>(pub(crate) K);

impl<K: Kind> Kind for OneOrMore<K> {
    type Value = Vec<K::Value>;

    fn read(&self, node: &Node) -> Reading<Vec<K::Value>> {
        match &node.value {
            Value::List(items) => read_some(&self.0, node, items),
            _ => Ok(vec![self.0.read(node)?]),
        }
    }

    fn schema(&self) -> Json {
        let one = self.0.schema();
        json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A list of exactly two items.
pub(crate) struct PairOf<K>(pub(crate) K);

impl<K: Kind> Kind for PairOf<K> {
    type Value = [K::Value; 2];

    fn read(&self, node: &Node) -> Reading<[K::Value; 2]> {
        match &node.value {
            Value::List(items) if items.len() != 2 => {
                let message = format!("expected a list of 2, found a list of {}", items.len());
                Err(Complaints::one(node, message))
            }
            Value::List(items) => {
                let pair = <[K::Value; 2]>::try_from(read_all(&self.0, items)?);
                pair.map_err(|_| Complaints::default())
            }
            _ => Err(Complaints::expected("a list", node)),
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "array", "items": self.0.schema(), "minItems": 2, "maxItems": 2 })
    }
}

/// Every item of the list in `node`, which has at least one.
fn read_some<K: Kind>(kind: &K, node: &Node, items: &[Node]) -> Reading<Vec<K::Value>> {
    if items.is_empty() {
        return Err(Complaints::one(node, "the list is empty"));
    }
    read_all(kind, items)
}

fn read_all<K: Kind>(kind: &K, items: &[Node]) -> Reading<Vec<K::Value>> {
    all(items.iter().enumerate().map(|(index, item)| {
        kind.read(item).map_err(|complaints| complaints.inside(&format!("[{index}]")))
    }))
}

/// Any value, as JSON; what says as much as no value is `null`.
pub(crate) fn json(node: &Node) -> Reading<Json> {
    Ok(match &node.value {
        Value::Null => Json::Null,
        Value::Text(_) if node.value.is_none() => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => Number::from_f64(*number)
            .ok_or_else(|| Complaints::one(node, format!("JSON has no number {number}")))?
            .into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => all(items.iter().enumerate().map(|(index, item)| {
            json(item).map_err(|complaints| complaints.inside(&format!("[{index}]")))
        }))?
        .into(),
        Value::Mapping(entries) => {
            let fields = entries.iter().map(|Entry { key, node, .. }| match json(node) {
                Ok(value) => Ok((key.clone(), value)),
                Err(complaints) => Err(complaints.inside(&format!(".{key}"))),
            });
            Json::Object(all(fields)?.into_iter().collect())
        }
        Value::Broken => return Err(Complaints::default()),
    })
}

/// Every value, or the complaints about all of them.
fn all<T>(readings: impl Iterator<Item = Reading<T>>) -> Reading<Vec<T>> {
    let mut values = Vec::new();
    let mut complaints: Option<Complaints> = None;
    for reading in readings {
        match reading {
            Ok(value) => values.push(value),
            Err(more) => complaints.get_or_insert_default().extend(more),
        }
    }
    complaints.map_or(Ok(values), Err)
}
