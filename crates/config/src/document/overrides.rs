//! Overrides, such as `distributed.pp_size=4`: each puts one value into the tree.

use super::{Entry, Node, Origin, Place, Value, join, yaml};
use crate::{
    nearest::shortened,
    section::{Problems, Reported},
};

/// How messages name an override.
pub(crate) const OVERRIDE: &str = "--set";

/// How many keys an override names at most; it bounds the nesting, and so the recursion over the tree.
const MAX_KEYS: usize = 20;

/// An override: the keys on the way to a value, each with its place, and the value.
pub(super) struct Override {
    keys: Vec<(String, Place)>,
    value: Node,
}

/// Reads override number `text`.
pub(super) fn parse(text: usize, problems: &Problems) -> Result<Override, Reported> {
    let written = problems.text(text);
    let whole = Place { text, width: written.chars().count(), ..Place::WHOLE };
    let form = || Some("write `section.key=value`, such as `distributed.pp_size=4`".into());
    let Some((path, value)) = written.split_once('=') else {
        return Err(problems.push(whole, "", "an override without `=`", form()));
    };
    let num_keys = path.split('.').count();
    if num_keys > MAX_KEYS {
        let message =
            format!("a value lies at most {MAX_KEYS} keys deep, this path has {num_keys}");
        return Err(problems.push(whole, "", message, None));
    }
    let mut keys = Vec::new();
    let mut column = 1;
    for key in path.split('.') {
        let width = key.chars().count();
        let place = Place { column, width: width.max(1), ..whole };
        if key.trim().is_empty() || key.contains(['\n', '\r']) {
            return Err(problems.push(place, "", "an override with an empty key", form()));
        }
        keys.push((key.trim().to_owned(), place));
        column += width + 1;
    }
    let path = keys.iter().fold(String::new(), |path, (key, _)| join(&path, key));
    let value = yaml(value, Origin { text, offset: column - 1 }, &path, problems)?;
    Ok(Override { keys, value })
}

/// Puts the value into the tree. Sections on the way are made if they are missing.
pub(super) fn apply(root: &mut Node, over: Override, problems: &Problems) {
    let (mut node, mut path) = (root, String::new());
    for (key, place) in over.keys {
        let inner = join(&path, &key);
        let outer = std::mem::replace(&mut path, inner);
        if node.value.is_none() {
            node.value = Value::Mapping(Vec::new());
        }
        let found = node.value.kind();
        let Value::Mapping(entries) = &mut node.value else {
            if let Some(found) = found {
                let outer = if outer.is_empty() { "the recipe" } else { shortened(&outer) };
                let message = format!("there are no keys below `{outer}`, which is {found}");
                let help = format!("override `{outer}` as a whole");
                problems.push(place, &path, message, Some(help));
            }
            return;
        };
        let index = entries.iter().position(|entry| entry.key == key).unwrap_or(entries.len());
        if index == entries.len() {
            entries.push(Entry { key, place, node: Node { place, value: Value::Null } });
        }
        let Some(entry) = entries.get_mut(index) else { return };
        // What is said about a section that an override adds to is best shown there.
        entry.place = place;
        node = &mut entry.node;
    }
    *node = over.value;
}
