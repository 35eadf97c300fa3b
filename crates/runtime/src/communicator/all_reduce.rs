//! Sums of tensors over all ranks of a group, which go on while the ranks compute.

use autopipe_schedule::Action;
use candle_core::{Device, Shape, Tensor};

use super::{Communicator, PostedRecv, Tag};
use crate::{ActionError, Error};

/// A sum under way. Every rank adds up a slice of each tensor and sends it to all: so each number
/// travels twice, whatever the number of ranks, is added once, in the order of the ranks, and has the
/// same bits everywhere, over every transport.
#[derive(Debug)]
pub(crate) struct AllReduce {
    tag: Tag,
    /// What the others do that this rank waits for.
    awaited: Action,
    shapes: Vec<Shape>,
    /// This rank's part of each sum, flat; none of what it has nothing to add to.
    own: Vec<Option<Tensor>>,
    progress: Progress,
}

/// By rank, what was asked for; none of this rank.
type Posted = Vec<Option<PostedRecv>>;

#[derive(Debug)]
enum Progress {
    /// The others' parts of this rank's slices are on their way.
    Adding(Posted),
    /// This rank's slices are added, and the others' sums are on their way.
    Gathering(Posted, Vec<Option<Tensor>>),
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
        let flat = |tensor: Option<Tensor>| tensor.map(|t| t.flatten_all()).transpose();
        let own: Vec<Option<Tensor>> =
            own.into_iter().map(flat).collect::<candle_core::Result<_>>()?;
        let posted = post_all(comm, tag)?;
        for to in others(comm) {
            let slices = own.iter().zip(&shapes).map(|(tensor, shape)| {
                let slice = Slice::of(shape.elem_count(), to, comm.size());
                tensor.as_ref().map(|tensor| slice.cut(tensor)).transpose()
            });
            let slices: Vec<Option<Tensor>> = slices.collect::<candle_core::Result<_>>()?;
            send(comm, &slices, to, tag)?;
        }
        Ok(Self { tag, awaited, shapes, own, progress: Progress::Adding(posted) })
    }

    /// Does what can be done without waiting.
    pub(crate) fn advance(&mut self, comm: &dyn Communicator) -> Result<(), ActionError> {
        if let Progress::Adding(posted) = &mut self.progress {
            for posted in posted.iter().flatten() {
                if !comm.has_arrived(posted).map_err(communication)? {
                    return Ok(());
                }
            }
            let posted = std::mem::take(posted);
            let (posted, sums) = self.add(comm, posted)?;
            self.progress = Progress::Gathering(posted, sums);
        }
        Ok(())
    }

    /// Waits for the others' parts of this rank's slices, adds them up, sends the sums and asks for
    /// theirs.
    fn add(
        &self,
        comm: &dyn Communicator,
        posted: Posted,
    ) -> Result<(Posted, Vec<Option<Tensor>>), ActionError> {
        let mut sums: Vec<Option<Tensor>> = vec![None; self.shapes.len()];
        for (rank, posted) in posted.into_iter().enumerate() {
            let parts = match posted {
                Some(posted) => receive(comm, posted, self.awaited, self.shapes.len())?,
                None => {
                    let cut = |(tensor, shape): (&Option<Tensor>, &Shape)| {
                        let slice = Slice::of(shape.elem_count(), rank, comm.size());
                        tensor.as_ref().map(|tensor| slice.cut(tensor)).transpose()
                    };
                    let parts = self.own.iter().zip(&self.shapes).map(cut);
                    parts.collect::<candle_core::Result<_>>()?
                }
            };
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = match (sum.take(), part) {
                    (Some(sum), Some(part)) => Some((sum + part)?),
                    (sum, part) => sum.or(part),
                };
            }
        }
        let posted = post_all(comm, self.tag)?;
        for to in others(comm) {
            send(comm, &sums, to, self.tag)?;
        }
        Ok((posted, sums))
    }

    /// Waits for the sums; none where no rank had anything.
    pub(crate) fn finish(
        mut self,
        comm: &dyn Communicator,
    ) -> Result<Vec<Option<Tensor>>, ActionError> {
        let begun = std::mem::replace(&mut self.progress, Progress::Adding(Vec::new()));
        let (posted, sums) = match begun {
            Progress::Adding(posted) => self.add(comm, posted)?,
            Progress::Gathering(posted, sums) => (posted, sums),
        };
        let mut by_rank = Vec::with_capacity(comm.size());
        for posted in posted {
            by_rank.push(match posted {
                Some(posted) => receive(comm, posted, self.awaited, self.shapes.len())?,
                None => sums.clone(),
            });
        }
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

/// What of a flat tensor a rank adds up: as even as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Slice {
    /// The slice of `rank` among `num_ranks` of so many numbers: the first ranks have one more where
    /// they cannot be shared out evenly.
    pub(crate) fn of(num_elements: usize, rank: usize, num_ranks: usize) -> Self {
        let (each, more) = (num_elements / num_ranks, num_elements % num_ranks);
        Self { start: rank * each + rank.min(more), len: each + usize::from(rank < more) }
    }

    /// The slice itself, which shares the tensor's numbers.
    pub(crate) fn cut(self, flat: &Tensor) -> candle_core::Result<Tensor> {
        flat.narrow(0, self.start, self.len)
    }
}

fn others(comm: &dyn Communicator) -> impl Iterator<Item = usize> + use<> {
    let here = comm.rank();
    (0..comm.size()).filter(move |&rank| rank != here)
}

fn post_all(comm: &dyn Communicator, tag: Tag) -> Result<Posted, ActionError> {
    let mut posted: Posted = (0..comm.size()).map(|_| None).collect();
    for from in others(comm) {
        posted[from] = Some(comm.post_recv(from, tag).map_err(communication)?);
    }
    Ok(posted)
}

/// Which of the tensors there are goes before them.
fn send(
    comm: &dyn Communicator,
    tensors: &[Option<Tensor>],
    to: usize,
    tag: Tag,
) -> Result<(), ActionError> {
    let is_there: Vec<u8> = tensors.iter().map(|tensor| u8::from(tensor.is_some())).collect();
    let mut message = vec![Tensor::new(is_there, &Device::Cpu)?];
    message.extend(tensors.iter().flatten().cloned());
    comm.send(message, to, tag).map_err(communication)
}

fn receive(
    comm: &dyn Communicator,
    posted: PostedRecv,
    awaited: Action,
    num_tensors: usize,
) -> Result<Vec<Option<Tensor>>, ActionError> {
    let from = posted.from;
    let message = comm.wait(posted).map_err(|error| match error {
        Error::Timeout { from, waited } => {
            ActionError::Late { awaited, rank: comm.members()[from], waited }
        }
        other => communication(other),
    })?;
    let rank = comm.members()[from];
    let mut tensors = message.into_iter();
    let is_there = tensors.next().map(|first| first.to_vec1::<u8>()).transpose()?;
    let is_there = is_there.unwrap_or_default();
    if is_there.len() != num_tensors {
        let (got, expected) = (is_there.len(), num_tensors);
        return Err(ActionError::SumOf { awaited, rank, got, expected });
    }
    let num_there = is_there.iter().filter(|&&there| there != 0).count();
    if tensors.len() != num_there {
        let (got, expected) = (tensors.len(), num_there);
        return Err(ActionError::SumOf { awaited, rank, got, expected });
    }
    Ok(is_there.iter().map(|&there| if there == 0 { None } else { tensors.next() }).collect())
}

fn communication(error: Error) -> ActionError {
    ActionError::Communication(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{ThreadOptions, threads};
    use autopipe_schedule::Stage;

    #[test]
    fn slices_share_out_everything() {
        for (num_elements, num_ranks) in [(0, 1), (7, 3), (2, 4), (12, 4), (1, 1)] {
            let mut next = 0;
            for rank in 0..num_ranks {
                let slice = Slice::of(num_elements, rank, num_ranks);
                assert_eq!(slice.start, next, "{num_elements} {num_ranks}");
                next += slice.len;
            }
            assert_eq!(next, num_elements);
        }
    }

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
