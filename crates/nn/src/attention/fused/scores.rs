//! What happens to a row of scores between the products.

use std::ops::Range;

use crate::cpu::{Real, max, sum};

/// Turns a row of scores into exponentials relative to the largest so far, and returns by how much
/// what was added up under the last `largest` has to shrink. What is not seen becomes zero.
#[inline(always)]
pub(super) fn exponentiate<T: Real>(
    row: &mut [T],
    seen: Range<usize>,
    largest: &mut T,
    total: &mut T,
) -> T {
    let seen = only(row, seen);
    if seen.is_empty() {
        return T::one();
    }
    let before = *largest;
    let now = max(seen);
    let now = if now > before { now } else { before };
    for x in &mut *seen {
        *x = (*x - now).exp();
    }
    let shrink = (before - now).exp();
    *largest = now;
    *total = *total * shrink + sum(seen, |x| x);
    shrink
}

/// Turns a row of scores into probabilities.
#[inline(always)]
pub(super) fn probabilities<T: Real>(row: &mut [T], seen: Range<usize>, log_sum: T) {
    for x in only(row, seen) {
        *x = (*x - log_sum).exp();
    }
}

/// Turns gradients of probabilities into those of scores: `P (dP - Σ G·out)`.
#[inline(always)]
pub(super) fn differentiate<T: Real>(row: &mut [T], probabilities: &[T], along: T) {
    for (grad, &p) in row.iter_mut().zip(probabilities) {
        *grad = p * (*grad - along);
    }
}

/// The bound of scores: `cap · tanh(score / cap)`.
#[derive(Clone, Copy)]
pub(super) struct Softcap<T> {
    cap: T,
    inverse: T,
}

impl<T: Real> Softcap<T> {
    pub(super) fn new(cap: f64) -> Self {
        Self { cap: T::constant(cap), inverse: T::constant(1. / cap) }
    }

    /// Bounds what is seen of a row of scores.
    #[inline(always)]
    pub(super) fn apply(self, row: &mut [T], seen: &Range<usize>) {
        for x in &mut row[seen.start..seen.end] {
            *x = self.cap * (*x * self.inverse).tanh();
        }
    }

    /// [`probabilities`] and [`differentiate`] for scores that are not bounded yet; the gradients
    /// become theirs.
    #[inline(always)]
    pub(super) fn back(
        self,
        row: &mut [T],
        grads: &mut [T],
        seen: Range<usize>,
        [log_sum, along]: [T; 2],
    ) {
        let (row, grads) = (only(row, seen.clone()), only(grads, seen));
        for (x, grad) in row.iter_mut().zip(grads) {
            let tanh = (*x * self.inverse).tanh();
            let p = (self.cap * tanh - log_sum).exp();
            *grad = p * (*grad - along) * (T::one() - tanh * tanh);
            *x = p;
        }
    }
}

/// The part of a row that is seen, after the rest is zero.
#[inline(always)]
fn only<T: Real>(row: &mut [T], seen: Range<usize>) -> &mut [T] {
    let (before, rest) = row.split_at_mut(seen.start);
    let (seen, after) = rest.split_at_mut(seen.end - seen.start);
    before.fill(T::zero());
    after.fill(T::zero());
    seen
}
