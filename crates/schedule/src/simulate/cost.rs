//! What computing and sending cost.

use crate::ComputeOp;
use crate::listing::and;

/// How long things take, all in one unit of the user's choosing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    forward: f64,
    backward_input: f64,
    backward_weight: f64,
    latency: f64,
}

/// Some times are none; holds all of them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a time is a finite number, 0 or more; {}", listed(.wrong))]
pub struct CostError {
    /// Name and value.
    pub wrong: Vec<(&'static str, f64)>,
}

fn listed(wrong: &[(&'static str, f64)]) -> String {
    and(wrong.iter().map(|(name, value)| format!("{name} is {value}")))
}

impl Cost {
    /// A forward takes 1, a backward 2, half of it for the inputs; messages take no time.
    pub const UNIT: Self =
        Self { forward: 1.0, backward_input: 1.0, backward_weight: 1.0, latency: 0.0 };

    /// One stage's F, I and W of one microbatch, and one message's time under way. A whole backward
    /// (B) takes I + W.
    ///
    /// # Errors
    /// If a time is negative or not finite.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::Cost;
    ///
    /// let milliseconds = Cost::new(29.718, 29.444, 19.927, 0.527)?;
    /// assert!(Cost::new(1.0, -1.0, f64::NAN, 0.0).is_err());
    /// # Ok::<(), autopipe_schedule::CostError>(())
    /// ```
    pub fn new(
        forward: f64,
        backward_input: f64,
        backward_weight: f64,
        latency: f64,
    ) -> Result<Self, CostError> {
        let all =
            [("F", forward), ("I", backward_input), ("W", backward_weight), ("latency", latency)];
        let is_wrong = |&(_, time): &(_, f64)| !time.is_finite() || time < 0.0;
        let wrong: Vec<_> = all.into_iter().filter(is_wrong).collect();
        if !wrong.is_empty() {
            return Err(CostError { wrong });
        }
        Ok(Self { forward, backward_input, backward_weight, latency })
    }

    /// How long a stage computes.
    #[must_use]
    pub fn of(&self, op: ComputeOp) -> f64 {
        match op {
            ComputeOp::Forward | ComputeOp::Recompute => self.forward,
            ComputeOp::BackwardInput => self.backward_input,
            ComputeOp::BackwardWeight => self.backward_weight,
            ComputeOp::Backward => self.backward_input + self.backward_weight,
        }
    }

    /// How long a message is under way.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.latency
    }
}
