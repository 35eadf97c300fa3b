//! The learning rate of every step: a linear warm-up, then a decay.
//!
//! Steps are counted from 1 to `n`, of which `w` warm up:
//!
//! ```text
//! s < w    rate(s) = lr * s / w
//! s >= w   t = (s - w) / (n - w)
//!          constant  rate(s) = lr
//!          linear    rate(s) = min_lr + (lr - min_lr) * (1 - t)
//!          cosine    rate(s) = min_lr + (lr - min_lr) * (1 + cos(pi * t)) / 2
//! ```
//!
//! These are Megatron's formulas, as NeMo has them; there the first step is number 0, and with a
//! warm-up it is spent at rate 0. Here step `w` has the full rate and step `n` has `min_lr`.

use std::f64::consts::PI;

use crate::Error;

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// It does not.
    Constant,
    /// Along a straight line.
    Linear {
        /// The rate of the last step.
        min_lr: f64,
    },
    /// Along half a wave of the cosine (Loshchilov and Hutter, <https://arxiv.org/abs/1608.03983>).
    Cosine {
        /// The rate of the last step.
        min_lr: f64,
    },
}

/// The learning rate as a function of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrSchedule {
    lr: f64,
    decay: Decay,
    num_warmup_steps: usize,
    num_steps: usize,
}

/// One reason why there is no such schedule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LrProblem {
    /// The rate is no positive number.
    #[error("the learning rate is {lr}, it has to be a finite number above 0")]
    Rate {
        /// The rate given.
        lr: f64,
    },
    /// The lowest rate is not between 0 and the highest.
    #[error("`min_lr` is {min_lr}, it has to lie between 0 and the learning rate {lr}")]
    MinLr {
        /// The lowest rate given.
        min_lr: f64,
        /// The highest rate given.
        lr: f64,
    },
    /// There is no step.
    #[error("a schedule of 0 steps has no learning rate, the fewest is 1")]
    NoStep,
    /// The warm-up would not end.
    #[error(
        "{num_warmup_steps} warm-up steps are more than the {num_steps} steps of the run; shorten the \
         warm-up or train longer"
    )]
    Warmup {
        /// Warm-up steps given.
        num_warmup_steps: usize,
        /// Steps given.
        num_steps: usize,
    },
}

impl LrSchedule {
    /// A schedule of `num_steps` steps, of which the first `num_warmup_steps` (0 for none) climb to
    /// `lr`.
    ///
    /// # Errors
    /// [`Error::LearningRate`] with everything that is wrong: a rate that is not positive, a lowest
    /// rate above it, no step, or more warm-up than steps.
    pub fn new(
        lr: f64,
        decay: Decay,
        num_warmup_steps: usize,
        num_steps: usize,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let rate_is_valid = lr.is_finite() && lr > 0.0;
        if !rate_is_valid {
            problems.push(LrProblem::Rate { lr });
        }
        if let Decay::Linear { min_lr } | Decay::Cosine { min_lr } = decay {
            // Beside a rate that is none, only what is wrong in itself is worth a word.
            let highest = if rate_is_valid { lr } else { f64::MAX };
            if !(0.0..=highest).contains(&min_lr) {
                problems.push(LrProblem::MinLr { min_lr, lr });
            }
        }
        if num_steps == 0 {
            problems.push(LrProblem::NoStep);
        } else if num_warmup_steps > num_steps {
            problems.push(LrProblem::Warmup { num_warmup_steps, num_steps });
        }
        if !problems.is_empty() {
            return Err(Error::LearningRate(problems));
        }
        Ok(Self { lr, decay, num_warmup_steps, num_steps })
    }

    /// The rate of a step, counted from 1. Steps after the last have its rate.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.num_warmup_steps {
            return self.lr * step as f64 / self.num_warmup_steps as f64;
        }
        let num_decay_steps = self.num_steps - self.num_warmup_steps;
        let t = match (step - self.num_warmup_steps).min(num_decay_steps) {
            0 => 0.0,
            decayed => decayed as f64 / num_decay_steps as f64,
        };
        match self.decay {
            Decay::Constant => self.lr,
            Decay::Linear { min_lr } => min_lr + (self.lr - min_lr) * (1.0 - t),
            Decay::Cosine { min_lr } => min_lr + (self.lr - min_lr) * (1.0 + (PI * t).cos()) / 2.0,
        }
    }
}

#[cfg(test)]
mod tests;
