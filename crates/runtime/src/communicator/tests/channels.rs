//! A link between threads that is made of channels, which cuts letters as MPI's does.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::super::courier::{Incoming, Link, Place};

type Piece = (usize, Vec<u8>);

pub(super) struct Channels {
    place: Place,
    piece: usize,
    to: Vec<Sender<Piece>>,
    from: Receiver<Piece>,
}

/// The links of a world.
pub(super) fn links(world_size: usize, piece: usize) -> Vec<Channels> {
    let (to, from): (Vec<_>, Vec<_>) = (0..world_size).map(|_| channel()).unzip();
    from.into_iter()
        .enumerate()
        .map(|(rank, from)| Channels {
            place: Place { rank, world_size, ranks_here: world_size },
            piece,
            to: to.clone(),
            from,
        })
        .collect()
}

impl Channels {
    /// Sends what may be no letter.
    pub(super) fn send_bytes(&mut self, to: usize, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            // A rank that is gone needs nothing.
            let _ = self.to[to].send((self.place.rank, piece.to_vec()));
        }
    }
}

impl Link for Channels {
    fn place(&self) -> Place {
        self.place
    }

    fn send(&mut self, to: usize, letter: Vec<u8>) {
        self.send_bytes(to, &letter);
    }

    fn receive(&mut self) -> Option<Incoming> {
        self.from.try_recv().ok().map(|(from, piece)| Incoming::Piece { from, piece })
    }

    fn is_moving(&self) -> bool {
        false
    }

    fn has_sent(&mut self) -> bool {
        true
    }

    fn forget(&mut self, _: usize) {}

    fn close(self) {}

    fn abort(&self) -> ! {
        panic!("rank {} ends all processes", self.place.rank)
    }
}
