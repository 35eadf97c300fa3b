//! A mesh as people draw it: the slowest axes down, the others across, a rank in each cell.

mod series;
#[cfg(test)]
mod tests;

use std::{fmt, iter};

use self::series::Series;
use crate::{Axis, DeviceMesh};

/// More columns than this do not fit on a screen: axes go down instead, or columns are left out.
const MAX_COLUMNS: usize = 16;
/// More rows than this do not either.
const MAX_ROWS: usize = 32;
/// What stands for the rows or columns that are left out.
const GAP: &str = "..";
/// Blanks between two columns.
const SPACE: usize = 2;

/// The sizes in one line, then the ranks. Axes of size 1 have no place in the drawing. A label
/// holds until the next one of its axis; of a large mesh, the first ranks and the last are drawn.
///
/// ```
/// use autopipe_mesh::DeviceMesh;
///
/// let drawing = "\
/// 12 ranks: pp 2 x dp 2 x tp 3
///       dp 0              dp 1
///       tp 0  tp 1  tp 2  tp 0  tp 1  tp 2
/// pp 0  0     1     2     3     4     5
/// pp 1  6     7     8     9     10    11
/// ";
/// assert_eq!(DeviceMesh::new([("pp", 2), ("dp", 2), ("tp", 3)])?.to_string(), drawing);
/// # Ok::<(), autopipe_mesh::Error>(())
/// ```
impl fmt::Display for DeviceMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let num_ranks = self.world_size();
        let plural = if num_ranks == 1 { "" } else { "s" };
        writeln!(f, "{num_ranks} rank{plural}: {}", self.sizes_as_text())?;

        let axes: Vec<(&Axis, usize)> = self.axes().filter(|(_, size)| *size > 1).collect();
        if axes.is_empty() {
            return writeln!(f, "rank {}", self.rank_at(0));
        }
        let (down, across) = axes.split_at(num_down(&axes));
        let (rows, columns) = (Series::new(down, MAX_ROWS), Series::new(across, MAX_COLUMNS));
        let rank = |row: Option<usize>, column: Option<usize>| match (row, column) {
            (Some(row), Some(column)) => self.rank_at(row * columns.num + column).to_string(),
            (None, _) | (_, None) => String::from(GAP),
        };
        let cells: Vec<Vec<String>> = rows
            .drawn
            .iter()
            .map(|row| columns.drawn.iter().map(|column| rank(*row, *column)).collect())
            .collect();

        let longest = cells.iter().flatten().map(|cell| cell.chars().count()).max();
        let width = longest.unwrap_or_default().max(columns.spacing());
        let margins: Vec<usize> = rows.labels.iter().map(|labels| longest_of(labels)).collect();
        let widths = || margins.iter().copied().chain(iter::repeat(width));
        for labels in &columns.labels {
            let blanks = margins.iter().map(|_| "");
            line(f, blanks.chain(labels.iter().map(String::as_str)).zip(widths()))?;
        }
        for (row, cells) in cells.iter().enumerate() {
            let heads = rows.labels.iter().map(|labels| labels[row].as_str());
            line(f, heads.chain(cells.iter().map(String::as_str)).zip(widths()))?;
        }
        match (rows.num_left_out(), columns.num_left_out()) {
            (0, 0) => Ok(()),
            (down, 0) => writeln!(f, "{down} rows left out"),
            (0, right) => writeln!(f, "{right} columns left out"),
            (down, right) => writeln!(f, "{down} rows and {right} columns left out"),
        }
    }
}

/// How many axes go down: the slowest, and more while the others are too many to go across.
fn num_down(axes: &[(&Axis, usize)]) -> usize {
    let columns = |down: usize| axes[down..].iter().map(|(_, size)| size).product::<usize>();
    let last = axes.len().saturating_sub(1).max(1); // one axis stays across, if there are two
    (1..last).find(|down| columns(*down) <= MAX_COLUMNS).unwrap_or(last)
}

fn longest_of(labels: &[String]) -> usize {
    labels.iter().map(|label| label.chars().count()).max().unwrap_or_default()
}

/// One line of the drawing, without blanks at its end. A text longer than its width runs on over
/// the empty ones after it.
fn line<'a>(
    f: &mut fmt::Formatter<'_>,
    cells: impl Iterator<Item = (&'a str, usize)>,
) -> fmt::Result {
    let mut text = String::new();
    let (mut start, mut end) = (0_usize, 0);
    for (cell, width) in cells {
        // A format's width would not do: it goes up to 65535, and names are as long as they like.
        text.extend(iter::repeat_n(' ', start.saturating_sub(end)));
        text.push_str(cell);
        end = end.max(start) + cell.chars().count();
        start += width + SPACE;
    }
    writeln!(f, "{}", text.trim_end())
}
