//! Sums of tensors of which each rank of a group gets a slice.

use autopipe_schedule::Action;
use candle_core::Tensor;

use super::slices::{Posted, Slice, add, have_arrived, others, post_all, receive, send};
use super::{Communicator, Tag};
use crate::ActionError;

/// A sum under way, of which this rank adds up a slice of each tensor, in the order of the ranks.
#[derive(Debug)]
pub(crate) struct ReduceScatter {
    /// What the others do that this rank waits for.
    awaited: Action,
    /// How many numbers each tensor has.
    lens: Vec<usize>,
    /// What this rank adds, flat.
    own: Vec<Option<Tensor>>,
    posted: Posted,
}

impl ReduceScatter {
    /// Begins to sum: of all ranks, the tensors of each place have so many numbers and the same dtype,
    /// and where a rank has none, it adds nothing. Until the end, what it gives may be read by others.
    pub(crate) fn begin(
        comm: &dyn Communicator,
        tag: Tag,
        awaited: Action,
        lens: Vec<usize>,
        own: Vec<Option<Tensor>>,
    ) -> Result<Self, ActionError> {
        let flat = |tensor: Option<Tensor>| tensor.map(|t| t.flatten_all()).transpose();
        let own: Vec<Option<Tensor>> =
            own.into_iter().map(flat).collect::<candle_core::Result<_>>()?;
        let posted = post_all(comm, tag)?;
        let begun = Self { awaited, lens, own, posted };
        for to in others(comm) {
            send(comm, &begun.slices_of(comm, to)?, to, tag)?;
        }
        Ok(begun)
    }

    /// What this rank adds to the slices of another.
    fn slices_of(
        &self,
        comm: &dyn Communicator,
        rank: usize,
    ) -> Result<Vec<Option<Tensor>>, ActionError> {
        let cut = |(tensor, &len): (&Option<Tensor>, &usize)| {
            let slice = Slice::of(len, rank, comm.size());
            tensor.as_ref().map(|tensor| slice.cut(tensor)).transpose()
        };
        Ok(self.own.iter().zip(&self.lens).map(cut).collect::<candle_core::Result<_>>()?)
    }

    /// Whether [`finish`](Self::finish) need not wait.
    pub(crate) fn is_ready(&self, comm: &dyn Communicator) -> Result<bool, ActionError> {
        have_arrived(comm, &self.posted)
    }

    /// Waits for the others' parts of this rank's slices and adds them up, once; none where no rank
    /// had anything.
    pub(crate) fn finish(
        &mut self,
        comm: &dyn Communicator,
    ) -> Result<Vec<Option<Tensor>>, ActionError> {
        let mut sums = Vec::with_capacity(self.lens.len());
        self.finish_each(comm, |_, sum| {
            sums.push(sum);
            Ok(())
        })?;
        Ok(sums)
    }

    /// The same, and hands each sum on before it adds the next up: what it was made of is then free.
    pub(crate) fn finish_each(
        &mut self,
        comm: &dyn Communicator,
        mut take: impl FnMut(usize, Option<Tensor>) -> candle_core::Result<()>,
    ) -> Result<(), ActionError> {
        let mut by_rank = Vec::with_capacity(comm.size());
        for (rank, posted) in std::mem::take(&mut self.posted).into_iter().enumerate() {
            by_rank.push(match posted {
                Some(posted) => receive(comm, posted, self.awaited, self.lens.len())?,
                None => self.slices_of(comm, rank)?,
            });
        }
        for place in 0..self.lens.len() {
            self.own[place] = None;
            let (mut sum, mut num_added) = (None, 0);
            for parts in &mut by_rank {
                let part = parts[place].take();
                num_added += usize::from(part.is_some());
                sum = add(sum, part)?;
            }
            // What was not added to anything is a part of a whole gradient still.
            let is_part = num_added == 1 && comm.size() > 1;
            let sum =
                if is_part { sum.map(|part| part.force_contiguous()).transpose()? } else { sum };
            take(place, sum)?;
        }
        Ok(())
    }
}
