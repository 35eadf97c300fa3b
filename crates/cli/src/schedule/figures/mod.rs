//! Counts and columns for people.

#[cfg(test)]
mod tests;

/// A part of a whole in percent, to a tenth.
pub(crate) fn percent(part: f64) -> String {
    // Rounding must not show as a minus in front of nothing.
    format!("{:.1}%", (100.0 * part).max(0.0))
}

/// Counts by rank in as few words as they take: the same for all, one by one, or the ends.
pub(crate) fn counts(values: &[usize]) -> String {
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
pub(crate) fn counted(num: usize, one: &str) -> String {
    format!("{num} {one}{}", if num == 1 { "" } else { "s" })
}

/// Lines of cells in columns, the first flush left and the others flush right.
pub(crate) fn columns(lines: &[Vec<String>]) -> String {
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

/// Two columns, both flush left.
pub(crate) fn columns_flush_left(rows: &[[String; 2]]) -> String {
    let width = rows.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
    rows.iter().map(|[name, value]| format!("{name:<width$}  {value}\n")).collect()
}
