//! How those who know of each other connect: the higher of two ranks to the lower.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::meet::Seat;
use super::message::{Hello, Table, say};
use super::peer::Peer;
use super::visitors::Visitors;
use super::{MeetingError, REST, TcpLink};
use crate::communicator::courier::Place;

/// How long they have for it: all of them are there.
const CONNECTING: Duration = Duration::from_secs(60);

/// A rank that has been told where the others are.
pub(super) struct Arrived<'a> {
    pub(super) seat: &'a Seat,
    /// The connection to rank 0.
    pub(super) zero: TcpStream,
    /// Where it leads.
    pub(super) seen: IpAddr,
    /// Where the higher ranks come.
    pub(super) listener: TcpListener,
    pub(super) hello: Hello,
    pub(super) table: Table,
}

impl Arrived<'_> {
    pub(super) fn join(self, timeout: Duration) -> Result<TcpLink, MeetingError> {
        let &Seat { rank, world_size, ref master } = self.seat;
        let timeout = timeout.min(CONNECTING);
        let zero_at = SocketAddr::new(self.seen, master.port);
        let mut streams = vec![(zero_at, self.zero)];
        let hello = Hello { world: self.table.world, ..self.hello }.encode();
        for (lower, listens) in (1..rank).zip(&self.table.listens) {
            let address = SocketAddr::new(listens.ip.unwrap_or(self.seen), listens.port);
            let connected = TcpStream::connect_timeout(&address, timeout);
            let told = connected.and_then(|stream| say(&stream, &hello).map(|()| stream));
            let no_way = |source| MeetingError::NoWay { rank: lower, address, source };
            streams.push((address, told.map_err(no_way)?));
        }
        let listen = |source| MeetingError::Listen { at: "a port".to_owned(), source };
        let mut visitors = Visitors::new(self.listener).map_err(listen)?;
        let higher = let_in(&mut visitors, self.seat, self.table.world, timeout)?;
        let peer = |(rank, (address, stream))| {
            Peer::new(stream).map_err(|source| MeetingError::NoWay { rank, address, source })
        };
        let lower = streams.into_iter().enumerate().map(peer);
        let higher = (rank + 1..world_size).zip(higher).map(peer);
        let mut peers = lower.map(|peer| peer.map(Some)).collect::<Result<Vec<_>, _>>()?;
        peers.push(None);
        for peer in higher {
            peers.push(Some(peer?));
        }
        let place = Place { rank, world_size, ranks_here: self.table.ranks_here };
        Ok(TcpLink::new(place, peers))
    }
}

/// Waits for all higher ranks, and returns them in their order.
#[expect(clippy::disallowed_methods, reason = "who does not come is not waited for")]
fn let_in(
    visitors: &mut Visitors,
    seat: &Seat,
    world: u64,
    timeout: Duration,
) -> Result<Vec<(SocketAddr, TcpStream)>, MeetingError> {
    let (start, first) = (Instant::now(), seat.rank + 1);
    let mut here: Vec<Option<(SocketAddr, TcpStream)>> = Vec::new();
    here.resize_with(seat.world_size - first, || None);
    loop {
        for visitor in visitors.next() {
            // Who is of another world, or of none, is let go.
            let Ok(hello) = visitor.says else { continue };
            let place = hello.rank.checked_sub(first).and_then(|index| here.get_mut(index));
            if let Some(place @ None) = place
                && hello.world == world
            {
                *place = Some((visitor.address, visitor.stream));
            }
        }
        let missing = (first..seat.world_size).filter(|&rank| here[rank - first].is_none());
        let ranks: Vec<usize> = missing.collect();
        if ranks.is_empty() {
            return Ok(here.into_iter().flatten().collect());
        }
        let waited = start.elapsed();
        if waited >= timeout {
            let (world_size, refused) = (seat.world_size, Vec::new());
            return Err(MeetingError::Missing { ranks, world_size, waited, refused });
        }
        thread::park_timeout(REST);
    }
}
