//! What was written where: the place of every key of a recipe that was read.

use super::{Entry, Node, Place, Value};
use crate::{Problem, report::Texts};

/// The texts of a recipe and the values in them.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) texts: Texts,
    pub(crate) root: Node,
}

impl Default for Written {
    /// Nothing is written.
    fn default() -> Self {
        let root = Node { place: Place::WHOLE, value: Value::Null };
        Written { texts: Texts::new([]), root }
    }
}

/// Recipes are equal that say the same, wherever they say it.
impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Written {
    /// A problem of a key, shown where the key is, or the nearest section around it that is written.
    pub(crate) fn problem(&self, key: &str, message: String, help: Option<String>) -> Problem {
        self.texts.problem(self.root.place_of(key, Place::WHOLE), key, message, help)
    }
}

impl Node {
    /// Where the value of a dotted key is, or else the nearest section around it that is written,
    /// which is `own` for the value itself. An item of a list is `key[0]`.
    pub(crate) fn place_of(&self, key: &str, own: Place) -> Place {
        let (mut node, mut place) = (self, own);
        for name in key.split('.') {
            let (name, index) = name.split_once('[').unwrap_or((name, ""));
            let Some(entry) = node.entry(name) else { break };
            (node, place) = (&entry.node, entry.place_of_value());
            let index = index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            if let (Value::List(items), Some(index)) = (&node.value, index)
                && let Some(item) = items.get(index)
            {
                (node, place) = (item, item.place);
            }
        }
        place
    }

    /// Whether a dotted key below has a value.
    pub(crate) fn is_set_below(&self, key: &str) -> bool {
        let mut names = key.split('.');
        let value = names.try_fold(self, |node, name| node.entry(name).map(|entry| &entry.node));
        value.is_some_and(|node| !node.value.is_none())
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key)
    }
}

impl Entry {
    /// Where a value is best shown that is not what it should be: itself, or its key if it is a block
    /// that begins on a later line.
    pub(crate) fn place_of_wrong(&self) -> Place {
        let (key, own) = (self.place, self.node.place);
        match self.node.value {
            Value::Mapping(_) | Value::List(_) if own.text == key.text && own.line > key.line => {
                key
            }
            _ => own,
        }
    }

    /// Where a problem of the value is best shown.
    pub(crate) fn place_of_value(&self) -> Place {
        match self.node.value {
            // The caret under a whole block, or under nothing, says less than under its key.
            Value::Mapping(_) | Value::List(_) | Value::Null => self.place,
            _ => self.node.place,
        }
    }
}
