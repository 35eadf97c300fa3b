//! What all ranks have to agree about after the gradients of a step: their norm, whether all is
//! finite, whether the run is to end, and whether a checkpoint is written.

use autopipe::communicator::Reduction;
use autopipe_config::NormType;
use autopipe_nn::{Parameter, grad_norm_max, grad_norm_squared};

use super::RankRun;
use crate::clip::first_non_finite;
use crate::{Error, NonFinite, NonFiniteNumber};

/// The same on every rank.
pub(super) struct Vote {
    /// Of the step, the sum over all pipelines.
    pub(super) loss: f64,
    /// Of all gradients of all ranks, before they are clipped.
    pub(super) grad_norm: f64,
    /// What keeps the gradients from being used.
    pub(super) problem: Option<NonFinite>,
    /// Whether somebody has asked the run to end.
    pub(super) is_stopped: bool,
}

impl RankRun<'_> {
    /// `own_loss` is that of this rank's pipeline.
    pub(super) fn vote(&mut self, step: usize, own_loss: f64) -> Result<Vote, Error> {
        let owned = self.owned()?;
        let squares = grad_norm_squared(&self.pipeline.counted()?)?;
        let counted_loss = if self.is_head()? { own_loss } else { 0.0 };
        let is_stopped = f64::from(self.job.options.stop.is_requested());
        let is_written = f64::from(self.is_written());
        let world = self.pipeline.world();
        let own = [squares, counted_loss, is_stopped, is_written];
        let sums = world.all_reduce(&own, Reduction::Sum);
        let sums = sums.map_err(autopipe::Error::from)?;
        let (squares, loss, num_stopped, num_written) = (sums[0], sums[1], sums[2], sums[3]);
        let grad_norm = match self.job.recipe.clip_grad_norm.norm_type {
            NormType::L2 => squares.sqrt(),
            NormType::Infinity => {
                let largest = world.all_reduce(&[grad_norm_max(&owned)?], Reduction::Max);
                largest.map_err(autopipe::Error::from)?[0]
            }
        };
        let problem = if loss.is_finite() && squares.is_finite() {
            None
        } else {
            Some(self.find(step, own_loss, &owned)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "there are few ranks")]
        let all = world.size() as f64;
        if self.pending.is_some() && num_written >= all {
            self.complete_save()?;
        }
        Ok(Vote { loss, grad_norm, problem, is_stopped: num_stopped > 0.0 })
    }

    /// The number that is none, and where it is. All ranks call this and get the same.
    fn find(&self, step: usize, own_loss: f64, owned: &[Parameter]) -> Result<NonFinite, Error> {
        let world = self.pipeline.world();
        let plan = self.pipeline.plan()?;
        let last = plan.partition.num_stages() - 1;
        let is_lost = self.pipeline.info().has_last_stage && !own_loss.is_finite();
        let own = if is_lost { own_loss.to_string() } else { String::new() };
        let losses = world.all_gather_text(&own).map_err(autopipe::Error::from)?;
        let lost = losses.iter().zip(0..).find_map(|(loss, rank)| Some((loss.parse().ok()?, rank)));
        if let Some((loss, rank)) = lost {
            let number = NonFiniteNumber::Loss { loss };
            return Ok(NonFinite { step, rank, stage: last, number });
        }
        let own = first_non_finite(owned)?.unwrap_or_default();
        let all = world.all_gather_text(own).map_err(autopipe::Error::from)?;
        let named = all.into_iter().zip(0..).filter(|(name, _)| !name.is_empty());
        let Some((parameter, rank)) = named.min() else {
            return Ok(NonFinite { step, rank: 0, stage: 0, number: NonFiniteNumber::Norm });
        };
        let stages = plan.partition.stages();
        let has = |stage: &&autopipe::splitter::StageModules| {
            stage.modules().iter().any(|module| {
                parameter.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let stage = stages.iter().position(|stage| has(&stage)).unwrap_or(last);
        let number = NonFiniteNumber::Gradient { parameter };
        Ok(NonFinite { step, rank, stage, number })
    }
}
