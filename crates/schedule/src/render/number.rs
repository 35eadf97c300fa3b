//! Numbers as people read them, and the ticks of an axis.

/// A number to six significant digits, without zeros at its end: as the pictures write times.
///
/// # Examples
/// ```
/// use autopipe_schedule::render::number;
///
/// assert_eq!([33.0, 2.0 / 3.0, 2.5e20].map(number), ["33", "0.666667", "2.5e20"]);
/// ```
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    // The exponent, after rounding to six digits, says how many of them stand behind the point.
    let scientific = format!("{value:.5e}");
    let exponent: i32 =
        scientific.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if !(-4..15).contains(&exponent) {
        return trimmed_scientific(&scientific);
    }
    let decimals = usize::try_from(5 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// A part of a whole in percent, to two places.
pub(super) fn percent(part: f64) -> String {
    format!("{}\u{a0}%", trimmed(&format!("{:.2}", part * 100.0)))
}

/// A length in a picture: hundredths of a pixel are enough.
pub(super) fn pixels(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = trimmed(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn trimmed_scientific(text: &str) -> String {
    let (mantissa, exponent) = text.rsplit_once('e').unwrap_or((text, "0"));
    format!("{}e{exponent}", trimmed(mantissa))
}

/// Round times from 0 to `end`, of which at most `most` fit: multiples of 1, 2 or 5 times a power
/// of ten.
pub(super) fn ticks(end: f64, most: f64) -> Vec<f64> {
    if !(end > 0.0 && end.is_finite() && most >= 1.0) {
        return vec![0.0];
    }
    let rough = end / most;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let mut ticks = Vec::new();
    let mut count = 0.0;
    // A little more than the end, for the last tick may miss it by rounding alone.
    while count * step <= end * (1.0 + 1e-9) && count <= most {
        ticks.push(count * step);
        count += 1.0;
    }
    ticks
}
