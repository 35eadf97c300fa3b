//! Which of the valid names a misspelt one was probably meant to be.

/// How alike two names must be, of 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.8;

/// The valid name most like the given one, if any is much like it.
pub(crate) fn nearest<'a>(
    given: &str,
    valid: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let alike = |name: &str| strsim::jaro_winkler(&given, &name.to_ascii_lowercase());
    valid
        .into_iter()
        .map(|name| (alike(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The names as a list to read: `` `a`, `b` and `c` ``.
pub(crate) fn listed(names: &[&str]) -> String {
    joined(names, "and")
}

/// The names as a list to choose from: `` `a`, `b` or `c` ``.
pub(crate) fn either_of(names: &[&str]) -> String {
    joined(names, "or")
}

fn joined(names: &[&str], last: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::from("none"),
        Some((only, [])) => only.clone(),
        Some((end, others)) => format!("{} {last} {end}", others.join(", ")),
    }
}

/// A name for a message: of a very long one the beginning.
pub(crate) fn shortened(name: &str) -> &str {
    const MOST: usize = 100;
    name.char_indices().nth(MOST).map_or(name, |(end, _)| name.get(..end).unwrap_or(name))
}
