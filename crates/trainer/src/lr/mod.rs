//! The learning rate of every step: a linear warm-up, then a decay.
//!
//! Steps are counted from 1 to `n`, of which `w` warm up:
//!
//! ```text
//! s < w    rate(s) = init_lr + (lr - init_lr) * s / w
//! s >= w   t = (s - w) / (n - w)
//!          constant  rate(s) = lr
//!          linear    rate(s) = min_lr + (lr - min_lr) * (1 - t)
//!          cosine    rate(s) = min_lr + (lr - min_lr) * (1 + cos(pi * t)) / 2
//!          wsd       rate(s) = lr, until d steps are left; then t = (s - (n - d)) / d and
//!                    rate(s) = min_lr + (lr - min_lr) * c(t), where c(t) is
//!                    1 - t, (1 + cos(pi * t)) / 2, 2 * 0.5^t - 1 or 1 - sqrt(t)
//! ```
//!
//! These are Megatron's formulas, as NeMo has them; there the first step is number 0, and with a
//! warm-up it is spent at rate 0. Here step `w` has the full rate and step `n` has `min_lr`.

use std::f64::consts::PI;

use autopipe_config::WsdDecayStyle;

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
    /// Not at all until the last `num_decay_steps` steps: warm-up, stable, decay (Hu et al.,
    /// <https://arxiv.org/abs/2404.06395>).
    Wsd {
        /// The rate of the last step.
        min_lr: f64,
        /// Steps of the way down.
        num_decay_steps: usize,
        /// How it goes down.
        style: WsdDecayStyle,
    },
}

/// The learning rate as a function of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrSchedule {
    /// Where the warm-up begins.
    init_lr: f64,
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
    /// The rate that the warm-up begins with is not between 0 and the highest.
    #[error("`init_lr` is {init_lr}, it has to lie between 0 and the learning rate {lr}")]
    InitLr {
        /// The first rate given.
        init_lr: f64,
        /// The highest rate given.
        lr: f64,
    },
    /// The decay is longer than what the warm-up leaves.
    #[error(
        "a decay of {num_decay_steps} steps does not fit between a warm-up of {num_warmup_steps} and \
         step {num_steps}; shorten one of them"
    )]
    Decay {
        /// Decay steps given.
        num_decay_steps: usize,
        /// Warm-up steps given.
        num_warmup_steps: usize,
        /// Steps given.
        num_steps: usize,
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
        if let Decay::Linear { min_lr } | Decay::Cosine { min_lr } | Decay::Wsd { min_lr, .. } =
            decay
        {
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
        } else if let Decay::Wsd { num_decay_steps, .. } = decay
            && num_decay_steps > num_steps - num_warmup_steps
        {
            problems.push(LrProblem::Decay { num_decay_steps, num_warmup_steps, num_steps });
        }
        if !problems.is_empty() {
            return Err(Error::LearningRate(problems));
        }
        Ok(Self { init_lr: 0.0, lr, decay, num_warmup_steps, num_steps })
    }

    /// The same with a warm-up that begins at `init_lr` instead of 0.
    ///
    /// # Errors
    /// If it is not between 0 and the highest rate.
    pub fn with_init_lr(self, init_lr: f64) -> Result<Self, Error> {
        if (0.0..=self.lr).contains(&init_lr) {
            return Ok(Self { init_lr, ..self });
        }
        Err(Error::LearningRate(vec![LrProblem::InitLr { init_lr, lr: self.lr }]))
    }

    /// The rate of a step, counted from 1. Steps after the last have its rate.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.num_warmup_steps {
            let climbed = (self.lr - self.init_lr) * step as f64 / self.num_warmup_steps as f64;
            return self.init_lr + climbed;
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
            Decay::Wsd { min_lr, num_decay_steps, style } => {
                let num_left = self.num_steps.saturating_sub(step);
                if num_left >= num_decay_steps {
                    return self.lr;
                }
                let t = (num_decay_steps - num_left) as f64 / num_decay_steps as f64;
                let part = match style {
                    WsdDecayStyle::Linear => 1.0 - t,
                    WsdDecayStyle::Cosine => (1.0 + (PI * t).cos()) / 2.0,
                    WsdDecayStyle::Exponential => 2.0 * 0.5_f64.powf(t) - 1.0,
                    WsdDecayStyle::MinusSqrt => 1.0 - t.sqrt(),
                };
                min_lr + (self.lr - min_lr) * part
            }
        }
    }
}

#[cfg(test)]
mod tests;
