//! Ranks as processes that MPI starts: this process is one of them.
//!
//! ```text
//! mpirun -n 4 --bind-to none program
//! ```
//!
//! starts four processes of the same program, on one machine or several. Each asks for its
//! [`world`] and [runs](ProcessWorld::run) its part. A thread of its own carries the messages, so that
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

use std::time::Duration;

use super::{ProcessWorld, ThreadOptions};
use crate::Error;
use crate::communicator::{Patience, over_mpi};

/// How a rank runs as a process of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpiOptions {
    /// How it computes and waits. Cores are shared out among the ranks of its machine.
    pub threads: ThreadOptions,
    /// The most bytes that MPI is given at once: longer messages are cut. MPI counts to 2^31.
    pub piece: usize,
    /// How long nothing may come of another process, which gives a sign of life several times in this
    /// time whatever its rank does: after it the process counts as gone, though nobody waits for it. A
    /// second at the least.
    pub silence: Duration,
    /// How long all ranks have to come to their ends once one has failed and ended. Then
    /// [`ProcessWorld::run`] returns without them, and after as long again all processes are ended.
    pub grace: Duration,
}

impl Default for MpiOptions {
    /// As threads, in pieces of 64 MiB, with a minute of silence and five seconds of grace.
    fn default() -> Self {
        let (silence, grace) = (Duration::from_secs(60), Duration::from_secs(5));
        Self { threads: ThreadOptions::default(), piece: 64 << 20, silence, grace }
    }
}

/// Joins the world of processes that MPI has started; once in a process. A process that was started
/// alone is a world of one rank.
///
/// # Errors
/// If MPI is not compiled in, allows no threads, or has been initialised before.
pub fn world(options: &MpiOptions) -> Result<ProcessWorld, Error> {
    let &MpiOptions { threads, piece: _, silence, grace } = options;
    let patience = Patience { timeout: threads.timeout, silence, grace };
    let connected = over_mpi(options.piece, patience)?;
    Ok(ProcessWorld { connected, threads: options.threads })
}
