//! Who tells of a run: to the observer, the metrics file and TensorBoard.

use std::fmt::Display;
use std::fs::File;
use std::io;

use autopipe::schedule::Timeline;

use crate::clock::wall_time;
use crate::data::Skipped;
use crate::tensorboard::EventWriter;
use crate::train::job::Job;
use crate::{Error, EvalRecord, Event, MetricsWriter, StepRecord, trace};

/// Rank 0's.
pub(super) struct Reporter<'a> {
    job: &'a Job<'a>,
    observe: &'a (dyn Fn(Event) + Sync),
    metrics: Option<MetricsWriter<File>>,
    tensorboard: Option<EventWriter<File>>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        observe: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Self, Error> {
        let run_dir = job.run_dir.as_ref();
        let step = job.state.step;
        let metrics =
            run_dir.map(|run_dir| MetricsWriter::resume_after(&run_dir.metrics_path(), step));
        let tensorboard = run_dir.filter(|_| job.recipe.metrics.tensorboard).map(|run_dir| {
            let path = run_dir.tensorboard();
            EventWriter::create(&path, wall_time())
                .map_err(|source| Error::WriteRunDir { path, source })
        });
        let (metrics, tensorboard) = (metrics.transpose()?, tensorboard.transpose()?);
        Ok(Self { job, observe, metrics, tensorboard })
    }

    pub(super) fn tell(&self, event: Event) {
        (self.observe)(event);
    }

    pub(super) fn step(&mut self, record: StepRecord) {
        let step = record.step;
        let written = self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.write(&record));
        self.metrics_written(step, written);
        let events = self.tensorboard.as_mut();
        let written = events.map_or(Ok(()), |events| events.step(&record, wall_time()));
        self.events_written(step, written);
        if let Some(reason) = &record.skipped {
            self.skipped(step, "the update", reason);
        }
        self.tell(Event::Step(record));
    }

    pub(super) fn evaluated(&mut self, record: EvalRecord) {
        let metrics = self.metrics.as_mut();
        let written = metrics.map_or(Ok(()), |metrics| metrics.write_evaluation(&record));
        self.metrics_written(record.step, written);
        let events = self.tensorboard.as_mut();
        let written = events.map_or(Ok(()), |events| events.evaluation(&record, wall_time()));
        self.events_written(record.step, written);
        self.tell(Event::Evaluated(record));
    }

    /// Tells what an evaluation could not look at.
    pub(super) fn left_out(&self, step: usize, left_out: Skipped) {
        let Skipped { bad, too_long, unlabelled } = left_out;
        if left_out.total() > 0 {
            let reason = format!(
                "{bad} cannot be read, {too_long} are too long, and of {unlabelled} nothing counts"
            );
            let samples = if left_out.total() == 1 { "sample" } else { "samples" };
            let what = format!("{} {samples} of the validation data", left_out.total());
            self.skipped(step, &what, &reason);
        }
    }

    /// A file that takes no more figures gets none from then on: half a line may be in it. What is
    /// learnt matters more.
    fn metrics_written(&mut self, step: usize, written: Result<(), Error>) {
        if let Err(error) = written {
            self.metrics = None;
            self.skipped(step, "the metrics from this step on", &error);
        }
    }

    /// The same for TensorBoard's.
    fn events_written(&mut self, step: usize, written: io::Result<()>) {
        if let Err(error) = written {
            self.tensorboard = None;
            self.skipped(step, "the events for TensorBoard from this step on", &error);
        }
    }

    fn skipped(&self, step: usize, what: &str, reason: &dyn Display) {
        let (what, reason) = (what.to_owned(), reason.to_string());
        self.tell(Event::Skipped { step, what, reason });
    }

    /// Keeps the timeline of a step, and writes the trace if it is the one that is asked for.
    pub(super) fn measured(&mut self, step: usize, timeline: Timeline) {
        let run_dir = self.job.run_dir.as_ref();
        let path = run_dir.map(|run_dir| run_dir.write_timeline(&timeline)).transpose();
        let path = path.unwrap_or_else(|error| {
            self.skipped(step, "the timeline", &error);
            None
        });
        if let (Some(run_dir), true) = (run_dir, self.job.options.trace_step == Some(step)) {
            let predicted = trace::predicted(&self.job.plan, &self.job.workload, &timeline);
            match run_dir.write_trace(step, &trace::perfetto(&timeline, &predicted)) {
                Ok(path) => {
                    let summary = trace::summary(&timeline, &predicted);
                    self.tell(Event::Traced { step, path, summary });
                }
                Err(error) => self.skipped(step, "the trace", &error),
            }
        }
        if step == self.job.num_steps() {
            self.tell(Event::Measured { timeline, path });
        }
    }
}
