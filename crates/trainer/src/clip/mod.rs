//! Clipping by the norm of all gradients of all ranks.
//!
//! ```text
//! norm = sqrt(sum over ranks, parameters and elements of g^2), or the largest |g|
//! g   <- g * min(1, max_norm / (norm + 1e-6))
//! ```

mod non_finite;
#[cfg(test)]
mod tests;

pub(crate) use non_finite::first_non_finite;
pub use non_finite::{NonFinite, NonFiniteNumber};

/// By how much every gradient is multiplied so that their norm is at most `max_norm`: 1 where it is
/// already, as `torch.nn.utils.clip_grad_norm_` has it. NaN stays NaN.
pub fn clip_coefficient(total_norm: f64, max_norm: f64) -> f64 {
    let coefficient = max_norm / (total_norm + 1e-6);
    // Not `f64::min`, which would turn a NaN into "nothing to clip".
    if coefficient > 1.0 { 1.0 } else { coefficient }
}
