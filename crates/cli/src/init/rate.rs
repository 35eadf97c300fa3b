//! A learning rate to begin with.

/// From so many parameters on, the highest rate for random weights, and for saved ones. Larger models
/// take smaller steps; the rates from scratch follow table 2.1 of <https://arxiv.org/abs/2005.14165>.
const RATES: [(usize, f64, f64); 5] = [
    (10_000_000_000, 1e-4, 1e-5),
    (1_000_000_000, 2e-4, 2e-5),
    (300_000_000, 3e-4, 3e-5),
    (50_000_000, 6e-4, 5e-5),
    (10_000_000, 1e-3, 1e-4),
];

/// Of models that are smaller than all of these.
const SMALL: (f64, f64) = (3e-3, 3e-4);

/// The highest learning rate for AdamW, for a model with saved weights or random ones.
pub(super) fn learning_rate(num_parameters: usize, has_weights: bool) -> f64 {
    let row = RATES.into_iter().find(|(least, _, _)| num_parameters >= *least);
    let (scratch, tuned) = row.map_or(SMALL, |(_, scratch, tuned)| (scratch, tuned));
    if has_weights { tuned } else { scratch }
}
