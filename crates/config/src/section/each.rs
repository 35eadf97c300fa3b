//! A list of sections.

use serde_json::{Value as Json, json};

use super::{Complaints, Reported, Section, field::or_none};
use crate::document::{Entry, Node, Place, Value, join};

impl<'a> Section<'a> {
    /// Reads a list of sections, of which there is at least one; nothing for a key without a value.
    pub(crate) fn each<T>(
        &mut self,
        key: &'static str,
        doc: &str,
        read: impl Fn(&mut Section<'a>) -> Result<T, Reported>,
    ) -> Result<Option<Vec<T>>, Reported> {
        let path = join(&self.path, key);
        let items = match self.written(key) {
            Some(Entry { node: Node { value: Value::List(items), .. }, .. })
                if !items.is_empty() =>
            {
                items.as_slice()
            }
            Some(entry) => {
                let complaints = match &entry.node.value {
                    Value::List(_) => Complaints::one(&entry.node, "the list is empty"),
                    _ => Complaints::expected("a list of sections", &entry.node)
                        .help("write each item as `- key: value`"),
                };
                self.ask(key, doc, false, |_| Json::Null);
                return Err(complaints.at(entry.place_of_wrong()).report(&path, self.problems));
            }
            None => &[],
        };
        let mut values = Vec::new();
        let mut failed = None;
        for (index, node) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let value =
                Section::open(path, node.place, node, self.problems).and_then(|mut item| {
                    let value = read(&mut item);
                    item.finish();
                    value
                });
            match value {
                Ok(value) => values.push(value),
                Err(reported) => failed = Some(reported),
            }
        }
        let problems = self.problems;
        self.ask(key, doc, false, |_| {
            let path = format!("{path}[]");
            let mut item = Section::at(path.clone(), Place::WHOLE, &[], problems);
            let _ = read(&mut item);
            item.finish();
            let item = problems.schema_of(&path);
            or_none(json!({ "type": "array", "items": item, "minItems": 1 }))
        });
        match failed {
            Some(reported) => Err(reported),
            None => Ok((!values.is_empty()).then_some(values)),
        }
    }
}
