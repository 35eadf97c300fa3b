//! Processes that something else than MPI has started: a connection between each two of them.
//!
//! Rank 0 listens where all have been told to come. Each of the others connects to it, says which rank
//! it is and where it listens itself, and is told where all others do; then the higher of two ranks
//! connects to the lower, and rank 0 tells all when all are connected. Letters say how long they are, so
//! that what goes over a connection is one letter after the other.

use std::io::Read as _;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use super::super::courier::{Incoming, Link, Place};

mod address;
mod error;
mod gather;
mod join;
mod machine;
mod meet;
mod message;
mod peer;
mod together;
mod visitors;

pub use address::{Master, NoMaster};
pub use error::{MeetingError, Refusal};
pub(crate) use meet::Seat;
pub(in super::super) use meet::connect;
use peer::{Peer, Read};

/// How long the others have to say goodbye once nobody has anything more to send.
const GOODBYE: Duration = Duration::from_secs(5);
/// Between two looks at connections on which nothing happens. The library has no way to wait for
/// several at once.
const REST: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(in super::super) struct TcpLink {
    place: Place,
    /// By rank; none of this one, and none of those that are lost.
    peers: Vec<Option<Peer>>,
    /// Whose letters are looked at first, so that nobody is heard more than others.
    first: usize,
}

impl TcpLink {
    fn new(place: Place, peers: Vec<Option<Peer>>) -> Self {
        Self { place, peers, first: 0 }
    }
}

impl Link for TcpLink {
    fn place(&self) -> Place {
        self.place
    }

    fn send(&mut self, to: usize, letter: Vec<u8>) {
        // Whoever is lost needs nothing.
        if let Some(peer) = &mut self.peers[to] {
            peer.send(letter);
        }
    }

    fn receive(&mut self) -> Option<Incoming> {
        self.has_sent();
        let num_peers = self.peers.len();
        for offset in 0..num_peers {
            let from = (self.first + offset) % num_peers;
            let Some(peer) = &mut self.peers[from] else { continue };
            let incoming = match peer.read() {
                Read::Nothing => continue,
                Read::Piece(piece) => Incoming::Piece { from, piece },
                Read::End(cause) => {
                    self.peers[from] = None;
                    Incoming::Lost { from, cause }
                }
            };
            self.first = from + 1;
            return Some(incoming);
        }
        None
    }

    fn is_moving(&self) -> bool {
        self.peers.iter().flatten().any(Peer::is_moving)
    }

    fn has_sent(&mut self) -> bool {
        let mut all = true;
        for peer in self.peers.iter_mut().flatten() {
            all &= peer.has_sent();
        }
        all
    }

    fn forget(&mut self, rank: usize) {
        self.peers[rank] = None;
    }

    /// A connection that is closed while something comes on it is broken off at the other end as well:
    /// so each waits for the other's goodbye.
    #[expect(clippy::disallowed_methods, reason = "those that say no goodbye are not waited for")]
    fn close(self) {
        let start = Instant::now();
        let mut streams: Vec<_> = self.peers.into_iter().flatten().map(Peer::into_stream).collect();
        for stream in &streams {
            // It may be gone already.
            let _ = stream.shutdown(Shutdown::Write);
        }
        let mut rest = [0; 64];
        while start.elapsed() < GOODBYE {
            streams.retain_mut(|stream| match stream.read(&mut rest) {
                Ok(read) => read > 0,
                Err(error) => peer::is_passing(&error),
            });
            if streams.is_empty() {
                return;
            }
            thread::park_timeout(REST);
        }
    }

    /// The others see that this one is gone.
    fn abort(&self) -> ! {
        tracing::error!(
            rank = self.place.rank,
            "the world has failed, and this rank does not come to its end: its process is ended"
        );
        std::process::exit(1)
    }
}
