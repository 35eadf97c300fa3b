//! The post office that all threads of one world share: messages wait here until they are fetched.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::Tag;
use crate::{Error, Failure};

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
    Tensors(Vec<Tensor>),
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
    failure: Option<Failure>,
    /// The world ranks that have come to their end, and how.
    ended: BTreeMap<usize, String>,
    /// The world ranks that wait in `reset`.
    resetting: BTreeSet<usize>,
    num_resets: u64,
}

#[derive(Debug)]
pub(super) struct PostOffice {
    state: Mutex<State>,
    /// One per world rank, so that a message wakes only its addressee.
    arrived: Vec<Condvar>,
    timeout: Duration,
}

impl PostOffice {
    pub(super) fn new(world_size: usize, timeout: Duration) -> Self {
        Self {
            state: Mutex::default(),
            arrived: (0..world_size).map(|_| Condvar::new()).collect(),
            timeout,
        }
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
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        for &address in addresses {
            state.messages.entry(address).or_default().push_back(message.clone());
            self.arrived[address.to].notify_all();
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a receive has a deadline")]
    pub(super) fn fetch(&self, address: Address) -> Result<Message, Missing> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            // Before a failure that came later: a collective that one rank went through succeeds on
            // all, so that a step is not done on some ranks and failed on others.
            if let Some(queue) = state.messages.get_mut(&address)
                && let Some(message) = queue.pop_front()
            {
                if queue.is_empty() {
                    state.messages.remove(&address);
                }
                return Ok(message);
            }
            if let Some(failure) = &state.failure {
                return Err(Missing::Failed(failure.clone()));
            }
            if let Some(how) = state.ended.get(&address.from) {
                return Err(Missing::Ended(how.clone()));
            }
            if state.resetting.contains(&address.from) {
                return Err(Missing::Recovering);
            }
            let waited = start.elapsed();
            let Some(left) = self.timeout.checked_sub(waited) else {
                return Err(Missing::Late(waited));
            };
            state = self.wait(address.to, state, left);
        }
    }

    /// Whether a message waits at an address.
    pub(super) fn has(&self, address: Address) -> Result<bool, Failure> {
        let state = self.lock();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state.messages.contains_key(&address)),
        }
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

    /// Stops the world; the first failure is the one that counts.
    pub(super) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.wake_all();
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Nothing comes of this world rank any more, because of `failure` if there is one.
    pub(super) fn end(&self, rank: usize, failure: Option<Failure>) {
        let mut state = self.lock();
        let how = failure
            .as_ref()
            .map_or("which ended".to_owned(), |failure| format!("which ended: {}", failure.cause));
        state.ended.entry(rank).or_insert(how);
        if let Some(failure) = failure {
            state.failure.get_or_insert(failure);
        }
        drop(state);
        self.wake_all();
    }

    /// Begins anew, without messages and without a failure, when all world ranks ask for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a rank that does not come is not waited for long"
    )]
    pub(super) fn reset(&self, rank: usize) -> Result<(), Error> {
        let start = Instant::now();
        let mut state = self.lock();
        state.resetting.insert(rank);
        if state.resetting.len() == self.arrived.len() {
            state.failure = None;
            state.resetting.clear();
            state.num_collectives.clear();
            state.num_resets += 1;
            let messages = std::mem::take(&mut state.messages);
            drop(state);
            self.wake_all();
            // Outside of the lock: tensors can bring anything along.
            drop(messages);
            return Ok(());
        }
        // Those who wait for a message of this rank wait in vain.
        self.wake_all();
        let num_resets = state.num_resets;
        while state.num_resets == num_resets {
            if !state.ended.is_empty() {
                state.resetting.remove(&rank);
                let ended = state.ended.iter().map(|(&rank, how)| (rank, how.clone())).collect();
                return Err(Error::Ended { ended });
            }
            let waited = start.elapsed();
            let Some(left) = self.timeout.checked_sub(waited) else {
                state.resetting.remove(&rank);
                let here = |other: &usize| state.resetting.contains(other) || *other == rank;
                let ranks = (0..self.arrived.len()).filter(|other| !here(other)).collect();
                return Err(Error::NotAllRecover { ranks, waited });
            };
            state = self.wait(rank, state, left);
        }
        Ok(())
    }
}
