//! What a value is told that has the wrong type or lies out of range.

use crate::{
    document::{Node, Place},
    section::{Problems, Reported},
};

/// What is wrong with one value and with those inside it. Empty for a value that is reported as
/// broken already.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<Complaint>);

#[derive(Debug)]
struct Complaint {
    place: Place,
    /// Where it is inside the value, such as `[2]`; empty for the value itself.
    inside: String,
    message: String,
    help: Option<String>,
}

impl Complaints {
    pub(crate) fn one(node: &Node, message: impl Into<String>) -> Self {
        let (inside, message) = (String::new(), message.into());
        Complaints(vec![Complaint { place: node.place, inside, message, help: None }])
    }

    /// The value is not what it should be.
    pub(crate) fn expected(what: &str, node: &Node) -> Self {
        match node.value.kind() {
            Some(found) => Complaints::one(node, format!("expected {what}, found {found}")),
            None => Complaints::default(),
        }
    }

    /// Adds a way out to each.
    pub(crate) fn help(mut self, help: &str) -> Self {
        for complaint in &mut self.0 {
            complaint.help = Some(help.to_owned());
        }
        self
    }

    /// The same complaints, those of the value itself at another place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        for complaint in self.0.iter_mut().filter(|complaint| complaint.inside.is_empty()) {
            complaint.place = place;
        }
        self
    }

    /// The same complaints, of a value inside another.
    pub(crate) fn inside(mut self, outer: &str) -> Self {
        for complaint in &mut self.0 {
            complaint.inside.insert_str(0, outer);
        }
        self
    }

    pub(crate) fn extend(&mut self, more: Complaints) {
        self.0.extend(more.0);
    }

    /// Reports all of them under a key.
    pub(crate) fn report(self, key: &str, problems: &Problems) -> Reported {
        for Complaint { place, inside, message, help } in self.0 {
            problems.push(place, &format!("{key}{inside}"), message, help);
        }
        Reported::already()
    }
}
