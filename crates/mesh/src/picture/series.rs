//! The rows or the columns of a drawing: which are drawn, and what is written at each.

use super::SPACE;
use crate::Axis;

/// What runs in one direction of a drawing: one axis, or several with the last running fastest.
pub(super) struct Series {
    /// How many rows or columns there are.
    pub(super) num: usize,
    /// Those that are drawn; nothing stands for all that are left out.
    pub(super) drawn: Vec<Option<usize>>,
    /// For each axis, what stands at each of the drawn; empty where the label before still holds.
    pub(super) labels: Vec<Vec<String>>,
}

impl Series {
    pub(super) fn new(axes: &[(&Axis, usize)], limit: usize) -> Self {
        let num: usize = axes.iter().map(|(_, size)| size).product();
        let drawn: Vec<Option<usize>> = if num <= limit {
            (0..num).map(Some).collect()
        } else {
            (0..limit - 2).map(Some).chain([None, Some(num - 1)]).collect()
        };
        let mut repeat = num; // from one label of an axis to its next
        let mut labels = Vec::with_capacity(axes.len());
        for (axis, size) in axes {
            repeat /= size;
            let label = |place: usize| format!("{axis} {}", place / repeat % size);
            let mut before = None;
            let new = drawn.iter().map(|place| {
                let starts = place.is_some_and(|place| {
                    before.is_none_or(|before| place / repeat != before / repeat)
                });
                before = *place;
                place.filter(|_| starts).map(label).unwrap_or_default()
            });
            labels.push(new.collect());
        }
        Series { num, drawn, labels }
    }

    /// How many are not drawn.
    pub(super) fn num_left_out(&self) -> usize {
        self.num - self.drawn.iter().flatten().count()
    }

    /// The width at which each label ends before the next one of its axis begins.
    pub(super) fn spacing(&self) -> usize {
        self.labels.iter().flat_map(|labels| gaps(labels)).max().unwrap_or_default()
    }
}

/// The width that each label but the last asks for.
fn gaps(labels: &[String]) -> Vec<usize> {
    let written: Vec<(usize, usize)> = labels
        .iter()
        .enumerate()
        .filter(|(_, label)| !label.is_empty())
        .map(|(start, label)| (start, label.chars().count()))
        .collect();
    let pairs = written.windows(2);
    let width = |(start, length): (usize, usize), next: usize| {
        (length + SPACE).div_ceil(next - start).saturating_sub(SPACE)
    };
    pairs.map(|pair| width(pair[0], pair[1].0)).collect()
}
