//! Rank 0's part in the meeting: it lets all others in, and tells each where they are.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::join::CONNECTING;
use super::machine::machine;
use super::meet::Seat;
use super::message::{Answer, Hello, Table, say};
use super::peer::Peer;
use super::together::{Told, be_ready};
use super::visitors::{Visitor, Visitors};
use super::{MeetingError, REST, Refusal, TcpLink};
use crate::communicator::courier::Place;

/// The most refusals that are told when ranks are missing.
const TOLD: usize = 8;

struct Guest {
    stream: TcpStream,
    address: SocketAddr,
    hello: Hello,
}

/// Who is there, by rank.
struct Room {
    world_size: usize,
    guests: Vec<Option<Guest>>,
    refused: Vec<(SocketAddr, Refusal)>,
}

/// Waits for all other ranks.
#[expect(clippy::disallowed_methods, reason = "those who do not come are not waited for")]
pub(super) fn gather(seat: &Seat, timeout: Duration) -> Result<TcpLink, MeetingError> {
    let start = Instant::now();
    let listener = seat.master.listen()?;
    let listen = |source| MeetingError::Listen { at: seat.master.to_string(), source };
    tracing::debug!(at = %seat.master, "waiting for {} other ranks", seat.world_size - 1);
    let mut visitors = Visitors::new(listener).map_err(listen)?;
    let mut room = Room {
        world_size: seat.world_size,
        guests: (0..seat.world_size).map(|_| None).collect(),
        refused: Vec::new(),
    };
    loop {
        for visitor in visitors.next() {
            room.let_in(visitor);
        }
        room.forget_who_left();
        let ranks = room.missing();
        if ranks.is_empty() {
            return room.leave_together(timeout);
        }
        let waited = start.elapsed();
        if waited >= timeout {
            room.tell_all(&Answer::Refused(Refusal::Missing { ranks: ranks.clone() }));
            let (world_size, refused) = (seat.world_size, room.refused);
            return Err(MeetingError::Missing { ranks, world_size, waited, refused });
        }
        thread::park_timeout(REST);
    }
}

impl Room {
    fn let_in(&mut self, visitor: Visitor) {
        // Who comes again may be quicker than the next look.
        self.forget_who_left();
        let refusal = match &visitor.says {
            Err(refusal) => refusal.clone(),
            Ok(Hello { rank, world_size, .. }) if *world_size != self.world_size => {
                Refusal::WorldSize { rank: *rank, told: *world_size, world_size: self.world_size }
            }
            Ok(hello) => match self.guests.get(hello.rank) {
                Some(None) if hello.rank != 0 => {
                    let (stream, address, hello) = (visitor.stream, visitor.address, hello.clone());
                    // Who takes no welcome is seen to have left.
                    let _ = say(&stream, &Answer::Welcome.encode());
                    tracing::debug!(rank = hello.rank, %address, "a rank has come");
                    let rank = hello.rank;
                    self.guests[rank] = Some(Guest { stream, address, hello });
                    return;
                }
                other => {
                    let by = other.and_then(Option::as_ref).map(|guest| guest.address.to_string());
                    let by = by.unwrap_or("here".to_owned());
                    Refusal::Taken { rank: hello.rank, by }
                }
            },
        };
        if self.refused.len() < TOLD {
            self.refused.push((visitor.address, refusal.clone()));
        }
        visitor.refuse(&refusal);
    }

    /// Whoever is started again comes again.
    fn forget_who_left(&mut self) {
        for guest in &mut self.guests {
            let has_left = guest.as_ref().is_some_and(|guest| match guest.stream.peek(&mut [0]) {
                Ok(num_bytes) => num_bytes == 0,
                Err(error) => {
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                }
            });
            if has_left {
                *guest = None;
            }
        }
    }

    fn missing(&self) -> Vec<usize> {
        (1..self.world_size).filter(|&rank| self.guests[rank].is_none()).collect()
    }

    fn tell_all(&self, answer: &Answer) {
        for guest in self.guests.iter().flatten() {
            // Who has just left hears nothing.
            let _ = say(&guest.stream, &answer.encode());
        }
    }

    /// Tells all where the others are, and waits until they are connected.
    fn leave_together(self, timeout: Duration) -> Result<TcpLink, MeetingError> {
        let listens = self.guests.iter().flatten().map(|guest| guest.hello.listens.clone());
        let listens: Vec<_> = listens.collect();
        // The same on every machine that tells no name: rank 0's own.
        let own = std::net::IpAddr::from([127, 0, 0, 1]);
        let own = machine(own, own);
        let machine_of = |guest: &Option<Guest>| {
            guest.as_ref().map_or(own.clone(), |guest| guest.hello.machine.clone())
        };
        let machines: Vec<String> = self.guests.iter().map(machine_of).collect();
        let sharing = |machine: &String| machines.iter().filter(|other| *other == machine).count();
        let world = number();
        let mut others = Vec::new();
        for (guest, machine) in self.guests.into_iter().zip(&machines) {
            let Some(Guest { stream, address, hello }) = guest else { continue };
            let ranks_here = sharing(machine);
            let table = Table { world, ranks_here, listens: listens.clone() };
            others.push(Told::new(hello.rank, stream, address, table));
        }
        be_ready(&mut others, timeout.min(CONNECTING))?;
        let mut peers = vec![None];
        for Told { rank, stream, address, .. } in others {
            let no_way = |source| MeetingError::NoWay { rank, address, source };
            peers.push(Some(Peer::new(stream).map_err(no_way)?));
        }
        let ranks_here = sharing(&own);
        let place = Place { rank: 0, world_size: self.world_size, ranks_here };
        Ok(TcpLink::new(place, peers))
    }
}

/// A number that no other world has: who comes from elsewhere does not know it. It has no other use.
fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}
