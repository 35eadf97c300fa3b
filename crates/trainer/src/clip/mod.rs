//! Clipping by the norm of all gradients of all ranks.
//!
//! ```text
//! norm = sqrt(sum over ranks, parameters and elements of g^2)
//! g   <- g * min(1, max_norm / (norm + 1e-6))
//! ```

use candle_core::{DType, Tensor};

use crate::Error;

/// By how much every gradient is multiplied so that their norm is at most `max_norm`: 1 where it is
/// already, as `torch.nn.utils.clip_grad_norm_` has it. NaN stays NaN.
pub fn clip_coefficient(total_norm: f64, max_norm: f64) -> f64 {
    let coefficient = max_norm / (total_norm + 1e-6);
    // Not `f64::min`, which would turn a NaN into "nothing to clip".
    if coefficient > 1.0 { 1.0 } else { coefficient }
}

/// The norm of all gradients of all ranks, the same on each.
///
/// `sum_of_squares` is this rank's own, `gradients` are those it was made of, with their parameters'
/// names, and `sum_over_ranks` adds up a number over all ranks. A gradient that is not finite is
/// reported by the rank that has it, before that rank answers the others, so that what they are
/// told names the parameter. `gradients` is looked at only then.
///
/// # Errors
/// If a gradient of this rank is not finite, the norm is too large to compute, or the sum over ranks
/// fails.
pub fn grad_norm<'a>(
    sum_of_squares: f64,
    gradients: impl IntoIterator<Item = (&'a str, Tensor)>,
    sum_over_ranks: impl FnOnce(f64) -> Result<f64, Error>,
) -> Result<f64, Error> {
    if !sum_of_squares.is_finite() {
        return Err(match first_non_finite(gradients)? {
            Some(parameter) => Error::NonFiniteGradient { parameter: parameter.to_owned() },
            None => Error::GradientOverflow { sum_of_squares },
        });
    }
    let total = sum_over_ranks(sum_of_squares)?;
    if !total.is_finite() {
        return Err(Error::GradientOverflow { sum_of_squares: total });
    }
    Ok(total.sqrt())
}

fn first_non_finite<'a>(
    gradients: impl IntoIterator<Item = (&'a str, Tensor)>,
) -> Result<Option<&'a str>, Error> {
    let mut first: Option<&str> = None;
    for (name, gradient) in gradients {
        if first.is_none_or(|first| name < first) && !is_finite(&gradient)? {
            first = Some(name);
        }
    }
    Ok(first)
}

fn is_finite(tensor: &Tensor) -> Result<bool, Error> {
    let elements = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    Ok(elements.into_iter().all(f64::is_finite))
}

#[cfg(test)]
mod tests;
