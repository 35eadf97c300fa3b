//! Reads the fields of a `config.json` and collects everything that is wrong with them.

mod problem;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::nearest::misspelt;
pub use problem::ConfigProblem;
pub(crate) use problem::listed;

/// The largest size a config may give: far above any model, far below what overflows.
pub(crate) const MAX_SIZE: usize = 1 << 24;

/// Far more layers than any model has.
pub(crate) const MAX_LAYERS: usize = 10_000;

/// The fields of a config on their way into a decoder's description. What is read is sane: a field
/// that is not has been reported, and its default is read in its place.
pub(crate) struct Fields {
    /// The fields that nobody has read, `null` included.
    left: Map<String, Value>,
    /// What was read of each field, its default where it was missing.
    read: Map<String, Value>,
    /// The names of all fields that somebody reads.
    known: BTreeSet<String>,
    problems: Vec<ConfigProblem>,
}

impl Fields {
    /// All fields of `json`, which has to be an object.
    pub(crate) fn new(json: &Value) -> Self {
        let (left, problems) = match json {
            Value::Object(map) => (map.clone(), Vec::new()),
            other => (Map::new(), vec![ConfigProblem::NotAnObject { value: other.to_string() }]),
        };
        Self { left, read: Map::new(), known: BTreeSet::new(), problems }
    }

    /// All fields, those that were read with the values they have, and all problems. A field that
    /// nobody read and that is spelt almost like one that somebody reads is a problem too.
    pub(crate) fn finish(mut self) -> (Map<String, Value>, Vec<ConfigProblem>) {
        for key in self.left.keys() {
            if let Some(nearest) = misspelt(key, self.known.iter().map(String::as_str)) {
                self.problems.push(ConfigProblem::Misspelt {
                    key: key.clone(),
                    nearest: nearest.to_owned(),
                });
            }
        }
        self.left.extend(self.read);
        self.left.sort_keys();
        (self.left, self.problems)
    }

    pub(crate) fn report(&mut self, problem: ConfigProblem) {
        self.problems.push(problem);
    }

    /// Whether some field's value stays unknown, so that nothing can be said of how others fit it.
    pub(crate) fn hide_a_value(&self) -> bool {
        self.problems.iter().any(ConfigProblem::hides_a_value)
    }

    /// The field's value, `null` included.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        // Keeps the order of the others, unlike `remove`.
        let value = self.left.shift_remove(key);
        self.known.insert(key.to_owned());
        self.read.insert(key.to_owned(), value.clone().unwrap_or(Value::Null));
        value
    }

    /// The field's value where transformers has `None` for a default.
    pub(crate) fn take_optional(&mut self, key: &str) -> Option<Value> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// Lays a value under another name, to be read there.
    pub(crate) fn put(&mut self, key: &str, value: Value) {
        self.left.insert(key.to_owned(), value);
    }

    /// Writes a field as it was understood.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.left.shift_remove(key);
        self.read.insert(key.to_owned(), value.into());
    }

    /// Forgets a field that was read: its content is written under another name.
    pub(crate) fn unset(&mut self, key: &str) {
        self.read.shift_remove(key);
    }

    /// A size: a whole number from 1 to [`MAX_SIZE`].
    pub(crate) fn size(&mut self, key: &str, default: usize) -> usize {
        self.size_up_to(key, default, MAX_SIZE)
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn size_up_to(&mut self, key: &str, default: usize, max: usize) -> usize {
        let value = self.take(key);
        let size = self.sane_size(key, value, max).unwrap_or(default);
        self.set(key, size);
        size
    }

    /// As [`size`](Self::size), `None` for a `null`; `default` where the field is missing.
    pub(crate) fn optional_size(&mut self, key: &str, default: Option<usize>) -> Option<usize> {
        let size = match self.take(key) {
            None => default,
            Some(Value::Null) => None,
            value => self.sane_size(key, value, MAX_SIZE).or(default),
        };
        self.set(key, size);
        size
    }

    /// A count from 0 on.
    pub(crate) fn count(&mut self, key: &str, default: usize) -> usize {
        let value = self.take(key);
        let count = self.convert(key, value, as_size, "a whole number").unwrap_or(default);
        self.set(key, count);
        count
    }

    /// A finite number of at least `min`, of a size that float32 has.
    pub(crate) fn number(&mut self, key: &str, default: f64, min: Min) -> f64 {
        let value = self.take(key);
        let number = self.sane_number(key, value, min).unwrap_or(default);
        self.set(key, number);
        number
    }

    /// As [`number`](Self::number), `None` for a `null`; `default` where the field is missing.
    pub(crate) fn optional_number(
        &mut self,
        key: &str,
        default: Option<f64>,
        min: Min,
    ) -> Option<f64> {
        let number = match self.take(key) {
            None => default,
            Some(Value::Null) => None,
            value => self.sane_number(key, value, min).or(default),
        };
        self.set(key, number);
        number
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> bool {
        let value = self.take(key);
        let flag = self.convert(key, value, Value::as_bool, "true or false").unwrap_or(default);
        self.set(key, flag);
        flag
    }

    /// A list of which `item` reads each entry; `None` if it is missing, `null` or no such list.
    pub(crate) fn list<T>(
        &mut self,
        key: &str,
        item: impl Fn(&Value) -> Option<T>,
        expected: &'static str,
    ) -> Option<Vec<T>> {
        let value = self.take_optional(key);
        let items =
            |value: &Value| value.as_array().and_then(|items| items.iter().map(item).collect());
        self.convert(key, value, items, expected)
    }

    /// Refuses every value but those for which `is_neutral` says that it changes nothing.
    pub(crate) fn refuse_unless(
        &mut self,
        key: &str,
        is_neutral: impl FnOnce(&Value) -> bool,
        supported: &'static str,
    ) {
        if let Some(value) = self.take_optional(key).filter(|value| !is_neutral(value)) {
            self.refuse(key, &value, supported);
        } else if self.read.get(key).is_some_and(Value::is_null) {
            // It says nothing, or was never there.
            self.unset(key);
        }
    }

    /// Reports that two fields that say the same thing say it differently.
    pub(crate) fn disagree(&mut self, first: (String, &Value), second: (String, &Value)) {
        self.report(ConfigProblem::Disagreement {
            first: first.0,
            first_value: first.1.to_string(),
            second: second.0,
            second_value: second.1.to_string(),
        });
    }

    /// Reports a value that asks for what is not implemented.
    pub(crate) fn refuse(&mut self, key: &str, value: &Value, supported: &'static str) {
        let (key, value) = (key.to_owned(), value.to_string());
        self.report(ConfigProblem::Unsupported { key, value, supported });
    }

    /// The value as what it should be, or none if there is none or it is something else.
    pub(crate) fn convert<T>(
        &mut self,
        key: &str,
        value: Option<Value>,
        convert: impl FnOnce(&Value) -> Option<T>,
        expected: &'static str,
    ) -> Option<T> {
        let value = value?;
        let converted = convert(&value);
        if converted.is_none() {
            self.report(ConfigProblem::Type {
                key: key.to_owned(),
                value: value.to_string(),
                expected,
            });
        }
        converted
    }

    fn sane_size(&mut self, key: &str, value: Option<Value>, max: usize) -> Option<usize> {
        let size = self.convert(key, value, as_size, "a whole number")?;
        if (1..=max).contains(&size) {
            return Some(size);
        }
        self.report(ConfigProblem::Size { key: key.to_owned(), value: size, max });
        None
    }

    /// The value as a finite number of at least `min`, of a size that float32 has.
    pub(crate) fn sane_number(&mut self, key: &str, value: Option<Value>, min: Min) -> Option<f64> {
        let number = self.convert(key, value, Value::as_f64, "a number")?;
        let (least, expected) = min.bound();
        // What is computed in float32 has to be a number there.
        if (least..=f64::from(f32::MAX)).contains(&number) {
            return Some(number);
        }
        self.report(ConfigProblem::Number { key: key.to_owned(), value: number, expected });
        None
    }
}

/// The least value that a number may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Min {
    /// It may be zero.
    Zero,
    /// It is a divisor or a logarithm is taken of it.
    AboveZero,
}

impl Min {
    fn bound(self) -> (f64, &'static str) {
        match self {
            Self::Zero => (0.0, "a finite number, at least 0"),
            Self::AboveZero => (f32::MIN_POSITIVE.into(), "a finite number above 0"),
        }
    }
}

/// A whole number as a size.
pub(crate) fn as_size(value: &Value) -> Option<usize> {
    // What is too large for the machine is as much too large as what is above the limit.
    value.as_u64().map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}
