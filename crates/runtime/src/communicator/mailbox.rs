//! The post office that all threads of one world share: messages wait here until they are fetched.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::Tag;
use crate::Failure;

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
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<Address, VecDeque<Message>>,
    failure: Option<Failure>,
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

    pub(super) fn post(&self, address: Address, message: Message) -> Result<(), Failure> {
        let mut state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.messages.entry(address).or_default().push_back(message);
        self.arrived[address.to].notify_all();
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "a receive has a deadline")]
    pub(super) fn fetch(&self, address: Address) -> Result<Message, Missing> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(Missing::Failed(failure.clone()));
            }
            if let Some(queue) = state.messages.get_mut(&address)
                && let Some(message) = queue.pop_front()
            {
                if queue.is_empty() {
                    state.messages.remove(&address);
                }
                return Ok(message);
            }
            let waited = start.elapsed();
            let Some(left) = self.timeout.checked_sub(waited) else {
                return Err(Missing::Late(waited));
            };
            state = self.arrived[address.to]
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
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

    /// Stops the world; the first failure is the one that counts.
    pub(super) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        for rank in &self.arrived {
            rank.notify_all();
        }
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }
}
