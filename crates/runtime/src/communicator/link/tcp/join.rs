//! How those who know of each other connect: the higher of two ranks to the lower.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::meet::{LONGER, Meeting, Seat};
use super::message::{Answer, Hello, Listens, Table, say};
use super::peer::Peer;
use super::visitors::Visitors;
use super::{MeetingError, REST, Refusal, TcpLink};
use crate::communicator::courier::Place;

/// How long they have for it: all of them are there.
pub(super) const CONNECTING: Duration = Duration::from_secs(60);

/// A rank that has been told where the others are.
pub(super) struct Arrived<'a> {
    pub(super) meeting: Meeting<'a>,
    /// The connection to rank 0.
    pub(super) zero: TcpStream,
    /// Where it leads.
    pub(super) seen: IpAddr,
    /// The higher ranks, who come here.
    pub(super) visitors: Visitors,
    pub(super) hello: Hello,
    pub(super) table: Table,
}

type Connection = (SocketAddr, TcpStream);

impl Arrived<'_> {
    #[expect(clippy::disallowed_methods, reason = "who says nothing is not waited for")]
    pub(super) fn join(mut self) -> Result<TcpLink, MeetingError> {
        let &Seat { rank, world_size, ref master } = self.meeting.seat;
        let zero_at = SocketAddr::new(self.seen, master.port);
        let timeout = self.meeting.timeout.min(CONNECTING);
        let lower = match self.reach_lower(timeout) {
            Ok(lower) => lower,
            Err(error) => return Err(self.better(error)),
        };
        // Longer than rank 0 waits for all to be ready, so that it says who is not.
        let higher = self.let_in(timeout + LONGER)?;

        // If it has gone, the answer does not come either.
        let _ = say(&self.zero, &Answer::Ready.encode());
        match self.meeting.answer(&self.zero, Instant::now() + timeout + LONGER)? {
            Answer::Ready => {}
            answer => return Err(self.meeting.unexpected(answer)),
        }
        let peer = |(rank, (address, stream))| {
            Peer::new(stream).map_err(|source| MeetingError::NoWay { rank, address, source })
        };
        let lower = [(zero_at, self.zero)].into_iter().chain(lower).enumerate().map(peer);
        let higher = (rank + 1..world_size).zip(higher).map(peer);
        let mut peers = lower.map(|peer| peer.map(Some)).collect::<Result<Vec<_>, _>>()?;
        peers.push(None);
        for peer in higher {
            peers.push(Some(peer?));
        }
        let place = Place { rank, world_size, ranks_here: self.table.ranks_here };
        Ok(TcpLink::new(place, peers))
    }

    /// Connects to all lower ranks but rank 0.
    fn reach_lower(&self, timeout: Duration) -> Result<Vec<Connection>, MeetingError> {
        let hello = Hello { world: self.table.world, ..self.hello.clone() }.encode();
        let lower = (1..self.meeting.seat.rank).zip(&self.table.listens);
        let reach = |(rank, listens): (usize, &Listens)| {
            let address = SocketAddr::new(listens.ip.unwrap_or(self.seen), listens.port);
            let connected = TcpStream::connect_timeout(&address, timeout);
            let told = connected.and_then(|stream| say(&stream, &hello).map(|()| stream));
            let no_way = |source| MeetingError::NoWay { rank, address, source };
            Ok((address, told.map_err(no_way)?))
        };
        lower.map(reach).collect()
    }

    /// Who cannot be reached may have left, because of another who has, perhaps: rank 0 sees and says who
    /// was the first. Otherwise this rank knows best.
    #[expect(clippy::disallowed_methods, reason = "who says nothing is not waited for")]
    fn better(&mut self, error: MeetingError) -> MeetingError {
        match self.meeting.answer(&self.zero, Instant::now() + LONGER) {
            Ok(answer @ Answer::Refused(Refusal::Gone { .. })) => self.meeting.unexpected(answer),
            Ok(_) | Err(_) => error,
        }
    }

    /// Waits for all higher ranks, and returns them in their order.
    #[expect(clippy::disallowed_methods, reason = "who does not come is not waited for")]
    fn let_in(&mut self, timeout: Duration) -> Result<Vec<Connection>, MeetingError> {
        let &Seat { rank, world_size, .. } = self.meeting.seat;
        let (start, first) = (Instant::now(), rank + 1);
        let mut here: Vec<Option<Connection>> = Vec::new();
        here.resize_with(world_size - first, || None);
        loop {
            for visitor in self.visitors.next() {
                // Who is of another world, or of none, is let go.
                let Ok(hello) = visitor.says else { continue };
                let place = hello.rank.checked_sub(first).and_then(|index| here.get_mut(index));
                if let Some(place @ None) = place
                    && hello.world == self.table.world
                {
                    *place = Some((visitor.address, visitor.stream));
                }
            }
            let missing = (first..world_size).filter(|&rank| here[rank - first].is_none());
            let ranks: Vec<usize> = missing.collect();
            if ranks.is_empty() {
                return Ok(here.into_iter().flatten().collect());
            }
            // That somebody has left, it says unasked.
            if let Some(answer) = self.meeting.hear(&self.zero)? {
                return Err(self.meeting.unexpected(answer));
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(MeetingError::Missing {
                    ranks,
                    world_size,
                    waited,
                    refused: Vec::new(),
                });
            }
            thread::park_timeout(REST);
        }
    }
}
