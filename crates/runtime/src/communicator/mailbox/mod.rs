//! A post office: messages wait here until they are fetched. The threads of one world share one;
//! a rank that is a process has its own, and a courier carries what is for the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::parcel::Parcel;
use super::{Awaited, Tag, Waiting};
use crate::Failure;

mod deliver;
mod failure;
mod letter;
mod reset;

use letter::Elsewhere;
pub(super) use letter::{Letter, Outgoing};

/// Which message: world ranks, the group it belongs to, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) group: u64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// Tensors that a rank sent by tag.
    Tagged(Tag),
    /// A part of the n-th collective of the group.
    Collective(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    Tensors(Vec<Parcel>),
    /// What a collective needs: numbers, or the bits of floating-point numbers.
    Words(Vec<u64>),
}

/// Why nothing came.
#[derive(Debug)]
pub(super) enum Missing {
    Failed(Failure),
    Late(Duration),
    /// The sender has ended, in these words.
    Ended(String),
    /// The sender waits for all to recover, the addressee included.
    Recovering,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<Address, VecDeque<Message>>,
    /// How many collectives each world rank has begun in each group.
    num_collectives: BTreeMap<(u64, usize), u64>,
    /// How many numbers for groups have been asked for.
    num_groups: u64,
    failure: Option<failure::Known>,
    /// The world ranks elsewhere that know of the failure: all that they sent before is here.
    heard: BTreeSet<usize>,
    /// The world ranks that have come to their end, and why before their time.
    ended: BTreeMap<usize, Option<String>>,
    /// The world ranks whose processes send nothing any more.
    left: BTreeSet<usize>,
    /// Those of them that have not said so.
    lost: BTreeSet<usize>,
    /// The world ranks that wait in `reset`.
    resetting: BTreeSet<usize>,
    num_resets: u64,
    /// Messages that a reset has dropped, until somebody lets go of them outside of the lock.
    dropped: BTreeMap<Address, VecDeque<Message>>,
    /// What came of ranks that have begun anew before this one has.
    early: Vec<Outgoing>,
    /// What each rank that waits is waiting for, and since when: on several threads at once, it may be
    /// for several messages. All ranks, to begin anew, have no address.
    waiting: BTreeMap<(usize, Option<Address>), (usize, Awaited, Instant)>,
    /// What each rank was waiting for when it was told that there is nothing to wait for.
    interrupted: BTreeMap<usize, Waiting>,
}

/// How a rank ended.
fn how(cause: &Option<String>) -> String {
    cause.as_ref().map_or("which ended".to_owned(), |cause| format!("which ended: {cause}"))
}

#[derive(Debug)]
pub(super) struct PostOffice {
    state: Mutex<State>,
    /// One per world rank, so that a message wakes only its addressee.
    arrived: Vec<Condvar>,
    timeout: Duration,
    /// `None` where all ranks of the world fetch their messages here.
    elsewhere: Option<Elsewhere>,
}

impl PostOffice {
    /// The office of a whole world.
    pub(super) fn new(world_size: usize, timeout: Duration) -> Self {
        Self {
            state: Mutex::default(),
            arrived: (0..world_size).map(|_| Condvar::new()).collect(),
            timeout,
            elsewhere: None,
        }
    }

    pub(super) fn world_size(&self) -> usize {
        self.arrived.len()
    }

    /// Whether a rank fetches its messages at another office.
    pub(super) fn is_elsewhere(&self, rank: usize) -> bool {
        self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.rank != rank)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        for rank in &self.arrived {
            rank.notify_all();
        }
    }

    /// To all of the addresses or, in a world that has failed, to none.
    pub(super) fn post(&self, addresses: &[Address], message: &Message) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.failure.is_some() {
            return match self.settled(state) {
                Some(failure) => Err(failure),
                None => Ok(()),
            };
        }
        for &address in addresses {
            if let Some(elsewhere) = &self.elsewhere
                && elsewhere.rank != address.to
            {
                // Under the lock: what was accepted goes before the news of a failure.
                let letter = Letter::Mail(address, message.clone());
                elsewhere.send(address.to, state.num_resets, letter);
            } else {
                state.messages.entry(address).or_default().push_back(message.clone());
                self.arrived[address.to].notify_all();
            }
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a receive has a deadline")]
    pub(super) fn fetch(&self, address: Address) -> Result<Message, Missing> {
        let start = Instant::now();
        let mut state = self.lock();
        let found = loop {
            // Before a failure that came later: a collective that one rank went through succeeds on
            // all, so that a step is not done on some ranks and failed on others.
            if let Some(queue) = state.messages.get_mut(&address)
                && let Some(message) = queue.pop_front()
            {
                if queue.is_empty() {
                    state.messages.remove(&address);
                }
                break Ok(message);
            }
            let unsettled = self.unsettled(&state);
            if unsettled.is_some_and(|left| left.is_zero())
                && let Some(failure) = state.last_word()
            {
                break Err(Missing::Failed(failure));
            }
            if unsettled.is_none() {
                if let Some(cause) = state.ended.get(&address.from) {
                    break Err(Missing::Ended(how(cause)));
                }
                if state.resetting.contains(&address.from) {
                    break Err(Missing::Recovering);
                }
            }
            let waited = start.elapsed();
            let Some(left) = self.timeout.checked_sub(waited) else {
                break Err(Missing::Late(waited));
            };
            let awaited = match address.content {
                Content::Tagged(tag) => Awaited::Message(tag),
                Content::Collective(_) => Awaited::Collective,
            };
            let waits = state.waiting.entry((address.to, Some(address)));
            waits.or_insert((address.from, awaited, start));
            state = self.wait(address.to, state, unsettled.map_or(left, |short| left.min(short)));
        };
        let waited = state.waiting.remove(&(address.to, Some(address)));
        if let (Err(Missing::Failed(_) | Missing::Ended(_)), Some((rank, awaited, since))) =
            (&found, waited)
        {
            let waiting = Waiting { rank, awaited, waited: since.elapsed() };
            state.interrupted.entry(address.to).or_insert(waiting);
        }
        found
    }

    /// What a rank was waiting for when it was told of the world's failure.
    pub(super) fn interrupted(&self, rank: usize) -> Option<Waiting> {
        self.lock().interrupted.get(&rank).copied()
    }

    /// Whether a message waits at an address.
    pub(super) fn has(&self, address: Address) -> Result<bool, Failure> {
        let state = self.lock();
        let has = state.messages.contains_key(&address);
        self.settled(state).map_or(Ok(has), Err)
    }

    fn wait<'a>(
        &self,
        rank: usize,
        state: MutexGuard<'a, State>,
        left: Duration,
    ) -> MutexGuard<'a, State> {
        self.arrived[rank].wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The number of the collective that a rank begins in a group, counted from 0.
    pub(super) fn begin_collective(&self, group: u64, rank: usize) -> u64 {
        let mut state = self.lock();
        let count = state.num_collectives.entry((group, rank)).or_default();
        *count += 1;
        *count - 1
    }

    /// A number that this rank may give a group, which no rank was given before, here or elsewhere.
    pub(super) fn number_for_group(&self, rank: usize) -> u64 {
        let mut state = self.lock();
        state.num_groups += 1;
        state.num_groups * self.arrived.len() as u64 + rank as u64
    }

    /// What a rank waits for just now, and has for longest.
    pub(super) fn waiting(&self, rank: usize) -> Option<Waiting> {
        let state = self.lock();
        let own = state.waiting.iter().filter(|((waits, _), _)| *waits == rank);
        let (_, &(rank, awaited, since)) = own.min_by_key(|(_, (_, _, since))| *since)?;
        Some(Waiting { rank, awaited, waited: since.elapsed() })
    }
}
