//! Which number of a step is a NaN or an infinity, and where.

use std::fmt;

use autopipe_nn::{Parameter, grad_norm_squared};

use crate::Error;

/// A number of a step that is a NaN or an infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// The step, counted from 1.
    pub step: usize,
    /// The rank that has it.
    pub rank: usize,
    /// The stage that it is on.
    pub stage: usize,
    /// Which number.
    pub number: NonFiniteNumber,
}

/// A number of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum NonFiniteNumber {
    /// The loss.
    Loss {
        /// What it is.
        loss: f64,
    },
    /// Something in the gradient of a parameter; of several, the first in the order of names.
    Gradient {
        /// The parameter.
        parameter: String,
    },
    /// The norm of gradients that are finite each: the largest of them is too large.
    Norm,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, rank, stage, number } = self;
        match number {
            NonFiniteNumber::Loss { loss } => write!(f, "the loss is {loss}")?,
            NonFiniteNumber::Gradient { parameter } => {
                write!(f, "the gradient of `{parameter}` is not finite")?;
            }
            NonFiniteNumber::Norm => {
                write!(f, "the gradients are too large for their norm to be computed")?;
            }
        }
        write!(f, " (step {step}, rank {rank}, stage {stage})")
    }
}

/// The first parameter, in the order of names, whose gradient has a NaN or an infinity in it, or is so
/// large that its square is one.
pub(crate) fn first_non_finite<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
) -> Result<Option<&'a str>, Error> {
    let mut first: Option<&str> = None;
    for parameter in parameters {
        let name = parameter.name();
        if first.is_none_or(|first| name < first) && !grad_norm_squared([parameter])?.is_finite() {
            first = Some(name);
        }
    }
    Ok(first)
}
