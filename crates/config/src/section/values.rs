//! The types a value of a recipe can have, and what is said to a value of another type.

use serde_json::Number;

use crate::{
    choice::Choice,
    document::{Entry, Node, Value},
    nearest::listed,
    section::Complaints,
};

/// A value of the type that was asked for, or everything that is wrong with it.
pub(crate) type Reading<T> = Result<T, Complaints>;

pub(crate) fn text(node: &Node) -> Reading<String> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Err(Complaints::one(node, "the text is empty")),
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
            Err(Complaints::expected("text", node).help("put it in quotes"))
        }
        Value::Null | Value::List(_) | Value::Mapping(_) | Value::Broken => {
            Err(Complaints::expected("text", node))
        }
    }
}

pub(crate) fn flag(node: &Node) -> Reading<bool> {
    match &node.value {
        Value::Bool(value) => Ok(*value),
        _ => Err(Complaints::expected("`true` or `false`", node)),
    }
}

/// A whole number from 1.
pub(crate) fn size(node: &Node) -> Reading<usize> {
    match natural(node)? {
        0 => Err(Complaints::one(node, "0 is too small, the smallest is 1")),
        size => Ok(size),
    }
}

/// A whole number from 0.
pub(crate) fn natural(node: &Node) -> Reading<usize> {
    let number = whole(node)?;
    usize::try_from(number)
        .map_err(|_| Complaints::one(node, format!("the largest number is {}", usize::MAX)))
}

/// A whole number from 0, whatever the machine's word.
pub(crate) fn whole(node: &Node) -> Reading<u64> {
    match node.value {
        Value::Integer(number) => u64::try_from(number)
            .map_err(|_| Complaints::one(node, format!("{number} is negative"))),
        Value::Float(number) if number.abs() >= FIRST_BEYOND_I64 => {
            Err(Complaints::one(node, format!("too large, the largest number is {}", i64::MAX)))
        }
        Value::Float(number) => {
            let complaints = Complaints::expected("a whole number", node);
            let is_whole = number.fract() == 0.0;
            Err(if is_whole { complaints.help(&format!("write {number}")) } else { complaints })
        }
        _ => Err(Complaints::expected("a whole number", node)),
    }
}

/// 2 to the power of 63: YAML integers from here on are read as floating point.
const FIRST_BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

/// A number greater than 0.
pub(crate) fn positive(node: &Node) -> Reading<f64> {
    number(node, "greater than 0", |number| number > 0.0)
}

/// A number of at least 0.
pub(crate) fn non_negative(node: &Node) -> Reading<f64> {
    number(node, "0 or greater", |number| number >= 0.0)
}

/// A number of at least 0 and less than 1.
pub(crate) fn fraction(node: &Node) -> Reading<f64> {
    number(node, "at least 0 and less than 1", |number| (0.0..1.0).contains(&number))
}

fn number(node: &Node, range: &str, is_in_range: fn(f64) -> bool) -> Reading<f64> {
    let number = match node.value {
        #[expect(clippy::cast_precision_loss, reason = "a rate is no different at the 16th digit")]
        Value::Integer(number) => number as f64,
        Value::Float(number) => number,
        _ => return Err(Complaints::expected("a number", node)),
    };
    if is_in_range(number) && number.is_finite() {
        Ok(number)
    } else {
        Err(Complaints::one(node, format!("{number} is out of range, the number must be {range}")))
    }
}

/// One of the names of a closed set.
pub(crate) fn choice<T: Choice>(node: &Node) -> Reading<T> {
    let Value::Text(name) = &node.value else {
        return Err(Complaints::expected(&format!("a {}", T::WHAT), node).help(&valid::<T>()));
    };
    name.parse().map_err(|unknown: crate::UnknownName| {
        let asked = unknown.nearest.map(|name| format!("; did you mean `{name}`?"));
        let message = format!("unknown {}{}", T::WHAT, asked.unwrap_or_default());
        Complaints::one(node, message).help(&valid::<T>())
    })
}

fn valid<T: Choice>() -> String {
    match T::NAMES {
        [only] => format!("the only valid one is `{only}`"),
        names => format!("the valid ones are {}", listed(names)),
    }
}

/// A list with at least one item.
pub(crate) fn list_of<T>(read: impl Fn(&Node) -> Reading<T>) -> impl Fn(&Node) -> Reading<Vec<T>> {
    move |node| match &node.value {
        Value::List(items) if items.is_empty() => Err(Complaints::one(node, "the list is empty")),
        Value::List(items) => all(items.iter().enumerate().map(|(index, item)| {
            read(item).map_err(|complaints| complaints.inside(&format!("[{index}]")))
        })),
        _ => Err(Complaints::expected("a list", node)),
    }
}

/// A list of exactly two items.
pub(crate) fn pair_of<T>(read: impl Fn(&Node) -> Reading<T>) -> impl Fn(&Node) -> Reading<[T; 2]> {
    let list = list_of(read);
    move |node| {
        <[T; 2]>::try_from(list(node)?).map_err(|items: Vec<T>| {
            Complaints::one(node, format!("expected a list of 2, found a list of {}", items.len()))
        })
    }
}

/// A section, as JSON.
pub(crate) fn json_object(node: &Node) -> Reading<serde_json::Value> {
    match &node.value {
        Value::Mapping(_) => json(node),
        _ => Err(Complaints::expected("a section", node)),
    }
}

fn json(node: &Node) -> Reading<serde_json::Value> {
    Ok(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => Number::from_f64(*number)
            .ok_or_else(|| Complaints::one(node, format!("JSON has no number {number}")))?
            .into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => all(items.iter().enumerate().map(|(index, item)| {
            json(item).map_err(|complaints| complaints.inside(&format!("[{index}]")))
        }))?
        .into(),
        Value::Mapping(entries) => {
            let fields = entries.iter().map(|Entry { key, node, .. }| match json(node) {
                Ok(value) => Ok((key.clone(), value)),
                Err(complaints) => Err(complaints.inside(&format!(".{key}"))),
            });
            serde_json::Value::Object(all(fields)?.into_iter().collect())
        }
        Value::Broken => return Err(Complaints::default()),
    })
}

/// Every value, or the complaints about all of them.
fn all<T>(readings: impl Iterator<Item = Reading<T>>) -> Reading<Vec<T>> {
    let mut values = Vec::new();
    let mut complaints: Option<Complaints> = None;
    for reading in readings {
        match reading {
            Ok(value) => values.push(value),
            Err(more) => complaints.get_or_insert_default().extend(more),
        }
    }
    complaints.map_or(Ok(values), Err)
}
