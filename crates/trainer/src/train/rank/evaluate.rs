//! The loss on data that are not trained on.

use super::RankRun;
use super::step::pipeline_batch;
use crate::{Error, EvalRecord, Stopwatch};

impl RankRun<'_> {
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
        #[expect(clippy::cast_precision_loss, reason = "a data set has far fewer than 2^53 tokens")]
        let record =
            EvalRecord { step, loss: loss / tokens as f64, tokens, seconds: stopwatch.lap() };
        if let Some(reporter) = &mut self.reporter {
            reporter.evaluated(record)?;
        }
        Ok(record)
    }
}
