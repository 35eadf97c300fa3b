//! The ranks that have parts of the same stages and compute the same batches together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use autopipe_nn::{Combine, Pass, TensorParallelGroup};
use candle_core::Tensor;

use crate::communicator::{Reduction, Tag};
use crate::error::communication;
use crate::{ActionError, Communicator, Error, Failure};

/// The ranks among which the matrices of a rank's stages are cut: they have the same place in
/// pipelines of their own, which take the same steps on the same batches.
///
/// The layers of a stage sum by it while they compute. What goes wrong in such a sum reaches the worker
/// as an error of a tensor operation, with no more than its words; so it is kept here, and the worker
/// tells it as that of any other message. Whoever uses the group without a worker has the words.
pub struct TensorParallel {
    comm: Box<dyn Communicator>,
    /// The first sum that went wrong since the worker last asked.
    failure: Mutex<Option<Error>>,
}

impl std::fmt::Debug for TensorParallel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorParallel")
            .field("members", &self.comm.members())
            .finish_non_exhaustive()
    }
}

impl TensorParallel {
    /// Of this rank's end of their group.
    pub fn new(comm: Box<dyn Communicator>) -> Arc<Self> {
        Arc::new(Self { comm, failure: Mutex::new(None) })
    }

    /// This rank's end of the group.
    pub fn communicator(&self) -> &dyn Communicator {
        &*self.comm
    }

    /// What the ranks have of a tensor that is cut among them, by rank: for a checkpoint. Shapes may
    /// differ, where it could not be cut evenly. All ranks make the same calls in the same order,
    /// between steps.
    ///
    /// # Errors
    /// If the world has failed, or not all ranks take part in time. The world is then told, and the
    /// workers have to [`recover`](super::Worker::recover).
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, Error> {
        // A copy: an optimiser may write to the parameter before the last rank has read what was sent.
        let own = tensor.detach().force_contiguous().map_err(Error::from);
        let by_rank = self
            .comm
            .check()
            .and(own)
            .and_then(|own| self.comm.all_gather_tensor(&own, Tag::of_parts()));
        // In the group, ranks have other numbers than in the world.
        let by_rank = by_rank.map_err(|error| match error {
            Error::Timeout { from, waited } => {
                Error::Timeout { from: self.comm.members()[from], waited }
            }
            other => other,
        });
        by_rank.inspect_err(|error| {
            let (rank, cause) = (self.comm.world_rank(), error.to_string());
            self.comm.abort(Failure { rank, at: None, cause });
        })
    }

    fn failure(&self) -> MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong first, once: a computation that went on all the same has a wrong result.
    pub(super) fn take_failure(&self) -> Option<ActionError> {
        Some(match self.failure().take()? {
            Error::Timeout { from, waited } => {
                ActionError::LateSum { rank: self.comm.members()[from], waited }
            }
            Error::Tensor(error) => ActionError::from(error),
            other => communication(other),
        })
    }
}

impl TensorParallelGroup for TensorParallel {
    fn rank(&self) -> usize {
        self.comm.rank()
    }

    fn size(&self) -> usize {
        self.comm.size()
    }

    fn all_reduce(
        &self,
        tensor: &Tensor,
        combine: Combine,
        pass: Pass,
    ) -> candle_core::Result<Tensor> {
        let reduction = match combine {
            Combine::Sum => Reduction::Sum,
            Combine::Max => Reduction::Max,
        };
        // A pass beside one that has failed need not wait as long again.
        if let Some(error) = &*self.failure() {
            return Err(in_words(error));
        }
        self.comm.all_reduce_tensor(tensor, reduction, Tag::of_pass(pass)).map_err(|error| {
            let words = in_words(&error);
            self.failure().get_or_insert(error);
            words
        })
    }
}

fn in_words(error: &Error) -> candle_core::Error {
    candle_core::Error::Msg(error.to_string())
}
