//! Which of the valid names a wrong one was probably meant to be.

/// How alike two names must be, of 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.8;

/// How many letters a misspelt name is away from the right one.
const FEW_LETTERS: usize = 2;

/// Names shorter than this lie within two letters of too many others.
const LONG_ENOUGH: usize = 6;

/// The valid name most like the given one, if any is much like it.
pub(crate) fn nearest<'a>(
    given: &str,
    valid: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    valid
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The valid name that the given one is a slip of, where unknown names are otherwise welcome.
pub(crate) fn misspelt<'a>(
    given: &str,
    valid: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    valid
        .into_iter()
        .filter(|name| name.len() >= LONG_ENOUGH)
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| (1..=FEW_LETTERS).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to add to a message about a wrong name: ` (did you mean ..?)` or nothing.
pub(crate) fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}
