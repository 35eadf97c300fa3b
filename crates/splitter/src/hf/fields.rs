//! Reads the fields of a `config.json` and collects everything that is wrong with them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::HfProblem;

/// The largest size a config may give: far above any model, far below what overflows.
pub(super) const MAX_SIZE: usize = 1 << 24;

/// Far more layers than any model has.
pub(super) const MAX_LAYERS: usize = 10_000;

/// The largest patch, kernel or factor between the tokens of a tower and those of the text.
pub(super) const MAX_FACTOR: usize = 1 << 10;

/// Of a value that is to be shown, how much.
const MAX_SHOWN: usize = 60;

/// The length from which on a name is compared with others: short ones are alike by chance.
const LONG_ENOUGH: usize = 8;

/// The fields of one object of a config. What is read is sane: a field that is not has been
/// reported, and its default is read in its place.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// The way to the object, with its dot.
    path: String,
    known: RefCell<Vec<&'static str>>,
    /// What was read as its default because it is wrong.
    wrong: RefCell<Vec<String>>,
    problems: RefCell<Vec<HfProblem>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self::at(map, String::new())
    }

    /// No fields at all, to be read where those that are needed are missing.
    pub(super) fn empty() -> Fields<'static> {
        static EMPTY: OnceLock<Map<String, Value>> = OnceLock::new();
        Fields::new(EMPTY.get_or_init(Map::new))
    }

    fn at(map: &'a Map<String, Value>, path: String) -> Self {
        let (known, wrong, problems) = <(RefCell<_>, RefCell<_>, RefCell<_>)>::default();
        Self { map, path, known, wrong, problems }
    }

    /// The field by its whole name.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// Keeps a problem. A field that is read twice is not wrong twice.
    pub(super) fn report(&self, problem: HfProblem) {
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Takes over what is wrong with an object inside of this one.
    pub(super) fn absorb(&self, inner: Fields<'_>) {
        self.problems.borrow_mut().extend(inner.finish());
    }

    /// Everything that is wrong. A field that nobody has read and that is spelt almost like one that
    /// somebody has is so too, unless that one is there; of several such fields, the first.
    pub(super) fn finish(self) -> Vec<HfProblem> {
        let known: BTreeSet<&str> = self.known.into_inner().into_iter().collect();
        let mut missing: Vec<&str> =
            known.iter().copied().filter(|name| !self.map.contains_key(*name)).collect();
        let mut problems = self.problems.into_inner();
        for key in self.map.keys().filter(|key| !known.contains(key.as_str())) {
            if let Some(place) = missing.iter().position(|name| is_slip(key, name)) {
                let nearest = missing.swap_remove(place);
                let [key, nearest] = [key, nearest].map(|name| format!("{}{name}", self.path));
                problems.push(HfProblem::Misspelt { key, nearest });
            }
        }
        problems
    }

    /// The field's value; a `null` is none.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether the field is there and `null`, where a family has another default.
    pub(super) fn is_null(&self, key: &'static str) -> bool {
        self.known.borrow_mut().push(key);
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// The object of fields under this one.
    pub(super) fn object(&self, key: &'static str) -> Option<Fields<'a>> {
        match self.get(key)? {
            Value::Object(map) => Some(Self::at(map, self.key(&format!("{key}.")))),
            other => {
                self.refuse(key, other, "an object of fields");
                None
            }
        }
    }

    /// The same where the object has to be there.
    pub(super) fn required_object(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Option<Fields<'a>> {
        if self.get(key).is_none() {
            self.report(HfProblem::Missing { key: self.key(key), expected });
        }
        self.object(key)
    }

    /// A size of at least 1.
    pub(super) fn size(&self, key: &'static str, default: usize) -> usize {
        self.optional_size(key).unwrap_or(default)
    }

    /// A size of at least 1, or none for a `null` and a missing field.
    pub(super) fn optional_size(&self, key: &'static str) -> Option<usize> {
        self.range(key, 1, MAX_SIZE)
    }

    /// A size that may be 0, by any of `keys`, which are spellings of one field; and the key that it
    /// was found under. A `null` is a 0, a missing field is the default.
    pub(super) fn any_count(&self, keys: &[&'static str], default: usize) -> (&'static str, usize) {
        let mut found: Option<(&'static str, usize)> = None;
        for &key in keys {
            match (self.range(key, 0, MAX_SIZE), found) {
                (Some(second), Some((first_key, first))) if first != second => {
                    self.report(HfProblem::Disagreement {
                        first: self.key(first_key),
                        first_value: first.to_string(),
                        second: self.key(key),
                        second_value: second.to_string(),
                    });
                }
                (Some(size), None) => found = Some((key, size)),
                (Some(_) | None, _) => {}
            }
        }
        let is_null = keys.iter().any(|key| self.is_null(key));
        let first = keys.first().copied().unwrap_or_default();
        found.unwrap_or((first, if is_null { 0 } else { default }))
    }

    /// A whole number within limits.
    pub(super) fn range(&self, key: &'static str, min: usize, max: usize) -> Option<usize> {
        let value = self.get(key)?;
        if !value.is_i64() && !value.is_u64() {
            self.refuse(key, value, "a whole number");
            return None;
        }
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| (min..=max).contains(size));
        if size.is_none() {
            self.wrong.borrow_mut().push(key.to_owned());
            self.report(HfProblem::Size { key: self.key(key), value: value.to_string(), min, max });
        }
        size
    }

    pub(super) fn flag(&self, key: &'static str, default: bool) -> bool {
        self.optional_flag(key).unwrap_or(default)
    }

    pub(super) fn optional_flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if !value.is_boolean() {
            self.refuse(key, value, "true or false");
        }
        value.as_bool()
    }

    /// A word.
    pub(super) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?;
        if !value.is_string() {
            self.refuse(key, value, "a text");
        }
        value.as_str()
    }

    /// A list, each entry made by `entry`.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        expected: &str,
        entry: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let list = value.as_array().and_then(|list| list.iter().map(entry).collect());
        if list.is_none() {
            self.refuse(key, value, expected);
        }
        list
    }

    /// Numbers of layers.
    pub(super) fn layers(&self, key: &'static str) -> Option<Vec<usize>> {
        self.list(key, "a list of the numbers of layers", |layer| {
            layer.as_u64().and_then(|layer| usize::try_from(layer).ok())
        })
    }

    /// A list that has to have an entry per layer.
    pub(super) fn per_layer<T>(
        &self,
        key: &'static str,
        num_layers: usize,
        expected: &str,
        entry: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let list = self.list(key, expected, entry)?;
        if list.len() == num_layers {
            return Some(list);
        }
        self.report(HfProblem::NotOnePerLayer { key: self.key(key), len: list.len(), num_layers });
        None
    }

    /// Reports a value that is not `expected`.
    pub(super) fn refuse(&self, key: &str, value: &Value, expected: &str) {
        self.refuse_shown(key, shown(value), expected.to_owned());
    }

    /// The same for a value that is text already.
    pub(super) fn refuse_shown(&self, key: &str, value: String, expected: String) {
        self.wrong.borrow_mut().push(key.to_owned());
        self.report(HfProblem::Value { key: self.key(key), value, expected });
    }

    /// Reports `value` if it is no multiple of `divisor`, unless one of them is wrong anyway.
    pub(super) fn check_multiple(
        &self,
        (key, value): (&str, usize),
        (divisor_key, divisor): (&str, usize),
        way_out: &'static str,
    ) {
        let is_wrong = |key: &str| self.wrong.borrow().iter().any(|wrong| wrong == key);
        if value.checked_rem(divisor) != Some(0) && !is_wrong(key) && !is_wrong(divisor_key) {
            let [key, divisor_key] = [key, divisor_key].map(|key| self.key(key));
            self.report(HfProblem::NotAMultiple { key, value, divisor_key, divisor, way_out });
        }
    }
}

/// The beginning of a value as JSON, without writing all of it first.
pub(super) fn shown(value: &Value) -> String {
    struct Beginning(String);
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.push_str(&text.chars().take(MAX_SHOWN + 1).collect::<String>());
            if self.0.len() > 2 * MAX_SHOWN { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut beginning = Beginning(String::new());
    // It stops with an error once it has enough.
    let _ = fmt::Write::write_fmt(&mut beginning, format_args!("{value}"));
    shortened(&beginning.0)
}

/// The text if it is short, or its beginning and dots.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// Whether a field is one letter away from a known one.
fn is_slip(key: &str, known: &str) -> bool {
    known.len() >= LONG_ENOUGH
        && known.len().abs_diff(key.len()) <= 1
        && strsim::damerau_levenshtein(key, known) == 1
}
