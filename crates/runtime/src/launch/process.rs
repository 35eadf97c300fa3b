//! A process that is one rank of a world of them, whatever has started it.

use std::fmt;
use std::num::NonZeroUsize;

use super::{Cause, RankError, ThreadOptions, run_rank};
use crate::Communicator;
use crate::communicator::{Closed, Connected, Watch};

/// The world of processes of which this one is a rank: made by [`mpi::world`](super::mpi::world) or
/// [`tcp::world`](super::tcp::world). Dropped without being run, its rank counts as ended.
#[derive(Debug)]
pub struct ProcessWorld {
    pub(super) connected: Connected,
    pub(super) threads: ThreadOptions,
}

impl ProcessWorld {
    /// This process's number.
    pub fn rank(&self) -> usize {
        self.connected.place.rank
    }

    /// How many ranks the world has.
    pub fn size(&self) -> usize {
        self.connected.place.world_size
    }

    /// How many threads this rank will compute with: its share of the cores of this machine, unless the
    /// options say otherwise.
    pub fn num_threads(&self) -> NonZeroUsize {
        self.threads.num_threads_of_process(self.connected.place.ranks_here)
    }

    /// A handle that tells what this rank waits for, for whoever is told to end it: mpirun sends
    /// SIGTERM to the other processes when one has died.
    pub fn watch(&self) -> Watch {
        self.connected.watch.clone()
    }

    /// Runs this rank's part on a compute pool of its own, waits for all other ranks to come to their
    /// ends, and takes leave of them; MPI is finalised.
    ///
    /// If this rank was the first to fail, `tell` is given its error: before any process ends, as
    /// mpirun ends all others when one has failed. It is called on one rank of a world at most.
    ///
    /// When a rank fails, by an error or a panic, the others are stopped at their next action or
    /// message, as with [`threads`](super::threads). One that does not come to its end within the
    /// options' `grace` is not waited for: this returns, and the process has to end by itself or is
    /// ended after as long again. A process that ends before its time fails the world in the same way:
    /// mpirun ends all others, and over TCP they see it.
    ///
    /// # Errors
    /// How this rank failed, or another one if this one did not.
    pub fn run<T, E, F>(self, body: F, tell: impl FnOnce(&RankError<E>)) -> Result<T, RankError<E>>
    where
        F: FnOnce(Box<dyn Communicator>) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + Send,
    {
        let num_threads = self.num_threads().get();
        let Connected { place, end, watch, courier } = self.connected;
        let result = run_rank(end, num_threads, body).map_err(|ended| {
            let error = RankError { rank: place.rank, cause: Box::new(ended.cause) };
            if ended.is_first {
                tell(&error);
            }
            error
        });
        let closed = courier.wait();
        if let Some(Closed::Without(ranks)) = &closed {
            tracing::debug!(rank = place.rank, "left without waiting for the ranks {ranks:?}");
        }
        let value = result?;
        match (watch.fallen(), watch.failure()) {
            (Some((rank, cause)), _) => {
                Err(RankError { rank, cause: Box::new(Cause::Elsewhere(cause)) })
            }
            // The courier has not come to its end.
            (None, Some(failure)) if closed.is_none() => Err(RankError {
                rank: failure.rank,
                cause: Box::new(Cause::Elsewhere(failure.cause)),
            }),
            (None, _) => Ok(value),
        }
    }
}
