//! Processes that MPI has started: letters as MPI messages, in pieces if they are long.
//!
//! MPI is initialised, used and finalised on one thread. An error inside of MPI ends the processes
//! of all ranks: that is MPI's own default.

use std::collections::{BTreeSet, VecDeque};

use ::mpi::Threading;
use ::mpi::datatype::Equivalence;
use ::mpi::environment::{Universe, initialize_with_threading};
use ::mpi::point_to_point::Status;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator as _, CommunicatorCollectives as _, Source as _};

use super::super::courier::{Incoming, Link, Place};
use crate::Error;

mod transfer;

use transfer::{Receiving, Sending};

/// The tag of every message; what tells messages apart is inside of them.
const TAG: ::mpi::Tag = 0;

pub(in super::super) struct MpiLink {
    place: Place,
    /// The most bytes of one MPI message.
    piece: usize,
    /// By rank: what is under way to it.
    sending: Vec<VecDeque<Sending>>,
    /// By rank: the pieces that are coming from it.
    receiving: Vec<VecDeque<Receiving>>,
    /// Ranks to which nothing goes any more: MPI cannot be finalised without them.
    forgotten: BTreeSet<usize>,
    world: SimpleCommunicator,
    /// Dropped last: this finalises MPI.
    _universe: Universe,
}

/// Initialises MPI on this thread, which has to be the only one to use it.
pub(in super::super) fn connect(piece: usize) -> Result<MpiLink, Error> {
    let (universe, threading) =
        initialize_with_threading(Threading::Funneled).ok_or(Error::OneWorld)?;
    if threading < Threading::Funneled {
        return Err(Error::SingleThreaded);
    }
    let world = universe.world();
    let world_size = count(world.size());
    let ranks_here = count(world.split_shared(world.rank()).size());
    Ok(MpiLink {
        place: Place { rank: count(world.rank()), world_size, ranks_here },
        // MPI counts in 32 bits.
        piece: piece.clamp(8, i32::MAX as usize),
        sending: (0..world_size).map(|_| VecDeque::new()).collect(),
        receiving: (0..world_size).map(|_| VecDeque::new()).collect(),
        forgotten: BTreeSet::new(),
        world,
        _universe: universe,
    })
}

/// A number of MPI's, which is never below zero here.
fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

impl MpiLink {
    /// Finds the messages that have begun to arrive.
    fn probe(&mut self) {
        let any = self.world.any_process();
        while let Some((message, status)) = any.immediate_matched_probe_with_tag(TAG) {
            let from = count(Status::source_rank(&status));
            let len = count(status.count(u8::equivalent_datatype()));
            self.receiving[from].push_back(Receiving::begin(message, len));
        }
    }
}

impl Link for MpiLink {
    fn place(&self) -> Place {
        self.place
    }

    fn send(&mut self, to: usize, letter: Vec<u8>) {
        if self.forgotten.contains(&to) {
            return;
        }
        let rank = i32::try_from(to).expect("a rank of MPI's, which counts them in 32 bits");
        let process = self.world.process_at_rank(rank);
        self.sending[to].push_back(Sending::begin(&process, letter, self.piece));
    }

    fn receive(&mut self) -> Option<Incoming> {
        self.probe();
        self.has_sent();
        for (from, pieces) in self.receiving.iter_mut().enumerate() {
            // In their order, in which a later one may be here first.
            match pieces.pop_front().map(Receiving::finish) {
                Some(Ok(piece)) => return Some(Incoming::Piece { from, piece }),
                Some(Err(piece)) => pieces.push_front(piece),
                None => {}
            }
        }
        None
    }

    fn is_moving(&self) -> bool {
        let is_receiving = self.receiving.iter().any(|pieces| !pieces.is_empty());
        is_receiving || self.sending.iter().any(|letters| !letters.is_empty())
    }

    fn has_sent(&mut self) -> bool {
        for letters in &mut self.sending {
            letters.retain_mut(|letter| !letter.has_left());
        }
        self.forgotten.is_empty() && self.sending.iter().all(VecDeque::is_empty)
    }

    /// A piece is told of once it is whole.
    fn is_coming(&self, rank: usize) -> bool {
        !self.receiving[rank].is_empty()
    }

    /// What is under way to it stays: MPI may still read it. With one forgotten nothing is ever closed:
    /// MPI ends the processes.
    fn forget(&mut self, rank: usize) {
        self.forgotten.insert(rank);
    }

    fn close(self) {
        self.world.barrier();
    }

    fn abort(&self) -> ! {
        self.world.abort(1)
    }
}
