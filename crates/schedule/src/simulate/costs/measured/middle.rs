//! The middle of measured values, which the odd ones at the ends do not move.

/// The median; of two in the middle the lower, for what the first microbatch makes larger.
pub(super) fn lower_middle(values: Option<&Vec<f64>>) -> Option<f64> {
    let sorted = sorted(values?);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// The median; of two in the middle the upper, for what the first microbatch makes smaller.
pub(super) fn upper_middle(values: Option<&Vec<f64>>) -> Option<f64> {
    let sorted = sorted(values?);
    sorted.get(sorted.len() / 2).copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}
