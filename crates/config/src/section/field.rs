//! Whether a key has to be there, and what it is if it is not.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Kind, Reported, Section};
use crate::document::join;

/// How one key of a section is read.
pub(crate) trait Field {
    /// What the key stands for in the program.
    type Out;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<Self::Out, Reported>;
}

/// A key that must have a value.
pub(crate) struct Required<K>(pub(super) K);

/// A key that may be absent, empty, `null` or `none`, which are all the same.
pub(crate) struct Optional<K>(pub(super) K);

/// A key that has a default.
pub(crate) struct Or<K: Kind>(pub(super) K, pub(super) K::Value);

/// A key that has a default, which `null` takes away.
pub(crate) struct Nullable<K: Kind>(Or<K>);

impl<K: Kind> Or<K> {
    /// Makes `null` different from no key at all.
    pub(crate) fn nullable(self) -> Nullable<K> {
        Nullable(self)
    }
}

/// A section that may be absent.
pub(crate) struct MaySection<F>(pub(crate) F);

impl<K: Kind> Field for Required<K> {
    type Out = K::Value;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<K::Value, Reported> {
        section.ask(key, doc, true, |_| self.0.schema());
        match value(&self.0, section, key)? {
            Some(value) => Ok(value),
            None => Err(section.missing(key)),
        }
    }
}

impl<K: Kind> Field for Optional<K> {
    type Out = Option<K::Value>;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<Option<K::Value>, Reported> {
        section.ask(key, doc, false, |_| or_none(self.0.schema()));
        value(&self.0, section, key)
    }
}

impl<K: Kind<Value: Serialize>> Field for Or<K> {
    type Out = K::Value;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<K::Value, Reported> {
        section.ask(key, doc, false, |_| {
            let mut schema = or_none(self.0.schema());
            schema["default"] = json!(self.1);
            schema
        });
        Ok(value(&self.0, section, key)?.unwrap_or(self.1))
    }
}

impl<K: Kind<Value: Serialize>> Field for Nullable<K> {
    type Out = Option<K::Value>;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<Option<K::Value>, Reported> {
        let is_null = section.has(key) && !section.is_set(key);
        let value = self.0.read(section, key, doc)?;
        Ok(Some(value).filter(|_| !is_null))
    }
}

impl<T, F: FnOnce(&mut Section<'_>) -> Result<T, Reported>> Field for MaySection<F> {
    type Out = Option<T>;

    /// Nothing for a section that is not written.
    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<Option<T>, Reported> {
        let is_written = section.is_set(key);
        let value = section.within(key, doc, self.0)?;
        if is_written { value.map(Some) } else { Ok(None) }
    }
}

/// The value of a key that has one.
pub(super) fn value<K: Kind>(
    kind: &K,
    section: &Section<'_>,
    key: &'static str,
) -> Result<Option<K::Value>, Reported> {
    let Some(entry) = section.written(key) else { return Ok(None) };
    kind.read(&entry.node).map(Some).map_err(|complaints| {
        let path = join(&section.path, key);
        complaints.at(entry.place_of_wrong()).report(&path, section.problems)
    })
}

/// The schema of a value or of what means that there is none.
pub(super) fn or_none(schema: Json) -> Json {
    let none = json!({ "$ref": "#/$defs/none" });
    match schema {
        Json::Object(mut choice) if choice.len() == 1 && choice.contains_key("anyOf") => {
            if let Some(Json::Array(schemas)) = choice.get_mut("anyOf") {
                schemas.push(none);
            }
            Json::Object(choice)
        }
        schema => json!({ "anyOf": [schema, none] }),
    }
}
