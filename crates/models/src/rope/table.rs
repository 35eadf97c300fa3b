//! The table of a config that describes a rotary embedding, under whichever name it has.

use serde_json::{Map, Value};

use crate::config::{ConfigProblem, Fields, Min, as_size};

/// The entries of `rope_parameters`, `rope_scaling` or both, each with the path to it.
#[derive(Default)]
pub(super) struct Table {
    entries: Map<String, Value>,
    /// What messages call the table.
    path: String,
    used: Vec<&'static str>,
}

impl Table {
    /// The table under one of these keys, or what several of them say alike.
    pub(super) fn take(fields: &mut Fields, keys: &[&str]) -> Self {
        let mut table = Self { path: keys[0].to_owned(), ..Self::default() };
        for key in keys {
            table.add(fields, key);
        }
        table
    }

    /// Adds what the table under another key says, which may say the same things again.
    pub(super) fn add(&mut self, fields: &mut Fields, key: &str) {
        match fields.take_optional(key) {
            None => {}
            Some(Value::Object(entries)) => {
                if self.entries.is_empty() {
                    key.clone_into(&mut self.path);
                }
                self.merge(fields, key, entries);
            }
            Some(other) => {
                let (key, value) = (key.to_owned(), other.to_string());
                fields.report(ConfigProblem::Type { key, value, expected: "an object or null" });
            }
        }
    }

    /// The table inside of another one; empty if there is none.
    pub(super) fn inner(&mut self, fields: &mut Fields, key: &'static str) -> Self {
        let path = self.path(key);
        let mut inner = Self { path: path.clone(), ..Self::default() };
        match self.get(key) {
            None => {}
            Some(Value::Object(entries)) => inner.merge(fields, &path, entries),
            Some(other) => {
                let value = other.to_string();
                fields.report(ConfigProblem::Type { key: path, value, expected: "an object" });
            }
        }
        inner
    }

    fn merge(&mut self, fields: &mut Fields, path: &str, entries: Map<String, Value>) {
        for (name, value) in entries {
            // Early writers said `type`, and some wrote both.
            let entry = if name == "type" { "rope_type" } else { &name };
            if value.is_null() {
                continue;
            }
            match self.entries.get(entry) {
                None => drop(self.entries.insert(entry.to_owned(), value)),
                Some(known) if *known == value || is_same_number(known, &value) => {}
                Some(known) => {
                    fields.disagree((self.path(entry), known), (format!("{path}.{name}"), &value));
                }
            }
        }
    }

    /// Whether there is such an entry.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<Value> {
        self.used.push(key);
        self.entries.get(key).cloned()
    }

    /// Writes an entry as it was understood.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.used.push(key);
        self.entries.insert(key.to_owned(), value.into());
    }

    pub(super) fn number(
        &mut self,
        fields: &mut Fields,
        key: &'static str,
        min: Min,
    ) -> Option<f64> {
        let value = self.get(key)?;
        fields.sane_number(&self.path(key), Some(value), min)
    }

    /// A number that the kind of scaling cannot do without.
    pub(super) fn needed(&mut self, fields: &mut Fields, key: &'static str) -> f64 {
        if !self.has(key) {
            fields.report(ConfigProblem::Missing { key: self.path(key) });
        }
        self.number(fields, key, Min::AboveZero).unwrap_or(1.0)
    }

    pub(super) fn size(&mut self, fields: &mut Fields, key: &'static str) -> Option<usize> {
        let value = self.get(key)?;
        let path = self.path(key);
        let size = fields.convert(&path, Some(value), as_size, "a whole number")?;
        if size == 0 {
            fields.report(ConfigProblem::Size { key: path, value: size, max: usize::MAX });
            return None;
        }
        Some(size)
    }

    pub(super) fn flag(&mut self, fields: &mut Fields, key: &'static str) -> Option<bool> {
        let value = self.get(key);
        fields.convert(&self.path(key), value, Value::as_bool, "true or false")
    }

    /// A divisor for each of `num` pairs.
    #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused as infinite")]
    pub(super) fn divisors(
        &mut self,
        fields: &mut Fields,
        key: &'static str,
        num: usize,
    ) -> Vec<f32> {
        let path = self.path(key);
        let Some(value) = self.get(key) else {
            fields.report(ConfigProblem::Missing { key: path });
            return vec![1.0; num];
        };
        let number = |value: &Value| {
            let number = value.as_f64()? as f32;
            (number.is_finite() && number > 0.0).then_some(number)
        };
        let read =
            |value: &Value| -> Option<Vec<f32>> { value.as_array()?.iter().map(number).collect() };
        match fields.convert(&path, Some(value), read, "a list of numbers above 0") {
            Some(list) if list.len() == num => list,
            Some(list) => {
                let len = list.len();
                fields.report(ConfigProblem::Length { key: path, len, expected: num });
                vec![1.0; num]
            }
            None => vec![1.0; num],
        }
    }

    /// Refuses what nobody has read and is not without meaning, and gives the entries back.
    pub(super) fn finish(self, fields: &mut Fields, supported: &'static str) -> Value {
        for (name, value) in &self.entries {
            // `finetuned` is a note of YaRN's authors.
            if !self.used.contains(&name.as_str()) && !is_one(value) && name != "finetuned" {
                fields.refuse(&self.path(name), value, supported);
            }
        }
        let mut entries = self.entries;
        entries.sort_keys();
        Value::Object(entries)
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

fn is_one(value: &Value) -> bool {
    value.as_f64() == Some(1.0)
}

fn is_same_number(a: &Value, b: &Value) -> bool {
    a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}
