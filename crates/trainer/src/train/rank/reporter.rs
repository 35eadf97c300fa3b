//! Who tells of a run: to the observer, the metrics file and TensorBoard.

use std::fs::File;

use autopipe::schedule::Timeline;

use crate::clock::wall_time;
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

    pub(super) fn step(&mut self, record: StepRecord) -> Result<(), Error> {
        if let Some(metrics) = &mut self.metrics {
            metrics.write(&record)?;
        }
        if let Some(events) = &mut self.tensorboard {
            let failed = |source| Error::WriteMetrics { step: record.step, source };
            events.step(&record, wall_time()).map_err(failed)?;
        }
        if let Some(reason) = &record.skipped {
            let (what, reason) = ("the update".to_owned(), reason.clone());
            self.tell(Event::Skipped { step: record.step, what, reason });
        }
        self.tell(Event::Step(record));
        Ok(())
    }

    pub(super) fn evaluated(&mut self, record: EvalRecord) -> Result<(), Error> {
        if let Some(metrics) = &mut self.metrics {
            metrics.write_evaluation(&record)?;
        }
        if let Some(events) = &mut self.tensorboard {
            let failed = |source| Error::WriteMetrics { step: record.step, source };
            events.evaluation(&record, wall_time()).map_err(failed)?;
        }
        self.tell(Event::Evaluated(record));
        Ok(())
    }

    /// Keeps the timeline of a step, and writes the trace if it is the one that is asked for.
    pub(super) fn measured(&mut self, step: usize, timeline: Timeline) -> Result<(), Error> {
        let run_dir = self.job.run_dir.as_ref();
        let path = run_dir.map(|run_dir| run_dir.write_timeline(&timeline)).transpose()?;
        if let (Some(run_dir), true) = (run_dir, self.job.options.trace_step == Some(step)) {
            let predicted = trace::predicted(&self.job.plan, &self.job.workload, &timeline);
            let path = run_dir.write_trace(step, &trace::perfetto(&timeline, &predicted))?;
            let summary = trace::summary(&timeline, &predicted);
            self.tell(Event::Traced { step, path, summary });
        }
        if step == self.job.num_steps() {
            self.tell(Event::Measured { timeline, path });
        }
        Ok(())
    }
}
