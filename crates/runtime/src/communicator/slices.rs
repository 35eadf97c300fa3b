//! What collective sums and gathers of tensors are made of: slices, and messages to all ranks.

use autopipe_nn::even_part;
use autopipe_schedule::Action;
use candle_core::{Device, Tensor};

use super::{Communicator, PostedRecv, Tag};
use crate::error::communication;
use crate::{ActionError, Error};

/// What of a flat tensor is a rank's: as even as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Slice {
    /// The slice of `rank` among `num_ranks` of so many numbers.
    pub(crate) fn of(num_elements: usize, rank: usize, num_ranks: usize) -> Self {
        let range = even_part(num_elements, rank, num_ranks);
        Self { start: range.start, len: range.len() }
    }

    /// The slice itself, which shares the tensor's numbers.
    pub(crate) fn cut(self, flat: &Tensor) -> candle_core::Result<Tensor> {
        flat.narrow(0, self.start, self.len)
    }
}

/// By rank, what was asked for; none of this rank.
pub(super) type Posted = Vec<Option<PostedRecv>>;

pub(super) fn others(comm: &dyn Communicator) -> impl Iterator<Item = usize> + use<> {
    let here = comm.rank();
    (0..comm.size()).filter(move |&rank| rank != here)
}

pub(super) fn post_all(comm: &dyn Communicator, tag: Tag) -> Result<Posted, ActionError> {
    let mut posted: Posted = (0..comm.size()).map(|_| None).collect();
    for from in others(comm) {
        posted[from] = Some(comm.post_recv(from, tag).map_err(communication)?);
    }
    Ok(posted)
}

/// Whether all that was asked for is here.
pub(super) fn have_arrived(comm: &dyn Communicator, posted: &Posted) -> Result<bool, ActionError> {
    for posted in posted.iter().flatten() {
        if !comm.has_arrived(posted).map_err(communication)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which of the tensors there are goes before them.
pub(super) fn send(
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

pub(super) fn receive(
    comm: &dyn Communicator,
    posted: PostedRecv,
    awaited: Action,
    num_tensors: usize,
) -> Result<Vec<Option<Tensor>>, ActionError> {
    let from = posted.from;
    let message = wait_for(comm, posted, awaited)?;
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

/// Waits for a message, which another rank sends by `awaited`.
pub(crate) fn wait_for(
    comm: &dyn Communicator,
    posted: PostedRecv,
    awaited: Action,
) -> Result<Vec<Tensor>, ActionError> {
    comm.wait(posted).map_err(|error| match error {
        Error::Timeout { from, waited } => {
            ActionError::Late { awaited, rank: comm.members()[from], waited }
        }
        other => communication(other),
    })
}

/// The sum of what there is.
pub(crate) fn add(a: Option<Tensor>, b: Option<Tensor>) -> candle_core::Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(b)) => (a + b).map(Some),
        (a, b) => Ok(a.or(b)),
    }
}

/// Adds to each of some tensors what there is of the others at its place.
pub(crate) fn add_each(
    sums: &mut [Option<Tensor>],
    others: Vec<Option<Tensor>>,
) -> candle_core::Result<()> {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum = add(sum.take(), other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
