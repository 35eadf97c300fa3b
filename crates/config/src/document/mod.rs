//! A recipe's texts as a tree of values, each with its place; nothing else knows the YAML library.

mod build;
mod overrides;
mod place;
#[cfg(test)]
mod tests;
mod written;

pub(crate) use overrides::OVERRIDE;
pub(crate) use place::Place;
pub(crate) use written::Written;

use saphyr_parser::{Parser, ScanError};

use self::{build::Builder, place::Origin};
use crate::{
    nearest::shortened,
    report::lines,
    section::{Problems, Reported},
};

/// The most bytes of a recipe: hundreds of times what one needs.
const MAX_BYTES: usize = 1 << 16;

/// How far to the right a value may begin. It bounds the nesting of blocks, and so the recursion of
/// the parser; brackets it limits itself.
const MAX_INDENT: usize = 200;

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

impl Value {
    /// Whether it says as much as no value at all. NeMo's recipes write `none` where YAML writes
    /// `null`.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Text(text) => NONE.contains(&text.as_str()),
            _ => false,
        }
    }

    /// What it is called in messages; nothing for a value that is reported already.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Value::Null => "nothing",
            Value::Bool(true) => "`true`",
            Value::Bool(false) => "`false`",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a fraction or an exponent",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a section",
            Value::Broken => return None,
        })
    }
}

/// The texts that mean the same as `null`.
pub(crate) const NONE: [&str; 2] = ["none", "None"];

/// Reads the file, of YAML or of JSON, which is a part of it, and puts the overrides into it.
/// Problems of the syntax end the reading; those of single keys, tags and overrides are collected.
pub(crate) fn parse(problems: &Problems) -> Result<Node, Reported> {
    let root = yaml(problems.text(0), Origin { text: 0, offset: 0 }, "", problems);
    let overrides: Vec<_> =
        (1..problems.num_texts()).map(|text| overrides::parse(text, problems)).collect();
    let mut root = root?;
    for over in overrides.into_iter().flatten() {
        overrides::apply(&mut root, over, problems);
    }
    Ok(root)
}

/// Reads one value; `path` is the dotted path to it.
fn yaml(text: &str, origin: Origin, path: &str, problems: &Problems) -> Result<Node, Reported> {
    check_limits(text, origin, path, problems)?;
    let mut builder = Builder::new(origin, path, problems);
    let mut parser = Parser::new_from_iter(text.chars());
    parser
        .load(&mut builder, true)
        .map_err(|error| syntax_problem(&error, origin, path, problems))?;
    match builder.documents.as_mut_slice() {
        [] => Ok(Node { place: Place { text: origin.text, ..Place::WHOLE }, value: Value::Null }),
        [document] => {
            Ok(std::mem::replace(document, Node { place: Place::WHOLE, value: Value::Null }))
        }
        [_, second, ..] => {
            let place = second.place;
            let message =
                format!("one document is read, this text has {}", builder.documents.len());
            Err(problems.push(place, path, message, Some("remove the lines `---`".into())))
        }
    }
}

fn syntax_problem(error: &ScanError, origin: Origin, path: &str, problems: &Problems) -> Reported {
    let mut place = origin.place(error.marker(), error.marker());
    // What is missing is often missed only on a later, empty line.
    let line = |place: Place| problems.line(place.text, place.line);
    while place.line > 1 && line(place).trim().is_empty() {
        place.line -= 1;
        place.column = line(place).trim_end().chars().count() + 1;
    }
    let help = match error.info() {
        "simple key expect ':'" => Some("expected `key: value`".into()),
        // The text is more often a glob pattern than an alias.
        "while parsing node, found unknown anchor" => {
            Some("text that begins with `*` needs quotes".into())
        }
        _ => None,
    };
    problems.push(place, path, format!("not valid YAML: {}", shortened(error.info())), help)
}

fn check_limits(
    text: &str,
    origin: Origin,
    path: &str,
    problems: &Problems,
) -> Result<(), Reported> {
    let whole = Place { text: origin.text, ..Place::WHOLE };
    if text.len() > MAX_BYTES {
        let message =
            format!("one text has at most {MAX_BYTES} bytes, this one has {}", text.len());
        return Err(problems.push(whole, path, message, None));
    }
    for (index, line) in lines(text).enumerate() {
        // Only these characters can stand before a block that begins within a line.
        let indent = line.chars().take_while(|c| matches!(c, ' ' | '\t' | '-' | '?' | ':')).count();
        if indent > MAX_INDENT {
            let offset = if index == 0 { origin.offset } else { 0 };
            let column = offset + MAX_INDENT + 1;
            let place = Place { line: index + 1, column, width: 1, ..whole };
            let message = format!("a value begins at most {MAX_INDENT} characters into its line");
            return Err(problems.push(place, path, message, Some("nest less deeply".into())));
        }
    }
    Ok(())
}

/// The dotted path of a key below another.
pub(crate) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}
