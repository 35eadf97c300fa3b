//! From the events of the YAML parser to a tree of values.

use std::collections::BTreeMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Span, SpannedEventReceiver, Tag};

use super::{Entry, Node, Origin, Place, Value, join};
use crate::{nearest::shortened, section::Problems};

/// The most values that are copied for anchors and aliases, which bounds what a few nested ones grow
/// to.
const MAX_COPIED: usize = 100_000;

/// What YAML 1.1 writes as the key of a mapping whose entries are to be this one's too.
const MERGE: &str = "<<";

/// Builds the values of one text.
pub(super) struct Builder<'a> {
    origin: Origin,
    /// The dotted path that the text is the value of.
    path: &'a str,
    problems: &'a Problems,
    /// One per document.
    pub(super) documents: Vec<Node>,
    /// The lists and mappings that are not at their end yet.
    open: Vec<Open>,
    /// What anchors name; nothing for what is too large to be copied.
    anchors: BTreeMap<usize, Option<Node>>,
    num_copied: usize,
}

/// A list or mapping that is not at its end yet.
struct Open {
    path: String,
    place: Place,
    anchor: usize,
    broken: bool,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// The line of each key.
        seen: BTreeMap<String, usize>,
        /// What was read of an entry: nothing, or its key, or that there is none.
        key: Option<Option<(String, Place)>>,
    },
}

impl<'a> Builder<'a> {
    pub(super) fn new(origin: Origin, path: &'a str, problems: &'a Problems) -> Self {
        Builder {
            origin,
            path,
            problems,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            num_copied: 0,
        }
    }

    /// The dotted path of the value that comes next.
    fn path(&self) -> String {
        let Some(open) = self.open.last() else { return self.path.to_owned() };
        match &open.kind {
            Kind::List(items) => format!("{}[{}]", open.path, items.len()),
            Kind::Mapping { key: Some(Some((key, _))), .. } => join(&open.path, key),
            Kind::Mapping { .. } => open.path.clone(),
        }
    }

    fn open(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, span: Span) {
        let (path, place) = (self.path(), self.origin.place(&span.start, &span.start));
        let own = match &kind {
            Kind::List(_) => "seq",
            Kind::Mapping { .. } => "map",
        };
        let broken = self.has_meaningless(tag, &path, place)
            || tag.is_some_and(|tag| tag.suffix != own) && self.has_unfit(&path, place);
        self.open.push(Open { path, place, anchor, broken, kind });
    }

    /// The list or mapping that was opened last is at its end.
    fn close(&mut self, span: Span) {
        let Some(Open { mut place, anchor, broken, kind, .. }) = self.open.pop() else { return };
        // Brackets end where the event does, blocks before; what the width is for ends with the line.
        let end = self.origin.place(&span.start, &span.end);
        place.width = if end.line == place.line {
            (end.column + 1).saturating_sub(place.column).max(1)
        } else {
            usize::MAX
        };
        let value = match kind {
            Kind::List(_) | Kind::Mapping { .. } if broken => Value::Broken,
            Kind::List(items) => Value::List(items),
            Kind::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.add(Node { place, value }, anchor);
    }

    fn scalar(&mut self, scalar: Option<Scalar<'_>>, tag: Option<&Tag>, span: Span) -> Node {
        let (path, place) = (self.path(), self.origin.place(&span.start, &span.end));
        let value = match scalar {
            Some(_) if self.has_meaningless(tag, &path, place) => Value::Broken,
            Some(Scalar::Null) => Value::Null,
            Some(Scalar::Boolean(value)) => Value::Bool(value),
            Some(Scalar::Integer(value)) => Value::Integer(value),
            Some(Scalar::FloatingPoint(value)) => Value::Float(value.into_inner()),
            Some(Scalar::String(text)) => Value::Text(text.into_owned()),
            None => {
                self.has_unfit(&path, place);
                Value::Broken
            }
        };
        Node { place, value }
    }

    /// Whether a tag says something that is not YAML's own.
    fn has_meaningless(&self, tag: Option<&Tag>, path: &str, place: Place) -> bool {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) else { return false };
        let name = format!("{}{}", tag.handle, tag.suffix);
        let message = format!("the tag `{}` has no meaning here", shortened(&name));
        self.problems.push(place, path, message, Some("remove it".into()));
        true
    }

    /// A tag of YAML's own is on a value of another type.
    fn has_unfit(&self, path: &str, place: Place) -> bool {
        self.problems.push(place, path, "the value does not fit its tag", Some("remove it".into()));
        true
    }

    /// What an alias stands for.
    fn alias(&mut self, anchor: usize, span: Span) -> Node {
        let place = self.origin.place(&span.start, &span.end);
        let message = match self.anchors.remove(&anchor) {
            Some(Some(node)) if self.may_copy(&node) => {
                let copy = Node { place, ..node.clone() };
                self.anchors.insert(anchor, Some(node));
                return copy;
            }
            Some(_) => {
                self.anchors.insert(anchor, None);
                "aliases stand for more values than a recipe can have"
            }
            // The parser knows the name, so this is inside what it names.
            None => "an alias cannot stand inside what it stands for",
        };
        self.problems.push(place, &self.path(), message, Some("write the value out".into()));
        Node { place, value: Value::Broken }
    }

    /// Whether there may be a copy of a value, and if so counts it.
    fn may_copy(&mut self, node: &Node) -> bool {
        let size = count(node, MAX_COPIED.saturating_sub(self.num_copied));
        self.num_copied = size.map_or(MAX_COPIED, |size| self.num_copied + size);
        size.is_some()
    }

    /// Puts a value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            let copy = self.may_copy(&node).then(|| node.clone());
            self.anchors.insert(anchor, copy);
        }
        let Some(open) = self.open.last_mut() else { return self.documents.push(node) };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Mapping { entries, seen, key } => match key.take() {
                None => *key = Some(key_of(node, &open.path, seen, self.problems)),
                Some(Some((key, place))) => entries.push(Entry { key, place, node }),
                Some(None) => {}
            },
        }
    }
}

/// The text of a key that was not there before.
fn key_of(
    node: Node,
    parent: &str,
    seen: &mut BTreeMap<String, usize>,
    problems: &Problems,
) -> Option<(String, Place)> {
    let Value::Text(key) = node.value else {
        if node.value != Value::Broken {
            let help = Some("put it in quotes".into());
            problems.push(node.place, parent, "a key must be text", help);
        }
        return None;
    };
    if key == MERGE {
        let message = "keys are not merged in from elsewhere";
        problems.push(node.place, parent, message, Some("write them out".into()));
        return None;
    }
    if let Some(line) = seen.get(&key) {
        let help = format!("remove one of the two; the other is on line {line}");
        problems.push(node.place, &join(parent, &key), "the key is given twice", Some(help));
        return None;
    }
    seen.insert(key.clone(), node.place.line);
    Some((key, node.place))
}

/// How many values a value consists of; `None` for more than `budget`.
fn count(node: &Node, budget: usize) -> Option<usize> {
    let mut left = budget.checked_sub(1)?;
    let inner: Box<dyn Iterator<Item = &Node>> = match &node.value {
        Value::List(items) => Box::new(items.iter()),
        Value::Mapping(entries) => Box::new(entries.iter().map(|entry| &entry.node)),
        _ => return Some(1),
    };
    for node in inner {
        left -= count(node, left)?;
    }
    Some(budget - left)
}

impl<'input> SpannedEventReceiver<'input> for Builder<'_> {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        match event {
            Event::SequenceStart(anchor, tag) => {
                self.open(Kind::List(Vec::new()), anchor, tag.as_deref(), span);
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Mapping { entries: Vec::new(), seen: BTreeMap::new(), key: None };
                self.open(kind, anchor, tag.as_deref(), span);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let node = self.scalar(scalar, tag.as_deref(), span);
                self.add(node, anchor);
            }
            Event::Alias(anchor) => {
                let node = self.alias(anchor, span);
                self.add(node, 0);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
    }
}
