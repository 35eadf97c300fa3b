//! Sums of tensors over all ranks of a group, which go on while the ranks compute.

use autopipe_schedule::Action;
use candle_core::{Shape, Tensor};

use super::{AllGather, Communicator, ReduceScatter, Tag};
use crate::ActionError;

/// A sum under way. Every rank adds up a slice of each tensor and sends it to all: so each number
/// travels twice, whatever the number of ranks, is added once, in the order of the ranks, and has the
/// same bits everywhere, over every transport.
#[derive(Debug)]
pub(crate) struct AllReduce {
    tag: Tag,
    /// What the others do that this rank waits for.
    awaited: Action,
    shapes: Vec<Shape>,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    /// The others' parts of this rank's slices are on their way.
    Adding(ReduceScatter),
    /// This rank's slices are added, and the others' sums are on their way.
    Gathering(AllGather),
}

impl AllReduce {
    /// Begins to sum: of all ranks, the tensors of each place have the same shape and dtype, and where
    /// a rank has none, it adds nothing. Until the end, what it gives may be read by others.
    pub(crate) fn begin(
        comm: &dyn Communicator,
        tag: Tag,
        awaited: Action,
        shapes: Vec<Shape>,
        own: Vec<Option<Tensor>>,
    ) -> Result<Self, ActionError> {
        let lens = shapes.iter().map(Shape::elem_count).collect();
        let progress = Progress::Adding(ReduceScatter::begin(comm, tag, awaited, lens, own)?);
        Ok(Self { tag, awaited, shapes, progress })
    }

    /// Does what can be done without waiting.
    pub(crate) fn advance(&mut self, comm: &dyn Communicator) -> Result<(), ActionError> {
        match &self.progress {
            Progress::Adding(scatter) if scatter.is_ready(comm)? => self.add(comm),
            Progress::Adding(_) | Progress::Gathering(_) => Ok(()),
        }
    }

    /// Waits for the others' parts of this rank's slices, adds them up and sends the sums.
    fn add(&mut self, comm: &dyn Communicator) -> Result<(), ActionError> {
        let Progress::Adding(scatter) = &mut self.progress else { return Ok(()) };
        let sums = scatter.finish(comm)?;
        self.progress = Progress::Gathering(AllGather::begin(comm, self.tag, self.awaited, sums)?);
        Ok(())
    }

    /// Waits for the sums; none where no rank had anything.
    pub(crate) fn finish(
        mut self,
        comm: &dyn Communicator,
    ) -> Result<Vec<Option<Tensor>>, ActionError> {
        self.add(comm)?;
        let Progress::Gathering(gather) = self.progress else { unreachable!("added above") };
        let by_rank = gather.finish(comm)?;
        let whole = self.shapes.iter().enumerate().map(|(place, shape)| {
            let slices: Vec<&Tensor> =
                by_rank.iter().filter_map(|slices| slices[place].as_ref()).collect();
            if slices.is_empty() {
                return Ok(None);
            }
            Tensor::cat(&slices, 0)?.reshape(shape).map(Some)
        });
        Ok(whole.collect::<candle_core::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{ThreadOptions, threads};
    use autopipe_schedule::Stage;
    use candle_core::Device;

    fn tensor(rank: usize, len: usize) -> Tensor {
        let numbers: Vec<f32> = (0..len).map(|i| 0.1 + (rank * 31 + i * 7) as f32 / 3.0).collect();
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    /// Two sums at once, begun in one order and ended in the other.
    #[test]
    fn sums_are_those_in_the_order_of_the_ranks_and_the_same_everywhere() {
        for size in 1..=4 {
            let lens = [5, 1, 8, 3];
            let shapes: Vec<Shape> = lens.iter().map(|&len| Shape::from(len)).collect();
            let ranks = threads(size, &ThreadOptions::default(), |comm| {
                let rank = comm.rank();
                let begin = |stage: usize| {
                    // Rank 0 has none of place 1, nobody of place 3.
                    let own = lens.iter().enumerate().map(|(place, &len)| {
                        let is_there = place != 3 && !(place == 1 && rank == 0);
                        is_there.then(|| (tensor(rank, len) * (stage + 1) as f64).unwrap())
                    });
                    let stage = Stage::new(stage);
                    let (tag, awaited) = (Tag::of_grads(stage), Action::ReduceGrad(stage));
                    AllReduce::begin(&*comm, tag, awaited, shapes.clone(), own.collect())
                };
                let (mut first, second) = (begin(0)?, begin(1)?);
                first.advance(&*comm)?;
                let second = second.finish(&*comm)?;
                let first = first.finish(&*comm)?;
                let numbers = |sums: Vec<Option<Tensor>>| -> Vec<Option<Vec<f32>>> {
                    sums.iter().map(|sum| sum.as_ref().map(|s| s.to_vec1().unwrap())).collect()
                };
                Ok::<_, ActionError>([numbers(first), numbers(second)])
            })
            .unwrap();
            for (stage, scale) in [(0, 1.0), (1, 2.0)] {
                for (place, len) in lens.into_iter().enumerate() {
                    let first = usize::from(place == 1);
                    let parts = (first..size).map(|rank| (tensor(rank, len) * scale).unwrap());
                    let sum = parts.reduce(|a, b| (a + b).unwrap()).filter(|_| place != 3);
                    let expected = sum.map(|sum| sum.to_vec1::<f32>().unwrap());
                    for sums in &ranks {
                        assert_eq!(sums[stage][place], expected, "{size} {stage} {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_rank_that_sums_something_else_is_told() {
        let error = threads(2, &ThreadOptions::default(), |comm| {
            let asked = Cell::new(1 + comm.rank());
            let shapes = vec![Shape::from(4); asked.get()];
            let own = vec![None; asked.get()];
            let (tag, awaited) = (Tag::of_grads(Stage::new(3)), Action::ReduceGrad(Stage::new(3)));
            AllReduce::begin(&*comm, tag, awaited, shapes, own)?.finish(&*comm)
        })
        .unwrap_err();
        assert!(error.to_string().contains("for 3REDUCE_GRAD"), "{error}");
    }
}
