//! What a run reports: one record per step, written as JSON lines, and events for an observer.

use std::io::Write;
use std::path::PathBuf;

use autopipe::schedule::Timeline;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::Error;

/// The numbers of one optimiser step, the same on every rank but for the time.
///
/// As JSON it has the fields below and `tokens_per_second`, in this order:
///
/// ```
/// # use autopipe_trainer::StepRecord;
/// let record = StepRecord { step: 3, loss: 5.5, grad_norm: 1.25, lr: 3e-4, tokens: 4096, seconds: 0.5 };
/// assert_eq!(
///     serde_json::to_string(&record)?,
///     r#"{"step":3,"loss":5.5,"grad_norm":1.25,"lr":0.0003,"tokens":4096,"seconds":0.5,"tokens_per_second":8192.0}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// JSON knows no infinity and no NaN; where a number is one of them it says `null`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// The step, counted from 1.
    pub step: usize,
    /// The mean over the step's label tokens, in nats.
    pub loss: f64,
    /// The norm of all gradients before they were clipped.
    pub grad_norm: f64,
    /// The learning rate that the step used.
    pub lr: f64,
    /// Label tokens of the step, over all its batches.
    pub tokens: usize,
    /// How long the step took, on the rank that reports.
    pub seconds: f64,
}

impl StepRecord {
    /// Tokens per second of the whole pipeline; infinite if no time has passed.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

impl Serialize for StepRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { step, loss, grad_norm, lr, tokens, seconds } = self;
        let mut record = serializer.serialize_struct("StepRecord", 7)?;
        record.serialize_field("step", step)?;
        record.serialize_field("loss", loss)?;
        record.serialize_field("grad_norm", grad_norm)?;
        record.serialize_field("lr", lr)?;
        record.serialize_field("tokens", tokens)?;
        record.serialize_field("seconds", seconds)?;
        record.serialize_field("tokens_per_second", &self.tokens_per_second())?;
        record.end()
    }
}

/// Writes records as JSON lines: one object per line, and every line whole.
#[derive(Debug)]
pub struct MetricsWriter<W> {
    writer: W,
}

impl<W: Write> MetricsWriter<W> {
    /// Writes to `writer`, which need not be buffered.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Writes one line and flushes it, so that what a run has reported survives its end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, record: &StepRecord) -> Result<(), Error> {
        let failed = |source| Error::WriteMetrics { step: record.step, source };
        let mut line = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // One write per line: whoever follows the file never sees half of one.
        self.writer.write_all(&line).and_then(|()| self.writer.flush()).map_err(failed)
    }
}

/// What a run tells its observer; the only way in which it says anything.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Everything is checked and built, and the first step begins.
    Planned {
        /// The pipeline in a few lines: stages, schedule, parameters.
        summary: String,
        /// Files of the corpus.
        num_documents: usize,
        /// Files that match and are left out because they are empty.
        num_empty: usize,
        /// Sequences in an epoch.
        num_sequences: u64,
        /// Steps that the run will take.
        num_steps: usize,
    },
    /// A step is done.
    Step(StepRecord),
    /// When every action of the run's last step happened, in seconds.
    Measured {
        /// All ranks' actions.
        timeline: Timeline,
        /// Where it was written; `None` if the run has no folder.
        path: Option<PathBuf>,
    },
    /// A checkpoint is whole.
    Saved {
        /// The step after which it was taken.
        step: usize,
        /// Its folder.
        path: PathBuf,
    },
    /// The last step is done.
    Finished {
        /// Steps taken.
        num_steps: usize,
        /// Label tokens of all steps.
        tokens: usize,
        /// How long all of it took.
        seconds: f64,
        /// The last step's loss.
        loss: f64,
    },
}

#[cfg(test)]
mod tests;
