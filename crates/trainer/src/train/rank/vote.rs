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
    /// Of all gradients of all ranks, before they are clipped.
    pub(super) grad_norm: f64,
    /// What keeps the gradients from being used.
    pub(super) problem: Option<NonFinite>,
    /// Whether somebody has asked the run to end.
    pub(super) is_stopped: bool,
}

impl RankRun<'_> {
    pub(super) fn vote(&mut self, step: usize, loss: f64) -> Result<Vote, Error> {
        let owned = self.owned()?;
        let squares = grad_norm_squared(&owned)?;
        let is_stopped = f64::from(self.job.options.stop.is_requested());
        let is_written = f64::from(self.is_written());
        let world = self.pipeline.world();
        let sums = world.all_reduce(&[squares, is_stopped, is_written], Reduction::Sum);
        let sums = sums.map_err(autopipe::Error::from)?;
        let (squares, num_stopped, num_written) = (sums[0], sums[1], sums[2]);
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
            Some(self.find(step, loss, &owned)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "there are few ranks")]
        let all = world.size() as f64;
        if self.pending.is_some() && num_written >= all {
            self.complete_save()?;
        }
        Ok(Vote { grad_norm, problem, is_stopped: num_stopped > 0.0 })
    }

    /// The number that is none, and where it is. All ranks call this and get the same.
    fn find(&self, step: usize, loss: f64, owned: &[Parameter]) -> Result<NonFinite, Error> {
        let world = self.pipeline.world();
        let plan = self.pipeline.plan()?;
        let placement = plan.programs.train.placement();
        let rank_of =
            |stage: usize| placement.rank_of(autopipe::schedule::Stage::new(stage)).index();
        let last = plan.partition.num_stages() - 1;
        if !loss.is_finite() {
            let number = NonFiniteNumber::Loss { loss };
            return Ok(NonFinite { step, rank: rank_of(last), stage: last, number });
        }
        let own = first_non_finite(owned)?.unwrap_or_default();
        let all = world.all_gather_text(own).map_err(autopipe::Error::from)?;
        let first = all.into_iter().filter(|name| !name.is_empty()).min();
        let Some(parameter) = first else {
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
        Ok(NonFinite { step, rank: rank_of(stage), stage, number })
    }
}
