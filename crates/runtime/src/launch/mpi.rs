//! Ranks as processes that MPI starts: this process is one of them.
//!
//! ```text
//! mpirun -n 4 --bind-to none program
//! ```
//!
//! starts four processes of the same program, on one machine or several. Each asks for its
//! [`world`] and [runs](MpiWorld::run) its part. A thread of its own carries the messages, so that
//! they arrive while the rank computes; MPI is used on that thread only, and errors inside of MPI
//! end all processes. Without `--bind-to none` mpirun may bind a process, with all its threads, to one core.
//!
//! A tensor is copied at either end and may be of any shape and of the types F32, F64, BF16, F16,
//! I64, U32 and U8. All processes have to be of one build and on machines of one kind.
//!
//! Without the feature `mpi` there is no world: [`world`] returns [`Error::NotCompiled`].
//!
//! # Examples
//! ```no_run
//! use autopipe_runtime::communicator::Reduction;
//! use autopipe_runtime::{Communicator, mpi};
//!
//! let world = mpi::world(&mpi::MpiOptions::default())?;
//! let body = |world: Box<dyn Communicator>| world.all_reduce(&[world.rank() as f64], Reduction::Sum);
//! let sum = world.run(body, |error| eprintln!("{error}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::time::Duration;

use super::{Cause, RankError, ThreadOptions, run_rank};
use crate::communicator::{Closed, Connected, Patience, Watch, connect};
use crate::{Communicator, Error};

/// How a rank runs as a process of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpiOptions {
    /// How it computes and waits. Cores are shared out among the ranks of its machine.
    pub threads: ThreadOptions,
    /// The most bytes that MPI is given at once: longer messages are cut. MPI counts to 2^31.
    pub piece: usize,
    /// How long all ranks have to come to their ends once one has failed and ended. Then
    /// [`MpiWorld::run`] returns without them, and after as long again all processes are ended.
    pub grace: Duration,
}

impl Default for MpiOptions {
    /// As threads, in pieces of 64 MiB, with five seconds of grace.
    fn default() -> Self {
        let (piece, grace) = (64 << 20, Duration::from_secs(5));
        Self { threads: ThreadOptions::default(), piece, grace }
    }
}

/// The world of processes of which this one is a rank. Dropped without being run, its rank counts
/// as ended.
#[derive(Debug)]
pub struct MpiWorld {
    connected: Connected,
    threads: ThreadOptions,
}

/// Joins the world of processes that MPI has started; once in a process. A process that was started
/// alone is a world of one rank.
///
/// # Errors
/// If MPI is not compiled in, allows no threads, or has been initialised before.
pub fn world(options: &MpiOptions) -> Result<MpiWorld, Error> {
    let patience = Patience { timeout: options.threads.timeout, grace: options.grace };
    let connected = connect(options.piece, patience)?;
    Ok(MpiWorld { connected, threads: options.threads })
}

impl MpiWorld {
    /// This process's number.
    pub fn rank(&self) -> usize {
        self.connected.place.rank
    }

    /// How many ranks the world has.
    pub fn size(&self) -> usize {
        self.connected.place.world_size
    }

    /// A handle that tells what this rank waits for, for whoever is told to end it: mpirun sends
    /// SIGTERM to the other processes when one has died.
    pub fn watch(&self) -> Watch {
        self.connected.watch.clone()
    }

    /// Runs this rank's part on a compute pool of its own, waits for all other ranks to come to their
    /// ends, and finalises MPI.
    ///
    /// If this rank was the first to fail, `tell` is given its error: before any process ends, as
    /// mpirun ends all others when one has failed. It is called on one rank of a world at most.
    ///
    /// When a rank fails, by an error or a panic, the others are stopped at their next action or
    /// message, as with [`threads`](super::threads). One that does not come to its end within
    /// [`MpiOptions::grace`] is not waited for: this returns, and the process has to end by itself
    /// or is ended after as long again.
    ///
    /// # Errors
    /// How this rank failed, or another one if this one did not.
    pub fn run<T, E, F>(self, body: F, tell: impl FnOnce(&RankError<E>)) -> Result<T, RankError<E>>
    where
        F: FnOnce(Box<dyn Communicator>) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + Send,
    {
        let Connected { place, end, watch, courier } = self.connected;
        let num_threads = self.threads.num_threads(place.ranks_here).get();
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
