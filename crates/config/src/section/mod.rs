//! Reads the keys of one mapping of a recipe, each by name and type, and reports the rest.

mod complaints;
mod declare;
mod each;
mod field;
mod fixed;
mod kind;
mod number;
mod problems;
mod target;

#[cfg(test)]
mod tests;

pub(crate) use complaints::Complaints;
pub(crate) use declare::section;
use field::or_none;
pub(crate) use field::{Field, MaySection};
pub(crate) use fixed::{Fixed, Only};
pub(crate) use kind::{Auto, Flag, Kind, ListOf, Name, OneOrMore, PairOf, Text, json};
pub(crate) use number::{Fraction, Natural, NonNegative, Positive, Size, Whole};
pub(crate) use problems::{MAX_PROBLEMS, Problems, Reported};
pub(crate) use target::Target;

use serde_json::{Map, Value as Json, json};

use crate::{
    document::{Entry, Node, Place, Value, join},
    nearest::{listed, nearest},
    schema::section_of,
};

/// A value of the type that was asked for, or everything that is wrong with it.
pub(crate) type Reading<T> = Result<T, Complaints>;

/// A mapping that is being read.
///
/// Each key is asked for once, with its type; the keys that nobody asked for are reported when the
/// reading ends. What is asked for is at the same time the mapping's JSON schema, so every key has to
/// be asked for whatever the others say.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// The dotted path to the mapping; empty for the whole recipe.
    path: String,
    place: Place,
    entries: &'a [Entry],
    /// Whether there is a section, even an empty one.
    is_written: bool,
    /// Whether it may hold keys that are not asked for.
    is_open: bool,
    /// What the schema says about it, unless whoever opened it says more.
    doc: &'static str,
    asked: Vec<Asked>,
    problems: &'a Problems,
}

/// A key that was asked for.
#[derive(Debug)]
struct Asked {
    key: &'static str,
    is_required: bool,
    /// Whether it is worth naming to somebody who looks for a key.
    is_named: bool,
    /// There if the reading is done for its sake.
    schema: Option<Json>,
}

impl<'a> Section<'a> {
    /// Reads the mapping at the top of a recipe.
    pub(crate) fn read_root<T>(
        node: &'a Node,
        problems: &'a Problems,
        read: impl FnOnce(&mut Section<'a>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        let mut root = Section::open(String::new(), Place::WHOLE, node, problems)?;
        let value = read(&mut root);
        root.finish();
        value
    }

    /// An empty value opens as an empty mapping.
    fn open(
        path: String,
        place: Place,
        node: &'a Node,
        problems: &'a Problems,
    ) -> Result<Self, Reported> {
        let entries: &[Entry] = match &node.value {
            Value::Mapping(entries) => entries,
            value if value.is_none() => &[],
            value => {
                let complaints = Complaints::expected("a section", node);
                let complaints = match value {
                    Value::Text(text) if text.contains(':') => {
                        complaints.help("write `key: value`, with a blank between")
                    }
                    _ => complaints,
                };
                return Err(complaints.report(&path, problems));
            }
        };
        let is_written = !node.value.is_none();
        Ok(Section { is_written, ..Section::at(path, place, entries, problems) })
    }

    fn at(path: String, place: Place, entries: &'a [Entry], problems: &'a Problems) -> Self {
        let (is_written, is_open, asked) = (false, false, Vec::new());
        Section { path, place, entries, is_written, is_open, doc: "", asked, problems }
    }

    /// Says what the section is for.
    pub(crate) fn describe(&mut self, doc: &'static str) {
        self.doc = doc;
    }

    /// Reads one key. `doc` is what the schema says about it.
    pub(crate) fn field<F: Field>(
        &mut self,
        key: &'static str,
        doc: &str,
        field: F,
    ) -> Result<F::Out, Reported> {
        field.read(self, key, doc)
    }

    /// Reads the section at a key; where there is none, an empty one.
    pub(crate) fn within<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Result<T, Reported> {
        let (value, schema, own) = self.inner(key, read);
        self.ask(key, if doc.is_empty() { own } else { doc }, false, |_| or_none(schema));
        value
    }

    /// Reads a section that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Result<T, Reported> {
        if !self.has(key) && self.problems.schemas.is_none() {
            self.ask(key, doc, true, |_| Json::Null);
            return Err(self.missing(key));
        }
        let (value, schema, own) = self.inner(key, read);
        self.ask(key, if doc.is_empty() { own } else { doc }, true, |_| schema);
        value
    }

    /// Reads the section at a key, and brings its schema, if the reading is done for its sake, and what
    /// it says of itself.
    fn inner<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> (Result<T, Reported>, Json, &'static str) {
        let path = join(&self.path, key);
        let mut section = match self.entry(key) {
            Some(entry) => Section::open(path.clone(), entry.place, &entry.node, self.problems),
            None => Ok(Section::at(path.clone(), self.place, &[], self.problems)),
        };
        let value = section.as_mut().map(read).map_err(|reported| *reported);
        let mut doc = "";
        if let Ok(section) = section {
            doc = section.doc;
            section.finish();
        }
        (value, self.problems.schema_of(&path), doc)
    }

    /// Reads what may be a name or a section: the name, if one is written, and the section, which is
    /// empty if there is none.
    pub(crate) fn either<K: Kind, T>(
        &mut self,
        key: &'static str,
        doc: &str,
        kind: K,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Result<(Option<K::Value>, T), Reported> {
        let name = match self.written(key) {
            Some(entry) if !matches!(entry.node.value, Value::Mapping(_)) => {
                let path = join(&self.path, key);
                Some(kind.read(&entry.node).map_err(|complaints| {
                    complaints.at(entry.place_of_wrong()).report(&path, self.problems)
                }))
            }
            Some(_) | None => None,
        };
        let (value, schema) = if name.is_some() {
            // No key is missing in a section that is not there.
            let empty = &mut Section::at(join(&self.path, key), self.place, &[], self.problems);
            (Ok(read(empty)), Json::Null)
        } else {
            let (value, schema, _) = self.inner(key, read);
            (value, schema)
        };
        self.ask(key, doc, false, |_| or_none(json!({ "anyOf": [kind.schema(), schema] })));
        Ok((name.transpose()?, value?))
    }

    /// Whether the key is written down at all, even without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether the key has a value.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.written(key).is_some()
    }

    /// Whether the section itself is written down, even without a key.
    pub(crate) fn is_written(&self) -> bool {
        self.is_written
    }

    /// Whether the section holds no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a dotted key below this section has a value.
    pub(crate) fn is_set_below(&self, key: &str) -> bool {
        let Some((first, rest)) = key.split_once('.') else { return self.is_set(key) };
        self.written(first).is_some_and(|entry| entry.node.is_set_below(rest))
    }

    /// All keys that nobody has asked for, as JSON; it ends the asking, and any other key may stand
    /// in the section.
    pub(crate) fn rest(&mut self) -> Result<Map<String, Json>, Reported> {
        self.is_open = true;
        let rest =
            self.entries.iter().filter(|entry| !self.asked.iter().any(|a| a.key == entry.key));
        let mut fields = Ok(Map::new());
        for entry in rest {
            match json(&entry.node) {
                Ok(value) => {
                    if let Ok(fields) = &mut fields {
                        fields.insert(entry.key.clone(), value);
                    }
                }
                Err(complaints) => {
                    fields = Err(complaints.report(&join(&self.path, &entry.key), self.problems));
                }
            }
        }
        fields
    }

    /// Reports a problem of a key, which may be a dotted path below this section, or of the nearest
    /// section that is written.
    pub(crate) fn refuse(&self, key: &str, message: impl Into<String>, help: &str) -> Reported {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.problems.push(self.place_of(key), &join(&self.path, key), message, help)
    }

    /// Reports a problem of the section as a whole.
    pub(crate) fn refuse_whole(&self, message: &str, help: &str) -> Reported {
        self.problems.push(self.place, &self.path, message, Some(help.to_owned()))
    }

    /// Warns about a key, found as in [`Section::refuse`].
    pub(crate) fn warn(&self, key: &str, message: &str, help: &str) {
        self.problems.warn(self.place_of(key), &join(&self.path, key), message, help);
    }

    fn place_of(&self, key: &str) -> Place {
        let (first, rest) =
            key.split_once('.').map_or((key, None), |(key, rest)| (key, Some(rest)));
        let Some(entry) = self.entry(first) else { return self.place };
        let own = entry.place_of_value();
        rest.map_or(own, |rest| entry.node.place_of(rest, own))
    }

    fn missing(&self, key: &str) -> Reported {
        let message = "missing, and there is no default";
        self.problems.push(self.place, &join(&self.path, key), message, None)
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entry of a key that has a value.
    fn written(&self, key: &str) -> Option<&'a Entry> {
        self.entry(key).filter(|entry| !entry.node.value.is_none())
    }

    /// Notes that a key was asked for, and what it may hold.
    fn ask(
        &mut self,
        key: &'static str,
        doc: &str,
        is_required: bool,
        schema: impl FnOnce(&Problems) -> Json,
    ) {
        let schema = self.problems.schemas.is_some().then(|| {
            let mut schema = schema(self.problems);
            describe(&mut schema, doc);
            schema
        });
        self.asked.push(Asked { key, is_required, is_named: true, schema });
    }

    /// Reports the keys that nobody asked for, and leaves the schema of those that somebody did.
    fn finish(self) {
        if let Some(schemas) = &self.problems.schemas {
            let required: Vec<_> =
                self.asked.iter().filter(|a| a.is_required).map(|a| a.key).collect();
            let properties: Map<String, Json> = self
                .asked
                .into_iter()
                .map(|asked| (asked.key.to_owned(), asked.schema.unwrap_or_default()))
                .collect();
            let mut schema = json!({ "type": "object" });
            schema["properties"] = properties.into();
            if !required.is_empty() {
                schema["required"] = required.into();
            }
            schema["additionalProperties"] = self.is_open.into();
            schemas.borrow_mut().insert(self.path, schema);
            return;
        }
        if self.is_open {
            return;
        }
        let named: Vec<&str> = self.asked.iter().filter(|a| a.is_named).map(|a| a.key).collect();
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.iter().any(|asked| asked.key == key) {
                continue;
            }
            let near = nearest(key, named.iter().copied());
            let message = match (section_of(key), near) {
                (Some(""), _) => String::from("unknown key; it belongs at the top, in no section"),
                (Some(section), _) => format!("unknown key; it belongs in `{section}`"),
                (None, Some(name)) => format!("unknown key; did you mean `{name}`?"),
                (None, None) => String::from("unknown key"),
            };
            self.problems.push(entry.place, &join(&self.path, key), message, Some(keys(&named)));
        }
    }
}

fn keys(named: &[&str]) -> String {
    match named {
        [] => String::from("leave it out"),
        [only] => format!("the key here is `{only}`"),
        named => format!("the keys here are {}", listed(named)),
    }
}

/// Gives a schema its description: documentation without Rust's links.
fn describe(schema: &mut Json, doc: &str) {
    let doc = doc.trim().replace("[`", "`").replace("`]", "`");
    if let Json::Object(schema) = schema
        && !doc.is_empty()
    {
        schema.insert("description".into(), doc.into());
    }
}
