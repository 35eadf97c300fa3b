//! The key `_target_`, by which NeMo's recipes name a class or function of Python.

use serde_json::{Value as Json, json};

use super::{Complaints, Field, Kind, Reading, Reported, Section};
use crate::{
    choice::Choice,
    document::{Node, Value},
    nearest::{listed, nearest, shortened},
};

/// A name of Python that has an equivalent here.
pub(crate) struct Target<T>(std::marker::PhantomData<T>);

impl<T: Choice> Target<T> {
    pub(crate) const OF: Target<T> = Target(std::marker::PhantomData);
}

impl<T: Choice> Kind for Target<T> {
    type Value = T;

    fn read(&self, node: &Node) -> Reading<T> {
        let Value::Text(name) = &node.value else {
            return Err(Complaints::expected("a name of Python", node).help(&choices::<T>()));
        };
        name.parse().map_err(|_| {
            // The modules are much alike; the last part tells them apart.
            let tails = T::SPELLINGS.iter().map(|name| tail(name));
            let near = nearest(tail(name), tails);
            let near = near.and_then(|near| T::SPELLINGS.iter().find(|name| tail(name) == near));
            let asked = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let message = format!("`{}` has no equivalent here{asked}", shortened(name));
            Complaints::one(node, message).help(&choices::<T>())
        })
    }

    fn schema(&self) -> Json {
        json!({ "enum": T::SPELLINGS })
    }
}

fn choices<T: Choice>() -> String {
    match T::SPELLINGS {
        [only] => format!("the only {} is `{only}`", T::WHAT),
        names => format!("the {}s are {}", T::WHAT, listed(names)),
    }
}

/// The name without its modules, of which the names begin with a small letter.
fn tail(name: &str) -> &str {
    let mut start = 0;
    for part in name.split('.') {
        if part.starts_with(|c: char| c.is_uppercase()) {
            break;
        }
        start += part.len() + 1;
    }
    name.get(start..).unwrap_or(name)
}

impl Section<'_> {
    /// Reads `_target_`.
    pub(crate) fn target<T: Choice>(&mut self, doc: &str) -> Result<Option<T>, Reported> {
        let target = Target::OF.optional().read(self, "_target_", doc);
        self.hide();
        target
    }
}
