//! Tensors that every rank of a group gets from every other.

use autopipe_schedule::Action;
use candle_core::Tensor;

use super::slices::{Posted, others, post_all, receive, send};
use super::{Communicator, Tag};
use crate::ActionError;

/// Tensors under way from all ranks to all.
#[derive(Debug)]
pub(crate) struct AllGather {
    /// What the others do that this rank waits for.
    awaited: Action,
    own: Vec<Option<Tensor>>,
    posted: Posted,
}

impl AllGather {
    /// Sends this rank's tensors to all others, as many as they send. They must not be written to
    /// afterwards.
    pub(crate) fn begin(
        comm: &dyn Communicator,
        tag: Tag,
        awaited: Action,
        own: Vec<Option<Tensor>>,
    ) -> Result<Self, ActionError> {
        let posted = post_all(comm, tag)?;
        for to in others(comm) {
            send(comm, &own, to, tag)?;
        }
        Ok(Self { awaited, own, posted })
    }

    /// Waits for the others' tensors: by rank, each in the order in which it gave them.
    pub(crate) fn finish(
        self,
        comm: &dyn Communicator,
    ) -> Result<Vec<Vec<Option<Tensor>>>, ActionError> {
        let (num_tensors, mut own) = (self.own.len(), Some(self.own));
        let mut by_rank = Vec::with_capacity(comm.size());
        for posted in self.posted {
            by_rank.push(match posted {
                Some(posted) => receive(comm, posted, self.awaited, num_tensors)?,
                None => own.take().unwrap_or_default(),
            });
        }
        Ok(by_rank)
    }
}
