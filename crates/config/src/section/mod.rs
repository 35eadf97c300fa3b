//! Reads the keys of one mapping of a recipe, each by name and type, and reports the rest.

mod complaints;
mod problems;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use complaints::Complaints;
pub(crate) use problems::{MAX_PROBLEMS, Problems, Reported};
pub(crate) use values::{
    Reading, choice, flag, fraction, json_object, list_of, natural, non_negative, pair_of,
    positive, size, text, whole,
};

use crate::{
    document::{Entry, Node, Place, Value, join},
    nearest::{listed, nearest},
};

/// A mapping that is being read.
///
/// Each key is asked for once, with its type; [`Section::finish`] then reports the keys that nobody
/// asked for.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// The dotted path to the mapping; empty for the whole recipe.
    path: String,
    place: Place,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    problems: &'a Problems<'a>,
}

impl<'a> Section<'a> {
    /// The mapping at the top of a recipe.
    pub(crate) fn root(node: &'a Node, problems: &'a Problems<'a>) -> Result<Self, Reported> {
        Section::open(String::new(), Place::WHOLE, node, problems)
    }

    /// An empty value opens as an empty mapping.
    fn open(
        path: String,
        place: Place,
        node: &'a Node,
        problems: &'a Problems<'a>,
    ) -> Result<Self, Reported> {
        let entries: &[Entry] = match &node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            _ => return Err(Complaints::expected("a section", node).report(&path, problems)),
        };
        Ok(Section { path, place, entries, asked: Vec::new(), problems })
    }

    /// A value that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node) -> Reading<T>,
    ) -> Result<T, Reported> {
        match self.optional(key, read)? {
            Some(value) => Ok(value),
            None => Err(self.missing(key)),
        }
    }

    /// A value that has a default.
    pub(crate) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Node) -> Reading<T>,
    ) -> Result<T, Reported> {
        Ok(self.optional(key, read)?.unwrap_or(default))
    }

    /// A value that may be absent, empty, `null` or `none`, which are all the same.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node) -> Reading<T>,
    ) -> Result<Option<T>, Reported> {
        let Some(entry) = self.ask(key).filter(|entry| !is_none(&entry.node.value)) else {
            return Ok(None);
        };
        read(&entry.node).map(Some).map_err(|complaints| {
            let path = join(&self.path, key);
            complaints.report(&path, self.problems)
        })
    }

    /// A section that may be absent; it is empty then.
    pub(crate) fn section(&mut self, key: &'static str) -> Result<Section<'a>, Reported> {
        let path = join(&self.path, key);
        match self.ask(key) {
            Some(entry) => Section::open(path, entry.place, &entry.node, self.problems),
            None => Ok(Section {
                path,
                place: self.place,
                entries: &[],
                asked: Vec::new(),
                problems: self.problems,
            }),
        }
    }

    /// A section that must be there.
    pub(crate) fn required_section(&mut self, key: &'static str) -> Result<Section<'a>, Reported> {
        if self.has(key) {
            return self.section(key);
        }
        self.asked.push(key);
        Err(self.missing(key))
    }

    /// Whether the key is written down at all, even without a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether the key has a value.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !is_none(&entry.node.value))
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(&self) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.asked.contains(&key) {
                continue;
            }
            let help = format!("the keys here are {}", listed(&self.asked));
            let message = match nearest(key, self.asked.iter().copied()) {
                Some(name) => format!("unknown key; did you mean `{name}`?"),
                None => String::from("unknown key"),
            };
            self.problems.push(entry.place, &join(&self.path, key), message, Some(help));
        }
    }

    /// Reports a problem of a value, or of the section where the key is not written down.
    pub(crate) fn refuse(&self, key: &str, message: impl Into<String>, help: &str) -> Reported {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.problems.push(self.place_of(key), &join(&self.path, key), message, help)
    }

    /// Reports a problem of the section as a whole.
    pub(crate) fn refuse_whole(&self, message: &str, help: &str) -> Reported {
        self.problems.push(self.place, &self.path, message, Some(help.to_owned()))
    }

    /// Warns about a value, or about the section where the key is not written down.
    pub(crate) fn warn(&self, key: &str, message: &str, help: &str) {
        self.problems.warn(self.place_of(key), &join(&self.path, key), message, help);
    }

    fn place_of(&self, key: &str) -> Place {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or(self.place, |entry| match entry.node.value {
            // The caret under a whole block, or under nothing, says less than under its key.
            Value::Mapping(_) | Value::List(_) | Value::Null => entry.place,
            _ => entry.node.place,
        })
    }

    fn missing(&self, key: &str) -> Reported {
        let message = "missing, and there is no default";
        self.problems.push(self.place, &join(&self.path, key), message, None)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// NeMo's recipes write `none` where YAML writes `null`.
fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => matches!(text.as_str(), "none" | "None"),
        _ => false,
    }
}
