//! How the ranks of a world find each other: the part of all ranks but rank 0.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::gather::gather;
use super::join::Arrived;
use super::machine::machine;
use super::message::{Answer, Coming, Hello, Listens, NoMessage, VERSION, say};
use super::visitors::Visitors;
use super::{Master, MeetingError, REST, Refusal, TcpLink};

/// Between two attempts to reach rank 0, which may start later.
const BETWEEN: Duration = Duration::from_millis(50);
/// How long one attempt takes at most.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How much longer than rank 0 the others wait for the rest, so that it can say who is missing.
pub(super) const LONGER: Duration = Duration::from_secs(2);

/// How many processes can have a connection between each two: each has one file for every other.
const MOST_RANKS: usize = 1 << 13;

/// What a process has been told of its world.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    pub(crate) master: Master,
}

/// Meets the processes of all other ranks.
pub(in super::super::super) fn connect(
    seat: &Seat,
    timeout: Duration,
) -> Result<TcpLink, MeetingError> {
    let &Seat { rank, world_size, .. } = seat;
    match rank {
        _ if rank >= world_size => Err(MeetingError::NoSuchRank { rank, world_size }),
        _ if world_size > MOST_RANKS => Err(MeetingError::TooMany { world_size, most: MOST_RANKS }),
        0 => gather(seat, timeout),
        _ => Meeting { seat, timeout, coming: Coming::default() }.go(),
    }
}

/// A rank's talk with rank 0.
pub(super) struct Meeting<'a> {
    pub(super) seat: &'a Seat,
    pub(super) timeout: Duration,
    coming: Coming,
}

impl Meeting<'_> {
    #[expect(clippy::disallowed_methods, reason = "who is not there is not waited for")]
    fn go(mut self) -> Result<TcpLink, MeetingError> {
        let start = Instant::now();
        let (zero, seen) = self.reach(start)?;
        let cannot = |at: IpAddr| move |source| MeetingError::Listen { at: at.to_string(), source };
        let own = zero.local_addr().map_err(cannot(seen))?.ip().to_canonical();
        let listens_at = self.listens_at(own);
        let listener = TcpListener::bind((listens_at, 0)).map_err(cannot(listens_at))?;
        let port = listener.local_addr().map_err(cannot(listens_at))?.port();
        let visitors = Visitors::new(listener).map_err(cannot(listens_at))?;
        let hello = Hello {
            world: 0,
            rank: self.seat.rank,
            world_size: self.seat.world_size,
            listens: Listens { ip: (!own.is_loopback()).then_some(own), port },
            machine: machine(own, seen),
        };
        // If it has gone, the answer does not come either.
        let _ = say(&zero, &hello.encode());
        match self.answer(&zero, start + self.timeout)? {
            Answer::Welcome => {}
            answer => return Err(self.unexpected(answer)),
        }
        // Rank 0 was there before this, so that its time is over before.
        match self.answer(&zero, Instant::now() + self.timeout + LONGER)? {
            Answer::Table(table) if table.listens.len() + 1 == self.seat.world_size => {
                Arrived { meeting: self, zero, seen, visitors, hello, table }.join()
            }
            answer => Err(self.unexpected(answer)),
        }
    }

    /// Connects to rank 0 as soon as it is there; returns the connection and where it leads.
    fn reach(&self, start: Instant) -> Result<(TcpStream, IpAddr), MeetingError> {
        let master = &self.seat.master;
        loop {
            let left = self.timeout.saturating_sub(start.elapsed());
            // A name may become known when its host starts.
            let source = match master.resolve() {
                Err(error) if left.is_zero() => return Err(error),
                Err(_) => None,
                Ok(addresses) => match any(&addresses, left.clamp(REST, ATTEMPT)) {
                    Ok((stream, address)) => return Ok((stream, address.ip().to_canonical())),
                    Err(error) => Some(error),
                },
            };
            if let Some(source) = source
                && left.is_zero()
            {
                let (rank, waited) = (self.seat.rank, start.elapsed());
                return Err(MeetingError::NoRankZero {
                    rank,
                    master: master.clone(),
                    waited,
                    source,
                });
            }
            thread::park_timeout(BETWEEN);
        }
    }

    /// Where others reach this process. Who sees rank 0 by a name that only its own machine has for it
    /// does not know its address for others.
    fn listens_at(&self, own: IpAddr) -> IpAddr {
        match own {
            _ if !own.is_loopback() || self.seat.master.is_loopback() => own,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Waits for what rank 0 says next.
    #[expect(clippy::disallowed_methods, reason = "who says nothing is not waited for")]
    pub(super) fn answer(
        &mut self,
        zero: &TcpStream,
        until: Instant,
    ) -> Result<Answer, MeetingError> {
        let start = Instant::now();
        loop {
            if let Some(answer) = self.hear(zero)? {
                return Ok(answer);
            }
            if Instant::now() >= until {
                let (rank, waited) = (self.seat.rank, start.elapsed());
                let master = self.seat.master.clone();
                let source = io::Error::new(ErrorKind::TimedOut, "what listens there says nothing");
                return Err(MeetingError::NoRankZero { rank, master, waited, source });
            }
            thread::park_timeout(REST);
        }
    }

    /// What rank 0 has said, if it has.
    pub(super) fn hear(&mut self, zero: &TcpStream) -> Result<Option<Answer>, MeetingError> {
        let master = || self.seat.master.clone();
        match self.coming.read(zero) {
            Ok(None) => Ok(None),
            Ok(Some(body)) => match Answer::decode(&body) {
                Ok(answer) => Ok(Some(answer)),
                Err(_) => Err(MeetingError::Stranger { master: master() }),
            },
            Err(NoMessage::Stranger) => Err(MeetingError::Stranger { master: master() }),
            Err(NoMessage::Closed) => Err(MeetingError::Left { master: master() }),
            Err(NoMessage::Version(own)) => {
                let refusal = Refusal::Version { version: VERSION, own };
                Err(MeetingError::Refused { master: master(), refusal })
            }
        }
    }

    pub(super) fn unexpected(&self, answer: Answer) -> MeetingError {
        let master = self.seat.master.clone();
        match answer {
            Answer::Refused(refusal) => MeetingError::Refused { master, refusal },
            Answer::Welcome | Answer::Table(_) | Answer::Ready => MeetingError::Stranger { master },
        }
    }
}

/// A connection to the first address that takes one.
fn any(addresses: &[SocketAddr], timeout: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, timeout) {
            // A port of those that the system gives away may have been given to this very attempt.
            Ok(stream) if stream.local_addr().ok() == Some(*address) => {
                last = ErrorKind::ConnectionRefused.into();
            }
            Ok(stream) => match stream.set_nonblocking(true) {
                Ok(()) => return Ok((stream, *address)),
                Err(error) => last = error,
            },
            Err(error) => last = error,
        }
    }
    Err(last)
}
