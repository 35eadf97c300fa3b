//! How a rank fails in a step: it tells the world, says where it was, and drops what it held.

use super::Worker;
use super::stage::StageRun;
use super::ties::Tied;
use crate::panic::catch;
use crate::{ActionError, Error, Failure, Place};

/// What a worker knows of the step that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) words: String,
    /// Whether it may have left gradients.
    pub(super) spoilt: bool,
}

/// How many kinds of things a stage holds, any of which can panic while it is dropped.
const NUM_HELD: usize = 8;

impl Worker {
    /// Does a part of a step: an error or a panic tells the world and says where it was.
    pub(super) fn guarded<T>(
        &mut self,
        at: Place,
        part: impl FnOnce(&mut Self) -> Result<T, ActionError>,
    ) -> Result<T, Error> {
        // Whatever a panic leaves half-changed is forgotten before anybody looks at it again.
        let done = catch(|| part(self)).unwrap_or_else(|message| Err(ActionError::Panic(message)));
        // Whatever came of a sum that failed, it was that.
        let failure = self.tensor_parallel.as_ref().and_then(|group| group.take_failure());
        failure.map_or(done, Err).map_err(|source| self.tell(at, source))
    }

    /// Tells the world why this rank fails, unless it only repeats another's failure.
    pub(super) fn tell(&self, at: Place, source: ActionError) -> Error {
        let source = match source {
            ActionError::Communication(error) => match *error {
                // Another thread of this rank has told the world already, or the others have told it.
                Error::Stopped { failure, .. } if failure.rank == self.comm.world_rank() => {
                    ActionError::Elsewhere(failure.cause)
                }
                Error::Stopped { failure, .. } => return Error::Stopped { failure, at: Some(at) },
                Error::Timeout { from, waited } => {
                    ActionError::Absent { rank: self.comm.members()[from], waited }
                }
                other => ActionError::Communication(Box::new(other)),
            },
            other => other,
        };
        let rank = self.comm.world_rank();
        self.comm.abort(Failure { rank, at: Some(at), cause: source.to_string() });
        Error::Action { rank, at, source }
    }

    /// From now on every step is refused; `spoilt` says whether gradients may be left of this one.
    pub(super) fn note_failure(&mut self, error: &Error, spoilt: bool) {
        self.failed = Some(Failed { words: error.to_string(), spoilt });
        self.forget();
    }

    /// Drops what the stages hold of a step.
    pub(super) fn forget(&mut self) {
        for stage in self.stages.values_mut() {
            // What panics while it is dropped is gone: the next attempt gets further.
            let _ = (0..=NUM_HELD).find(|_| catch(|| StageRun::clear(stage)).is_ok());
        }
        self.ties.values_mut().for_each(Tied::forget);
        if let Some(group) = &self.tensor_parallel {
            drop(group.take_failure());
        }
        if let Some(replicas) = &mut self.replicas {
            let _ = catch(|| replicas.forget());
        }
    }
}
