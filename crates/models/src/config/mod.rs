//! Reads the fields of a `config.json` and collects everything that is wrong with them.

mod problem;

use serde_json::{Map, Value};

use crate::nearest::misspelt;
pub use problem::ConfigProblem;
pub(crate) use problem::listed;

/// The largest size a config may give: far above any model, far below what overflows.
pub(crate) const MAX_SIZE: usize = 1 << 24;

/// The fields of a config on their way into a family's own type. Reading one takes it out; what
/// nobody took at the end is kept as it is.
pub(crate) struct Fields {
    left: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl Fields {
    /// All fields of `json`, which has to be an object.
    pub(crate) fn new(json: &Value) -> Self {
        let (left, problems) = match json {
            Value::Object(map) => (map.clone(), Vec::new()),
            other => (Map::new(), vec![ConfigProblem::NotAnObject { value: other.to_string() }]),
        };
        Self { left, known: Vec::new(), problems }
    }

    /// What was read from none of the fields, and all problems. A field that nobody read and that is
    /// spelt almost like one that somebody reads is a problem too.
    pub(crate) fn finish(mut self) -> (Map<String, Value>, Vec<ConfigProblem>) {
        for key in self.left.keys() {
            if let Some(nearest) = misspelt(key, self.known.iter().copied()) {
                self.problems.push(ConfigProblem::Misspelt {
                    key: key.clone(),
                    nearest: nearest.to_owned(),
                });
            }
        }
        (self.left, self.problems)
    }

    pub(crate) fn report(&mut self, problem: ConfigProblem) {
        self.problems.push(problem);
    }

    /// The field's value, `null` included.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        // Keeps the order of the others, unlike `remove`.
        self.left.shift_remove(key)
    }

    /// The field's value where transformers has `None` for a default.
    pub(crate) fn take_optional(&mut self, key: &'static str) -> Option<Value> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// A size: a whole number from 1 to [`MAX_SIZE`].
    pub(crate) fn size(&mut self, key: &'static str, default: usize) -> usize {
        let value = self.take(key);
        self.convert(key, value, as_size, "a whole number").unwrap_or(default)
    }

    /// As [`size`](Self::size), `None` for a `null`.
    pub(crate) fn optional_size(&mut self, key: &'static str) -> Option<usize> {
        let value = self.take_optional(key);
        self.convert(key, value, as_size, "a whole number")
    }

    pub(crate) fn number(&mut self, key: &'static str, default: f64) -> f64 {
        let value = self.take(key);
        self.convert(key, value, Value::as_f64, "a number").unwrap_or(default)
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let value = self.take(key);
        self.convert(key, value, Value::as_bool, "true or false").unwrap_or(default)
    }

    /// Refuses every value but those for which `is_neutral` says that it changes nothing.
    pub(crate) fn refuse_unless(
        &mut self,
        key: &'static str,
        is_neutral: impl FnOnce(&Value) -> bool,
        supported: &'static str,
    ) {
        if let Some(value) = self.take_optional(key).filter(|value| !is_neutral(value)) {
            self.report(ConfigProblem::Unsupported {
                key: key.to_owned(),
                value: value.to_string(),
                supported,
            });
        }
    }

    fn convert<T>(
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
}

fn as_size(value: &Value) -> Option<usize> {
    // What is too large for the machine is as much too large as what is above the limit.
    value.as_u64().map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

/// A problem if a size is zero or absurd.
pub(crate) fn check_size(key: &str, value: usize, max: usize) -> Option<ConfigProblem> {
    let key = key.to_owned();
    (!(1..=max).contains(&value)).then_some(ConfigProblem::Size { key, value, max })
}
