//! Which kind of model a config describes, by its `model_type`.

use serde_json::Value;

use super::HfError;
use super::families::{FAMILIES, ReadDecoder};
use super::fields::{Fields, shown};
use super::nested::{NESTED, Nested};
use crate::nearest::nearest;

/// A kind of model that is known.
pub(super) enum Kind {
    Text(ReadDecoder),
    Nested(&'static Nested),
}

/// All kinds that are known, by `model_type`.
fn kinds() -> impl Iterator<Item = (&'static str, Kind)> {
    static KINDS: &[(&str, Nested)] = &NESTED;
    let text = FAMILIES.into_iter().map(|(name, read)| (name, Kind::Text(read)));
    text.chain(KINDS.iter().map(|(name, nested)| (*name, Kind::Nested(nested))))
}

/// What `model_type` says.
pub(super) fn kind<'a>(fields: &Fields<'a>) -> Result<(&'a str, Kind), HfError> {
    let known = || {
        let mut names: Vec<String> = kinds().map(|(name, _)| name.to_owned()).collect();
        names.sort_unstable();
        names
    };
    let key = fields.key("model_type");
    let Some(value) = fields.get("model_type") else {
        return Err(HfError::NoModelType { key, known: known() });
    };
    let found = value.as_str().and_then(|given| {
        let (_, kind) = kinds().find(|(name, _)| *name == given)?;
        Some((given, kind))
    });
    found.ok_or_else(|| unknown(key, value, known()))
}

fn unknown(key: String, value: &Value, known: Vec<String>) -> HfError {
    // A long text is like none of them, and would take long to compare.
    let given = value.as_str().filter(|given| given.len() <= 64);
    let nearest = given.and_then(|given| nearest(given, &known));
    HfError::UnknownModelType { key, value: shown(value), nearest, known }
}

/// The family that the text's own `model_type` names.
pub(super) fn chosen_family(text: &Fields<'_>, default: &str) -> Result<ReadDecoder, HfError> {
    let Some(value) = text.get("model_type") else { return Ok(family(default)) };
    let found = FAMILIES.into_iter().find(|(name, _)| value == name);
    found.map(|(_, read)| read).ok_or_else(|| {
        let known = FAMILIES.map(|(name, _)| name.to_owned()).to_vec();
        unknown(text.key("model_type"), value, known)
    })
}

pub(super) fn family(name: &str) -> ReadDecoder {
    let family = FAMILIES.into_iter().find(|(known, _)| *known == name);
    family.map(|(_, read)| read).expect("the default text of a nested kind is a family")
}
