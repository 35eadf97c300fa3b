//! Large numbers as people read them.

/// A number that is not negative to three digits, with the letter of a power of 1000.
///
/// ```
/// use autopipe_splitter::{short, short_bytes};
///
/// assert_eq!([999., 12_345., 2e30].map(short), ["999", "12.3 k", "2.00e30"]);
/// assert_eq!([999., 12_345.].map(short_bytes), ["999 B", "12.3 kB"]);
/// ```
pub fn short(value: f64) -> String {
    const UNITS: [&str; 7] = ["", " k", " M", " G", " T", " P", " E"];
    let mut rest = value;
    for unit in UNITS {
        // What would be rounded to a thousand belongs to the next unit.
        if rest < 999.5 {
            let decimals = if rest >= 99.95 || rest == rest.trunc() {
                0
            } else if rest >= 9.995 {
                1
            } else {
                2
            };
            return format!("{rest:.decimals$}{unit}");
        }
        rest /= 1000.0;
    }
    format!("{value:.2e}")
}

/// The same of bytes: `12.3 kB`.
pub fn short_bytes(bytes: f64) -> String {
    let number = short(bytes);
    let blank = if number.contains(' ') { "" } else { " " };
    format!("{number}{blank}B")
}

/// All digits of a count, a comma before every three: `1,234,567`.
pub fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn three_digits_and_a_unit() {
        let numbers = [
            0.0, 0.5, 7.0, 999.0, 999.5, 1000.0, 1234.0, 12_345.0, 999_499.0, 999_500.0, 1e18, 2e30,
        ];
        let expected = [
            "0", "0.50", "7", "999", "1.00 k", "1 k", "1.23 k", "12.3 k", "999 k", "1.00 M", "1 E",
            "2.00e30",
        ];
        assert_eq!(numbers.map(short), expected);
        assert_eq!(short(f64::INFINITY), "inf");
    }
}
