//! A mesh as people draw it: the slowest axis down, the others across, a rank in each cell.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::{Axis, DeviceMesh};

/// More rows or columns than this are counted, not drawn.
const MAX_DRAWN: usize = 16;

/// The sizes in one line, then the ranks. Axes of size 1 have no place in the drawing.
///
/// ```
/// use autopipe_mesh::DeviceMesh;
///
/// let drawing = "\
/// 6 ranks: pp 2 x tp 3
///       tp 0  tp 1  tp 2
/// pp 0  0     1     2
/// pp 1  3     4     5
/// ";
/// assert_eq!(DeviceMesh::new([("pp", 2), ("tp", 3)])?.to_string(), drawing);
/// # Ok::<(), autopipe_mesh::Error>(())
/// ```
impl fmt::Display for DeviceMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let num_ranks = self.world_size();
        let plural = if num_ranks == 1 { "" } else { "s" };
        writeln!(f, "{num_ranks} rank{plural}: {}", self.sizes_as_text())?;

        let mut drawn = self.axes().filter(|(_, size)| *size > 1);
        let Some((down, num_rows)) = drawn.next() else {
            return writeln!(f, "rank {}", self.rank_at(0));
        };
        let across: Vec<(&Axis, usize)> = drawn.collect();
        let num_columns = num_ranks / num_rows;
        let (rows, columns) = (num_rows.min(MAX_DRAWN), num_columns.min(MAX_DRAWN));
        let margin = label(down, num_rows - 1).len();
        let labels = across.iter().map(|(axis, size)| label(axis, size - 1).len());
        let width = labels.chain([self.rank_at(num_ranks - 1).to_string().len()]).max();
        let width = width.unwrap_or_default();

        let mut repeat = num_columns; // columns from one label of an axis to its next
        for (axis, size) in &across {
            repeat /= size;
            let titles = (0..columns).map(|column| {
                let starts = column.is_multiple_of(repeat);
                if starts { label(axis, column / repeat % size) } else { String::new() }
            });
            line(f, "", margin, titles, width)?;
        }
        for row in 0..rows {
            let cells = (0..columns).map(|column| self.rank_at(row * num_columns + column));
            line(f, &label(down, row), margin, cells.map(|rank| rank.to_string()), width)?;
        }
        match (num_rows - rows, num_columns - columns) {
            (0, 0) => Ok(()),
            (down, 0) => writeln!(f, "and {down} more rows"),
            (0, right) => writeln!(f, "and {right} more columns"),
            (down, right) => writeln!(f, "and {down} more rows, {right} more columns"),
        }
    }
}

fn label(axis: &Axis, index: usize) -> String {
    format!("{axis} {index}")
}

/// One line of the drawing, without blanks at its end.
fn line(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    margin: usize,
    cells: impl Iterator<Item = String>,
    width: usize,
) -> fmt::Result {
    let mut text = format!("{head:<margin$}");
    for cell in cells {
        text.push_str("  ");
        text.push_str(&format!("{cell:<width$}"));
    }
    writeln!(f, "{}", text.trim_end())
}
