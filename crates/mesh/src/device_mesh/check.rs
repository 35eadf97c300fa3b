//! Everything that is wrong with the axes, or the ranks, of a new mesh.

use std::collections::BTreeMap;

use super::{DeviceMesh, MAX_RANKS};
use crate::{Axis, Problem};

pub(super) fn axes(axes: &[(Axis, usize)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if axes.is_empty() {
        problems.push(Problem::NoAxis);
    }
    let has = |name: &Axis| axes.iter().any(|(axis, _)| axis == name);
    for (position, (axis, size)) in axes.iter().enumerate() {
        let earlier = axes[..position].iter().filter(|(other, _)| other == axis).count();
        if axis.as_str().trim().is_empty() {
            problems.push(Problem::EmptyName { position });
        } else if earlier == 1 {
            problems.push(Problem::DuplicateAxis { axis: axis.clone() }); // once, also for three
        }
        let flattened = axis.flattens();
        if !flattened.is_empty() && flattened.iter().all(has) {
            problems.push(Problem::FlattenedAxis { axis: axis.clone() });
        }
        if *size == 0 {
            problems.push(Problem::ZeroSize { axis: axis.clone() });
        }
    }
    let ranks = axes.iter().try_fold(1_usize, |product, (_, size)| product.checked_mul(*size));
    if ranks.is_none_or(|ranks| ranks > MAX_RANKS) {
        let sizes: Vec<String> = axes.iter().map(|(axis, size)| format!("{axis} {size}")).collect();
        problems.push(Problem::TooManyRanks { sizes: sizes.join(" x ") });
    }
    problems
}

/// Everything that is wrong with ranks that are to stand in a mesh in place of its own.
pub(super) fn ranks(ranks: &[usize], mesh: &DeviceMesh) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (got, expected) = (ranks.len(), mesh.world_size());
    if got != expected {
        problems.push(Problem::RankCount { got, expected, mesh: mesh.sizes_as_text() });
    }
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    for rank in ranks {
        *times.entry(*rank).or_default() += 1;
    }
    let repeated: Vec<usize> =
        times.into_iter().filter(|(_, times)| *times > 1).map(|(rank, _)| rank).collect();
    if !repeated.is_empty() {
        problems.push(Problem::RepeatedRanks { ranks: repeated });
    }
    problems
}
