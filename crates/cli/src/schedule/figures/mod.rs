//! Numbers and columns for people.

#[cfg(test)]
mod tests;

/// A number to at most six significant digits, without needless zeros.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs();
    if !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:e}");
    }
    let decimals = match magnitude {
        ..10.0 => 5,
        ..100.0 => 4,
        ..1e3 => 3,
        ..1e4 => 2,
        ..1e5 => 1,
        _ => 0,
    };
    // Below 1, digits behind the point that are zeros do not count.
    let zeros = (1..=4).filter(|&exponent| magnitude < 10_f64.powi(-exponent)).count();
    let leading = if magnitude < 1.0 { 1 } else { 0 };
    trimmed(format!("{value:.*}", decimals + leading + zeros))
}

/// A part of a whole in percent, to a tenth.
pub(super) fn percent(part: f64) -> String {
    // Rounding must not show as a minus in front of nothing.
    format!("{:.1}%", (100.0 * part).max(0.0))
}

/// Counts by rank in as few words as they take: the same for all, one by one, or the ends.
pub(super) fn counts(values: &[usize]) -> String {
    match values {
        [] => String::new(),
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|value| value == first) => {
            format!("{first} on every rank")
        }
        _ if values.len() <= 16 => {
            let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
            let by_rank = if values.len() > 1 { ", by rank" } else { "" };
            format!("{}{by_rank}", texts.join(" "))
        }
        _ => {
            let (most, least) = (values.iter().max(), values.iter().min());
            format!("{} to {}, by rank", least.unwrap_or(&0), most.unwrap_or(&0))
        }
    }
}

/// `1 rank`, `2 ranks`.
pub(super) fn counted(num: usize, one: &str) -> String {
    format!("{num} {one}{}", if num == 1 { "" } else { "s" })
}

/// Lines of cells in columns, the first flush left and the others flush right.
pub(super) fn columns(lines: &[Vec<String>]) -> String {
    let num_columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..num_columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            if column == 0 {
                row.push_str(&format!("{cell:<width$}"));
            } else {
                row.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
