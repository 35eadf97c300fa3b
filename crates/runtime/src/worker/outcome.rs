//! What a step brings: losses, outputs and times, taken from the ranks that have them to all.

use autopipe_schedule::{Action, Rank, Span, Stage, Timeline, ValidProgram};
use candle_core::Tensor;

use super::interpret::{Run, communication};
use super::{Outputs, Worker};
use crate::ActionError;
use crate::communicator::{Reduction, Tag};

impl Worker {
    /// Brings the losses from the rank that computed them to all.
    pub(super) fn losses(&self, run: &Run<'_>) -> Result<Vec<f64>, ActionError> {
        let mut losses = vec![0.0; run.program.num_microbatches()];
        for (index, loss) in &run.losses {
            losses[index.index()] = scalar(loss).map_err(|source| ActionError::Loss {
                microbatch: index.index(),
                source: Box::new(source),
            })?;
        }
        self.comm.all_reduce(&losses, Reduction::Sum).map_err(communication)
    }

    /// Brings the outputs to those who want them.
    pub(super) fn outputs(
        &self,
        run: &mut Run<'_>,
    ) -> Result<Option<Vec<Vec<Tensor>>>, ActionError> {
        let last = Stage::new(run.program.num_stages() - 1);
        let owner = run.program.placement().rank_of(last).index();
        let is_owner = owner == self.comm.rank();
        let own: Vec<Vec<Tensor>> = std::mem::take(&mut run.outputs).into_values().collect();
        match run.wanted {
            Outputs::Drop => Ok(None),
            Outputs::Keep => Ok(is_owner.then_some(own)),
            Outputs::Everywhere if is_owner => {
                for to in (0..self.comm.size()).filter(|&to| to != owner) {
                    for (index, outputs) in own.iter().enumerate() {
                        let tag = Tag::of_outputs(index);
                        self.comm.send(outputs.clone(), to, tag).map_err(communication)?;
                    }
                }
                Ok(Some(own))
            }
            Outputs::Everywhere => {
                let indices = 0..run.program.num_microbatches();
                let all = indices.map(|index| self.comm.recv(owner, Tag::of_outputs(index)));
                all.collect::<Result<_, _>>().map(Some).map_err(communication)
            }
        }
    }

    /// Puts the rows of all ranks together. Who did what, the program says: times are enough.
    pub(super) fn gather(
        &self,
        program: &ValidProgram,
        spans: &[Span],
    ) -> Result<Timeline, ActionError> {
        let own = self.comm.rank();
        let mut times = Vec::new();
        for (rank, row) in program.rows().iter().enumerate() {
            if rank == own {
                times.extend(spans.iter().flat_map(|span| [span.start, span.end]));
            } else {
                times.resize(times.len() + 2 * row.len(), 0.0);
            }
        }
        let times = self.comm.all_reduce(&times, Reduction::Sum).map_err(communication)?;
        let mut times = times.chunks_exact(2);
        let span = |&action: &Action| {
            let time = times.next().expect("two times for every action");
            Span { action, start: time[0], end: time[1] }
        };
        let mut spans = program.rows().iter().flatten().map(span);
        let ranks = (0..program.num_ranks()).map(Rank::new);
        let rows = ranks.map(|rank| spans.by_ref().take(program.row(rank).len()).collect());
        Ok(Timeline::from_rows(rows.collect())
            .expect("measured: a whole step, one action at a time"))
    }
}

/// The one number of a tensor.
pub(super) fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.get(0)?.to_scalar::<f64>()
}
