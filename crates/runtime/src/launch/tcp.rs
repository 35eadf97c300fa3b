//! Ranks as processes that reach each other over TCP: this process is one of them.
//!
//! Whatever starts them, torchrun, a job scheduler or a person, tells each its rank, how many there are,
//! and where rank 0 is:
//!
//! ```text
//! on 10.0.0.1:  program 0 2 10.0.0.1:29500
//! on 10.0.0.2:  program 1 2 10.0.0.1:29500
//! ```
//!
//! They may start in any order within the timeout. Each asks for its [`world`] and
//! [runs](super::ProcessWorld::run) its part. A thread of its own carries the messages, so that they arrive
//! while the rank computes.
//!
//! Rank 0 listens at the given address, and each of the others at a port of its own that the system
//! chooses; between each two ranks there is one connection. Whoever reaches the address of rank 0
//! before all have come can take part, and what is sent is not encrypted: it is meant for networks whose
//! hosts trust each other.
//!
//! A process that ends before its time ends the world: all others see it at once, and their waits end with
//! its rank. One that stands still, or whose host is gone, is missed after the options' `silence`.
//!
//! # Examples
//! ```no_run
//! use autopipe_runtime::communicator::Reduction;
//! use autopipe_runtime::{Communicator, tcp};
//!
//! let options = tcp::TcpOptions::new(0, 2, "10.0.0.1:29500".parse()?);
//! let world = tcp::world(&options)?;
//! let body = |world: Box<dyn Communicator>| world.all_reduce(&[world.rank() as f64], Reduction::Sum);
//! let sum = world.run(body, |error| eprintln!("{error}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use super::{ProcessWorld, ThreadOptions};
use crate::Error;
use crate::communicator::link::tcp::Seat;
pub use crate::communicator::link::tcp::{Master, MeetingError, NoMaster, Refusal};
use crate::communicator::{Patience, over_tcp};

/// How a rank runs as a process of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// This process's number, counted from 0.
    pub rank: usize,
    /// How many processes there are.
    pub world_size: usize,
    /// Where rank 0 listens; the same for all.
    pub master: Master,
    /// How it computes and waits, for the others to start as well. Cores are shared out among the ranks
    /// of its machine.
    pub threads: ThreadOptions,
    /// How long nothing may come of another process, which gives a sign of life several times in this
    /// time whatever its rank does: after it the process counts as gone, though nobody waits for it. A
    /// second at the least.
    pub silence: Duration,
    /// How long all ranks have to come to their ends once one has failed and ended. Then
    /// [`ProcessWorld::run`] returns without them, and after as long again each that is left ends itself.
    pub grace: Duration,
}

impl TcpOptions {
    /// As threads, with a minute of silence and five seconds of grace.
    pub fn new(rank: usize, world_size: usize, master: Master) -> Self {
        let (silence, grace) = (Duration::from_secs(60), Duration::from_secs(5));
        Self { rank, world_size, master, threads: ThreadOptions::default(), silence, grace }
    }
}

/// Meets the processes of all other ranks; waits for those that have not started for as long as a rank
/// waits for a message.
///
/// # Errors
/// [`Error::Meeting`] if they do not all come, cannot be reached, or were told something else.
pub fn world(options: &TcpOptions) -> Result<ProcessWorld, Error> {
    let &TcpOptions { rank, world_size, ref master, threads, silence, grace } = options;
    let seat = Seat { rank, world_size, master: master.clone() };
    let patience = Patience { timeout: threads.timeout, silence, grace };
    Ok(ProcessWorld { connected: over_tcp(&seat, patience)?, threads })
}
