//! The loss on data that are not trained on.

use autopipe::communicator::Reduction;

use super::step::pipeline_batch;
use super::{Ended, RankRun};
use crate::{Error, EvalRecord, Stopwatch};

impl RankRun<'_> {
    /// The sums over all pipelines of what each has.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a data set has far fewer than 2^53 tokens"
    )]
    pub(super) fn over_pipelines(&self, loss: f64, tokens: usize) -> Result<(f64, usize), Error> {
        if self.pipeline.replica().count == 1 {
            return Ok((loss, tokens));
        }
        let own = if self.is_head()? { [loss, tokens as f64] } else { [0.0; 2] };
        let world = self.pipeline.world();
        let sums = world.all_reduce(&own, Reduction::Sum).map_err(autopipe::Error::from)?;
        Ok((sums[0], sums[1] as usize))
    }

    /// What all ranks have come to, or that one of them has failed, and whose error it is.
    pub(super) fn all_have<T>(&self, own: Result<T, Error>) -> Result<Result<T, Ended>, Error> {
        let failed = self.first_failure(own.as_ref().err())?;
        Ok(match (failed, own) {
            (None, own) => Ok(own?),
            (Some((rank, _)), Err(error)) => Err(Ended { rank, error }),
            (Some((rank, reason)), Ok(_)) => {
                Err(Ended { rank, error: Error::Elsewhere { rank, reason } })
            }
        })
    }

    /// Goes through the validation data once; every rank learns the same.
    pub(super) fn evaluate(&mut self, step: usize) -> Result<Result<EvalRecord, Ended>, Error> {
        let mut stopwatch = Stopwatch::start();
        let recipe = self.job.recipe;
        let mut evaluation = self.evaluation.take().ok_or(Error::Zero { name: "val_batches" })?;
        let seq_len = recipe.validation_dataset.as_ref().map(|dataset| dataset.seq_len);
        self.pipeline.update_seq_len(seq_len.unwrap_or(recipe.dataset.seq_len))?;
        let (mut loss, mut tokens) = (0.0, 0);
        let mut batches = evaluation.batches();
        let ended = loop {
            let batch = match self.all_have(batches.next().transpose())? {
                Ok(None) => break None,
                Ok(Some(batch)) => batch,
                Err(ended) => break Some(ended),
            };
            tokens += batch.num_label_tokens();
            loss += self.pipeline.eval(&pipeline_batch(&batch))?.loss();
        };
        drop(batches);
        let left_out = evaluation.skipped();
        self.evaluation = Some(evaluation);
        self.pipeline.update_seq_len(recipe.dataset.seq_len)?;
        if let Some(ended) = ended {
            return Ok(Err(ended));
        }
        let (loss, tokens) = self.over_pipelines(loss, tokens)?;
        #[expect(clippy::cast_precision_loss, reason = "a data set has far fewer than 2^53 tokens")]
        let record =
            EvalRecord { step, loss: loss / tokens as f64, tokens, seconds: stopwatch.lap() };
        if let Some(reporter) = &mut self.reporter {
            reporter.left_out(step, left_out);
            reporter.evaluated(record);
        }
        Ok(Ok(record))
    }
}
