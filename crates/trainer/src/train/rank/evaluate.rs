//! The loss on data that are not trained on.

use autopipe::communicator::Reduction;

use super::RankRun;
use super::step::pipeline_batch;
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

    /// Goes through the validation data once; every rank learns the same.
    pub(super) fn evaluate(&mut self, step: usize) -> Result<EvalRecord, Error> {
        let mut stopwatch = Stopwatch::start();
        let evaluation = self.evaluation.as_mut().ok_or(Error::Zero { name: "val_batches" })?;
        let (mut loss, mut tokens) = (0.0, 0);
        for batch in evaluation.batches() {
            let batch = batch?;
            tokens += batch.num_label_tokens();
            loss += self.pipeline.eval(&pipeline_batch(&batch))?.loss();
        }
        let (loss, tokens) = self.over_pipelines(loss, tokens)?;
        #[expect(clippy::cast_precision_loss, reason = "a data set has far fewer than 2^53 tokens")]
        let record =
            EvalRecord { step, loss: loss / tokens as f64, tokens, seconds: stopwatch.lap() };
        if let Some(reporter) = &mut self.reporter {
            reporter.evaluated(record)?;
        }
        Ok(record)
    }
}
