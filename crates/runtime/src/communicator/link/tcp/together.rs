//! How the meeting ends at rank 0: each of the others says that it is connected to all, and is told when
//! all are. Whoever leaves meanwhile is seen, and all others are told who it was.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::message::{Answer, Coming, say};
use super::{MeetingError, REST, Refusal};

/// A rank that has been told where the others are.
pub(super) struct Told {
    pub(super) rank: usize,
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    coming: Coming,
    is_ready: bool,
}

impl Told {
    pub(super) fn new(rank: usize, stream: TcpStream, address: SocketAddr) -> Self {
        Self { rank, stream, address, coming: Coming::default(), is_ready: false }
    }

    /// Hears whether it is ready; whether it is still there.
    fn is_there(&mut self) -> bool {
        match self.coming.read(&self.stream) {
            Ok(None) => true,
            Ok(Some(body)) => {
                let is_first = !std::mem::replace(&mut self.is_ready, true);
                is_first && matches!(Answer::decode(&body), Ok(Answer::Ready))
            }
            Err(_) => false,
        }
    }

    fn tell(&self, answer: &Answer) -> Result<(), MeetingError> {
        let no_way =
            |source| MeetingError::NoWay { rank: self.rank, address: self.address, source };
        say(&self.stream, &answer.encode()).map_err(no_way)
    }
}

/// Waits until all others are ready, and tells them so.
#[expect(clippy::disallowed_methods, reason = "who says nothing is not waited for")]
pub(super) fn be_ready(others: &mut [Told], timeout: Duration) -> Result<(), MeetingError> {
    let start = Instant::now();
    loop {
        let ranks = |others: &mut [Told], is_bad: fn(&mut Told) -> bool| {
            let bad = others.iter_mut().filter_map(|told| is_bad(told).then_some(told.rank));
            bad.collect::<Vec<_>>()
        };
        let gone = ranks(others, |told| !told.is_there());
        if !gone.is_empty() {
            return Err(part(others, Refusal::Gone { ranks: gone }));
        }
        let late = ranks(others, |told| !told.is_ready);
        if late.is_empty() {
            return others.iter().try_for_each(|told| told.tell(&Answer::Ready));
        }
        if start.elapsed() >= timeout {
            return Err(part(others, Refusal::Apart { ranks: late }));
        }
        thread::park_timeout(REST);
    }
}

/// Tells all why it comes to nothing.
fn part(others: &[Told], refusal: Refusal) -> MeetingError {
    for told in others {
        // Who has left hears nothing.
        let _ = told.tell(&Answer::Refused(refusal.clone()));
    }
    MeetingError::Parted { refusal }
}
