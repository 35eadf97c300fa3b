//! How the meeting ends at rank 0: each of the others says that it is connected to all, and is told when
//! all are. Whoever leaves meanwhile is seen, and all others are told who it was.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::message::{Answer, Coming, Table, say};
use super::{MeetingError, REST, Refusal};

/// A rank that has been told where the others are.
pub(super) struct Told {
    pub(super) rank: usize,
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    coming: Coming,
    is_ready: bool,
    is_gone: bool,
}

impl Told {
    /// Tells it where the others are.
    pub(super) fn new(rank: usize, stream: TcpStream, address: SocketAddr, table: Table) -> Self {
        let is_gone = say(&stream, &Answer::Table(table).encode()).is_err();
        Self { rank, stream, address, coming: Coming::default(), is_ready: false, is_gone }
    }

    /// Hears whether it is ready; whether it is still there.
    fn is_there(&mut self) -> bool {
        if self.is_gone {
            return false;
        }
        match self.coming.read(&self.stream) {
            Ok(None) => true,
            Ok(Some(body)) => {
                let is_first = !std::mem::replace(&mut self.is_ready, true);
                is_first && matches!(Answer::decode(&body), Ok(Answer::Ready))
            }
            Err(_) => false,
        }
    }

    fn tell(&self, answer: &Answer) {
        // Who has left hears nothing; who uses the connection next sees that.
        let _ = say(&self.stream, &answer.encode());
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
            others.iter().for_each(|told| told.tell(&Answer::Ready));
            return Ok(());
        }
        if start.elapsed() >= timeout {
            return Err(part(others, Refusal::Apart { ranks: late }));
        }
        thread::park_timeout(REST);
    }
}

/// Tells all why it comes to nothing.
fn part(others: &[Told], refusal: Refusal) -> MeetingError {
    others.iter().for_each(|told| told.tell(&Answer::Refused(refusal.clone())));
    MeetingError::Parted { refusal }
}
