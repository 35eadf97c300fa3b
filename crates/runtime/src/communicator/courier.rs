//! The thread that carries letters between the office of its rank and those of other processes, so
//! that messages arrive while the rank computes, and a rank that computes for long hears of failures.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::mailbox::{Letter, Outgoing, PostOffice};
use super::pulse::Pulse;
use super::wire::{Assembly, decode, encode};
use super::{End, Watch, link};
use crate::panic::catch;
use crate::{Error, Failure};

/// How many letters a courier sends, and pieces it hands in, before it looks at the time: others wait for its signs
/// of life.
const AT_ONCE: usize = 64;
/// No process is given up sooner, however little silence is allowed.
const LEAST_SILENCE: Duration = Duration::from_secs(1);
/// How many times a courier looks again at once after there was something to do.
const EAGER: u32 = 16;
/// How long it then rests between two looks at first, and while bytes are under way. What its rank
/// sends wakes it.
const SHORT_REST: Duration = Duration::from_micros(20);
/// The same in the end, while its rank waits for a message and while it computes: the more often it
/// looks, the sooner a message is here, and the more of a core it takes.
const LONG_RESTS: [Duration; 2] = [Duration::from_micros(100), Duration::from_micros(400)];

/// A way to the processes of the other ranks. What goes from one to another keeps its order.
pub(super) trait Link {
    /// This rank and how many there are.
    fn place(&self) -> Place;
    /// Begins to send the bytes of a letter, in one piece or more.
    fn send(&mut self, to: usize, letter: Vec<u8>);
    /// Goes on with all that is under way, and returns what has arrived.
    fn receive(&mut self) -> Option<Incoming>;
    /// Whether something is on its way that has to be gone on with.
    fn is_moving(&self) -> bool;
    /// Whether all that was sent has left; whoever was forgotten is not counted where the transport can
    /// do without.
    fn has_sent(&mut self) -> bool;
    /// Nothing more goes to another rank or is expected of it.
    fn forget(&mut self, rank: usize);
    /// Whether something of a rank is on its way of which nothing is told before it is all here.
    fn is_coming(&self, _: usize) -> bool {
        false
    }
    /// No rank has anything more to send.
    fn close(self);
    /// Ends this process, and those of all other ranks where there is a way to.
    fn abort(&self) -> !;
}

/// What comes of another rank.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A piece of a letter; no piece belongs to two letters.
    Piece { from: usize, piece: Vec<u8> },
    /// The last: nothing more comes of it, for this reason.
    Lost { from: usize, cause: String },
}

/// Where a process is in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// How many ranks share this machine.
    pub(crate) ranks_here: usize,
}

/// How long a courier waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a message.
    pub(crate) timeout: Duration,
    /// For a sign of life of another process, whatever it does.
    pub(crate) silence: Duration,
    /// For all ranks to end, once the world has failed and one has.
    pub(crate) grace: Duration,
}

/// How a world ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// All processes were ready to.
    Together,
    /// After a failure these did not. All processes will be ended if this one does not do it first.
    Without(Vec<usize>),
}

/// A rank of a world of processes.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) place: Place,
    pub(crate) end: End,
    pub(crate) watch: Watch,
    pub(crate) courier: Courier,
}

/// What is left to wait for when a rank has come to its end. Dropped, it does not wait.
#[derive(Debug)]
pub(crate) struct Courier {
    office: Arc<PostOffice>,
    closed: Receiver<Closed>,
    thread: Option<JoinHandle<()>>,
}

impl Courier {
    /// Says that this process is about to end, and waits until all others have said so, or for too
    /// long after a failure.
    pub(crate) fn wait(mut self) -> Option<Closed> {
        self.office.leave();
        let closed = self.closed.recv().ok();
        if closed == Some(Closed::Together)
            && let Some(thread) = self.thread.take()
        {
            // Its panic, if any, is told; nobody needs it any more.
            let _ = thread.join();
        }
        closed
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.office.leave();
    }
}

/// Finds this process's place in the world that MPI has started.
pub(crate) fn over_mpi(piece: usize, patience: Patience) -> Result<Connected, Error> {
    start(move || link::mpi::connect(piece), patience)
}

/// Meets the processes of the other ranks over TCP, on this thread: before it is back, there is no other.
pub(crate) fn over_tcp(seat: &link::tcp::Seat, patience: Patience) -> Result<Connected, Error> {
    let link = link::tcp::connect(seat, patience.timeout)?;
    start(move || Ok(link), patience)
}

/// Starts the courier of this process's rank, on whose thread the link stays.
pub(super) fn start<L: Link>(
    make: impl FnOnce() -> Result<L, Error> + Send + 'static,
    patience: Patience,
) -> Result<Connected, Error> {
    let (tell, told) = channel();
    let (closing, closed) = channel();
    let work = move || {
        let link = match make() {
            Ok(link) => link,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let place = link.place();
        let (office, outgoing) = PostOffice::alone(place.rank, place.world_size, patience.timeout);
        let office = Arc::new(office);
        if tell.send(Ok((place, Arc::clone(&office)))).is_err() {
            return;
        }
        let rank = place.rank;
        let route = Route { office: &office, outgoing: &outgoing, rank };
        if let Err(message) = catch(|| route.carry(link, patience, &closing)) {
            let cause = format!("the thread that carries its messages panicked: {message}");
            office.fail(Failure { rank, at: None, cause });
        }
    };
    let thread = thread::Builder::new().name("courier".to_owned()).spawn(work);
    let thread = thread.map_err(|error| Error::Transport(Box::new(error)))?;
    let (place, office) = match told.recv() {
        Ok(told) => told?,
        Err(gone) => return Err(Error::Transport(Box::new(gone))),
    };
    Ok(Connected {
        place,
        end: End::of_world(Arc::clone(&office), place.rank),
        watch: Watch { office: Arc::clone(&office), rank: place.rank },
        courier: Courier { office, closed, thread: Some(thread) },
    })
}

/// Why a rank is lost of which nothing comes.
fn silent(silence: Duration) -> String {
    format!(
        "nothing has come of its process for {:.1} s, not even a sign of life: it stands still, its host \
         is gone, or the network has failed; see to that, and start all ranks again",
        silence.as_secs_f64()
    )
}

struct Route<'a> {
    office: &'a PostOffice,
    outgoing: &'a Receiver<Outgoing>,
    rank: usize,
}

impl Route<'_> {
    /// Carries until the world has ended.
    #[expect(clippy::disallowed_methods, reason = "ranks that do not end are not waited for")]
    fn carry(&self, mut link: impl Link, patience: Patience, closing: &Sender<Closed>) {
        let Patience { silence, grace, .. } = patience;
        let world_size = link.place().world_size;
        let silence = silence.max(LEAST_SILENCE);
        let mut pulse = Pulse::new(world_size, silence, Instant::now());
        let mut assemblies: Vec<Assembly> = Vec::new();
        assemblies.resize_with(world_size, Assembly::default);
        let mut lost_since: Option<Instant> = None;
        let mut num_idle = 0;
        let mut given_up: Vec<usize> = Vec::new();
        loop {
            // Asked before the last letters are taken, which say so to the others.
            let standing = self.office.standing();
            let now = Instant::now();
            let is_going = standing.going.contains(&self.rank);
            // Before the last letters as well: nobody listens after those.
            if is_going && pulse.is_due(now) {
                self.give_sign(&mut link, world_size);
            }
            let mut is_busy = false;
            let mut num_left = AT_ONCE;
            let has_more = loop {
                match self.outgoing.try_recv() {
                    Ok(letter) => self.send(&mut link, letter),
                    Err(_) => break false,
                }
                is_busy = true;
                num_left -= 1;
                if num_left == 0 {
                    break true;
                }
            };
            if !has_more {
                // Who was given up has been told why.
                given_up.drain(..).for_each(|rank| link.forget(rank));
            }
            let heard = self.receive(&mut link, &mut assemblies, |from| pulse.hear(from, now));
            is_busy |= heard > 0;
            // Of what is there already, nothing is missed.
            if heard < AT_ONCE {
                pulse.look(now);
                for &rank in standing.going.iter().filter(|&&rank| rank != self.rank) {
                    if link.is_coming(rank) {
                        pulse.hear(rank, now);
                    } else if let Some(silence) = pulse.silence(rank, now) {
                        self.office.lose(rank, silent(silence));
                        given_up.push(rank);
                    }
                }
            }
            let is_over = standing.going.is_empty();
            if is_over && !has_more && link.has_sent() {
                link.close();
                // Whoever asked may be gone.
                let _ = closing.send(Closed::Together);
                return;
            }
            // Over, what nobody takes any more is waited for no longer than a rank that does not end.
            if standing.is_lost || is_over {
                let since = *lost_since.get_or_insert(now);
                if now - since >= grace * 2 {
                    link.abort();
                }
                if now - since >= grace {
                    let _ = closing.send(Closed::Without(standing.going));
                }
            }
            num_idle = if is_busy { 0 } else { num_idle + 1 };
            self.rest(&mut link, num_idle, LONG_RESTS[usize::from(!standing.is_waiting)]);
        }
    }

    fn rest(&self, link: &mut impl Link, num_idle: u32, longest: Duration) {
        if num_idle < EAGER {
            return thread::yield_now();
        }
        let doublings = ((num_idle - EAGER) / EAGER).min(8);
        let rest = longest.min(SHORT_REST * (1 << doublings));
        let rest = if link.is_moving() { SHORT_REST } else { rest };
        match self.outgoing.recv_timeout(rest) {
            Ok(letter) => self.send(link, letter),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Tells the couriers of all others that this process is there. Who has taken leave listens as long
    /// as anybody has not.
    fn give_sign(&self, link: &mut impl Link, world_size: usize) {
        for peer in (0..world_size).filter(|&peer| peer != self.rank) {
            self.send(link, Outgoing { peer, num_resets: 0, letter: Letter::Alive });
        }
    }

    fn send(&self, link: &mut impl Link, Outgoing { peer, num_resets, letter }: Outgoing) {
        match encode(&letter, num_resets) {
            Ok(bytes) => link.send(peer, bytes),
            Err(error) => {
                let cause = format!("a message for rank {peer} cannot be sent: {error}");
                self.office.fail(Failure { rank: self.rank, at: None, cause });
            }
        }
    }

    /// Hands in what has arrived, and says how many pieces of it; there may be more than `AT_ONCE`.
    fn receive(
        &self,
        link: &mut impl Link,
        assemblies: &mut [Assembly],
        mut hear: impl FnMut(usize),
    ) -> usize {
        let mut num_heard = 0;
        while num_heard < AT_ONCE
            && let Some(incoming) = link.receive()
        {
            num_heard += 1;
            let (from, piece) = match incoming {
                Incoming::Piece { from, piece } => (from, piece),
                Incoming::Lost { from, cause } => {
                    self.office.lose(from, cause);
                    continue;
                }
            };
            hear(from);
            let letter = assemblies[from]
                .push(piece)
                .and_then(|letter| letter.map(|bytes| decode(&bytes, from, self.rank)).transpose());
            match letter {
                Ok(None) => {}
                Ok(Some(letter)) => self.office.deliver(letter),
                Err(error) => {
                    let cause = format!("what it sent cannot be read: {error}");
                    self.office.fail(Failure { rank: from, at: None, cause });
                }
            }
        }
        num_heard
    }
}
