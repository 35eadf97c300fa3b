//! A recipe's text as a tree of values, each with its place; the only file that knows the YAML
//! library.

#[cfg(test)]
mod tests;

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, ScanError, YamlData};

use crate::section::{Problems, Reported};

/// The most bytes of a recipe: hundreds of times what one needs.
const MAX_BYTES: usize = 1 << 16;

/// How far to the right a value may begin. It bounds the nesting of blocks, and so the recursion of
/// the parser; brackets it limits itself.
const MAX_INDENT: usize = 200;

/// Where a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    /// In characters, as far as the piece is on its first line; 0 for nothing that could be quoted.
    pub(crate) width: usize,
}

impl Place {
    /// The text as a whole.
    pub(crate) const WHOLE: Place = Place { line: 1, column: 1, width: 0 };

    /// From one marker to the other, or to the end of the line if that comes first.
    fn between(start: &Marker, end: &Marker) -> Place {
        let width = if start.line() == end.line() {
            end.col().saturating_sub(start.col())
        } else {
            usize::MAX // the report cuts it at the end of the line
        };
        Place { line: start.line(), column: start.col() + 1, width: width.max(1) }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A value of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// A value whose problem is reported already.
    Broken,
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key is; the value has a place of its own.
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// Reads YAML, of which JSON is a part. Problems of the syntax end the reading; those of single
/// keys and tags are collected.
pub(crate) fn parse(text: &str, problems: &Problems<'_>) -> Result<Node, Reported> {
    check_limits(text, problems)?;
    let documents =
        MarkedYaml::load_from_str(text).map_err(|error| syntax_problem(&error, problems))?;
    match documents.as_slice() {
        [] => Ok(Node { place: Place::WHOLE, value: Value::Null }),
        [document] => Ok(node(document, "", problems)),
        [_, second, ..] => {
            let place = Place::between(&second.span.start, &second.span.end);
            let message = format!("a recipe is one document, this text has {}", documents.len());
            Err(problems.push(place, "", message, Some("remove the lines `---`".into())))
        }
    }
}

fn syntax_problem(error: &ScanError, problems: &Problems<'_>) -> Reported {
    let line = |place: Place| problems.lines().get(place.line - 1).copied().unwrap_or_default();
    let mut place = Place::between(error.marker(), error.marker());
    if error.info() == "duplicated key in mapping" {
        let key: String =
            line(place).chars().skip(place.column - 1).take_while(|c| *c != ':').collect();
        place.width = key.chars().count();
        let message = format!("the key `{}` is given twice", key.trim());
        let help = "remove one of the two; the reading ends here, so more may be wrong";
        return problems.push(place, "", message, Some(help.into()));
    }
    // What is missing is often missed only on a later, empty line.
    while place.line > 1 && line(place).trim().is_empty() {
        place.line -= 1;
        place.column = line(place).trim_end().chars().count() + 1;
    }
    let help = (error.info() == "simple key expect ':'").then(|| "expected `key: value`".into());
    problems.push(place, "", format!("not valid YAML: {}", error.info()), help)
}

fn check_limits(text: &str, problems: &Problems<'_>) -> Result<(), Reported> {
    if text.len() > MAX_BYTES {
        let message =
            format!("a recipe has at most {MAX_BYTES} bytes, this text has {}", text.len());
        return Err(problems.push(Place::WHOLE, "", message, None));
    }
    for (index, line) in problems.lines().iter().enumerate() {
        // Only these characters can stand before a block that begins within a line.
        let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t' | '-' | '?' | ':')).count();
        if indent > MAX_INDENT {
            let place = Place { line: index + 1, column: MAX_INDENT + 1, width: 1 };
            let message = format!("a value begins at most {MAX_INDENT} characters into its line");
            return Err(problems.push(place, "", message, Some("nest less deeply".into())));
        }
    }
    Ok(())
}

/// Translates a value; `key` is the dotted path to it.
fn node(yaml: &MarkedYaml<'_>, key: &str, problems: &Problems<'_>) -> Node {
    let mut place = Place::between(&yaml.span.start, &yaml.span.end);
    if yaml.data.is_sequence() || yaml.data.is_mapping() {
        place.width = place.width.saturating_add(1); // a span ends before the closing bracket
    }
    let value = match &yaml.data {
        YamlData::Value(Scalar::Null) => Value::Null,
        YamlData::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        YamlData::Value(Scalar::Integer(value)) => Value::Integer(*value),
        YamlData::Value(Scalar::FloatingPoint(value)) => Value::Float(value.into_inner()),
        YamlData::Value(Scalar::String(text)) => Value::Text(text.clone().into_owned()),
        YamlData::Sequence(items) => {
            let items = items.iter().enumerate();
            Value::List(
                items.map(|(i, item)| node(item, &format!("{key}[{i}]"), problems)).collect(),
            )
        }
        YamlData::Mapping(mapping) => {
            let entries = mapping.iter();
            Value::Mapping(entries.filter_map(|(k, v)| entry(k, v, key, problems)).collect())
        }
        YamlData::Tagged(tag, _) => {
            let message = format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix);
            problems.push(place, key, message, Some("remove it".into()));
            Value::Broken
        }
        YamlData::Representation(..) | YamlData::Alias(_) | YamlData::BadValue => {
            problems.push(place, key, "the value does not fit its tag", None);
            Value::Broken
        }
    };
    Node { place, value }
}

/// Translates a key and its value, unless the key is not text.
fn entry(
    name: &MarkedYaml<'_>,
    value: &MarkedYaml<'_>,
    parent: &str,
    problems: &Problems<'_>,
) -> Option<Entry> {
    let place = Place::between(&name.span.start, &name.span.end);
    let YamlData::Value(Scalar::String(key)) = &name.data else {
        problems.push(place, parent, "a key must be text", Some("put it in quotes".into()));
        return None;
    };
    let node = node(value, &join(parent, key), problems);
    Some(Entry { key: key.clone().into_owned(), place, node })
}

/// The dotted path of a key below another.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}
