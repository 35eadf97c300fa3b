//! What a step brings: losses, outputs and times, taken from the ranks that have them to all.

use autopipe_schedule::{Action, Held, Span, Stage, Timeline, ValidProgram};
use candle_core::{DType, Tensor};

use super::interpret::Run;
use super::{Outputs, Worker};
use crate::ActionError;
use crate::communicator::{Reduction, Tag};
use crate::error::communication;

impl Worker {
    /// Brings the losses from the rank that computed them to all.
    pub(super) fn losses(&self, run: &Run<'_>) -> Result<Vec<f64>, ActionError> {
        let mut losses = vec![0.0; run.program.num_microbatches()];
        let wide = run.losses.iter().map(|(index, loss)| {
            let failed =
                |source| ActionError::Loss { microbatch: index.index(), source: Box::new(source) };
            loss.to_dtype(DType::F64).and_then(|loss| loss.reshape(1)).map_err(failed)
        });
        let wide = wide.collect::<Result<Vec<_>, _>>()?;
        if !wide.is_empty() {
            // All at once, so that a rank waits for its device once.
            let own = Tensor::cat(&wide, 0)?.to_vec1::<f64>()?;
            for (index, loss) in run.losses.keys().zip(own) {
                losses[index.index()] = loss;
            }
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

    /// Puts the rows of all ranks together. Who did what, the program says: numbers are enough.
    pub(super) fn gather_spans(
        &self,
        program: &ValidProgram,
        spans: &[Span],
    ) -> Result<Timeline, ActionError> {
        let own = self.comm.rank();
        let mut numbers = Vec::new();
        for (rank, row) in program.rows().iter().enumerate() {
            if rank == own {
                numbers.extend(spans.iter().flat_map(to_numbers));
            } else {
                numbers.resize(numbers.len() + NUMBERS * row.len(), 0.0);
            }
        }
        let numbers = self.comm.all_reduce(&numbers, Reduction::Sum).map_err(communication)?;
        let (mut numbers, _) = numbers.as_chunks::<NUMBERS>();
        let mut rows = Vec::with_capacity(program.num_ranks());
        for row in program.rows() {
            let (of_row, rest) = numbers.split_at(row.len().min(numbers.len()));
            rows.push(row.iter().zip(of_row).map(from_numbers).collect());
            numbers = rest;
        }
        Ok(Timeline::from_rows(rows).expect("measured: a whole step, one action at a time"))
    }
}

/// How many numbers a span is sent as.
const NUMBERS: usize = 5;

fn to_numbers(span: &Span) -> [f64; NUMBERS] {
    let held = span.held;
    let or_nothing = |number: Option<f64>| number.unwrap_or(-1.0);
    [
        span.start,
        span.end,
        or_nothing(span.moved),
        or_nothing(held.map(|held| held.end)),
        or_nothing(held.map(|held| held.peak)),
    ]
}

fn from_numbers((&action, numbers): (&Action, &[f64; NUMBERS])) -> Span {
    let &[start, end, moved, held, peak] = numbers;
    Span {
        moved: (moved >= 0.0).then_some(moved),
        held: (held >= 0.0).then_some(Held { end: held, peak }),
        ..Span::new(action, start, end)
    }
}

/// The one number of a tensor.
pub(super) fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.get(0)?.to_scalar::<f64>()
}
