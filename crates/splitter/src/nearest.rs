//! Which of the known names a misspelt one was probably meant to be.

/// How alike two names must be, of 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.5;

/// The known name most like the given one, if any is much like it.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Option<String> {
    let length = given.chars().count();
    known
        .into_iter()
        // The longer is at least as far from the shorter as it is longer: no need to compare them,
        // which takes time in proportion to the product of their lengths.
        .filter(|name| {
            let other = name.chars().count();
            length.min(other) >= length.max(other) / 2
        })
        .map(|name| (strsim::normalized_damerau_levenshtein(given, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name.clone())
}

/// The nearest name as the end of a message, if there is one.
pub(crate) fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
