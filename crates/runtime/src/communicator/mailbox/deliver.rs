//! What a courier does at the office of its rank: it hands in what came from others.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::{Elsewhere, Letter, Outgoing, PostOffice, State};
use crate::Failure;

/// How far a world of processes has come.
#[derive(Debug)]
pub(in super::super) struct Standing {
    /// The ranks whose processes have more to send.
    pub(in super::super) going: Vec<usize>,
    /// It has failed and cannot begin anew, as a rank has come to its end.
    pub(in super::super) is_lost: bool,
    /// The office's rank waits for something.
    pub(in super::super) is_waiting: bool,
}

impl PostOffice {
    /// The office of one rank of a world of processes, and what its courier has to carry.
    pub(in super::super) fn alone(
        rank: usize,
        world_size: usize,
        timeout: Duration,
    ) -> (Self, Receiver<Outgoing>) {
        let (outbox, outgoing) = channel();
        let office = Self {
            state: Mutex::default(),
            arrived: (0..world_size).map(|_| Condvar::new()).collect(),
            timeout,
            elsewhere: Some(Elsewhere { rank, outbox }),
        };
        (office, outgoing)
    }

    /// Takes in what the office of another rank, the `peer`, has sent.
    pub(in super::super) fn deliver(&self, incoming: Outgoing) {
        let mut state = self.lock();
        self.deliver_in(&mut state, incoming);
        drop(state);
        self.wake_all();
    }

    pub(super) fn deliver_in(&self, state: &mut State, incoming: Outgoing) {
        if incoming.num_resets > state.num_resets {
            state.early.push(incoming);
            return;
        }
        if incoming.num_resets < state.num_resets {
            return;
        }
        let from = incoming.peer;
        match incoming.letter {
            Letter::Mail(address, message) => {
                state.messages.entry(address).or_default().push_back(message);
            }
            Letter::Stop(failure) => self.stop(state, from, failure),
            Letter::Heard => {
                state.heard.insert(from);
            }
            Letter::Ended(cause) => {
                state.ended.entry(from).or_insert(cause);
            }
            Letter::Leaving => {
                state.left.insert(from);
            }
            Letter::Resetting => {
                state.resetting.insert(from);
                self.reset_if_all(state);
            }
            Letter::MayLeave => self.let_go(state, from),
            Letter::Leave => self.left(state),
            Letter::Staying => {
                state.resetting.remove(&from);
            }
            Letter::Reset => self.begin_anew(state),
            // Its courier has heard it.
            Letter::Alive => {}
        }
    }

    /// Nothing more comes of the process of a rank. If it has not said that its rank is done, the world
    /// fails: every rank sees this by itself.
    pub(in super::super) fn lose(&self, rank: usize, cause: String) {
        let mut state = self.lock();
        if state.left.insert(rank) && !state.ended.contains_key(&rank) {
            state.lost.insert(rank);
            self.fail_in(&mut state, Failure { rank, at: None, cause: cause.clone() });
            state.ended.insert(rank, Some(cause));
        }
        drop(state);
        self.wake_all();
    }

    /// Ranks whose processes have ended without a word.
    pub(in super::super) fn lost(&self) -> Vec<usize> {
        self.lock().lost.iter().copied().collect()
    }

    /// This process is about to end: whatever there was to say has been said.
    pub(in super::super) fn leave(&self) {
        let Some(elsewhere) = &self.elsewhere else { return };
        let mut state = self.lock();
        self.broadcast(&state, &Letter::Leaving);
        state.left.insert(elsewhere.rank);
    }

    /// What a courier has to know to end.
    pub(in super::super) fn standing(&self) -> Standing {
        let state = self.lock();
        let going = (0..self.world_size()).filter(|rank| !state.left.contains(rank)).collect();
        let is_lost = state.failure.is_some() && !state.ended.is_empty();
        Standing { going, is_lost, is_waiting: !state.waiting.is_empty() }
    }

    /// A rank that has ended before its time, and why: the one that failed first, if it has.
    pub(in super::super) fn fallen(&self) -> Option<(usize, String)> {
        let first = self.failure().map(|failure| failure.rank);
        let state = self.lock();
        let fallen = |(&rank, cause): (&usize, &Option<String>)| Some((rank, cause.clone()?));
        let mut all = state.ended.iter().filter_map(fallen);
        let any = all.next()?;
        Some(all.find(|(rank, _)| Some(*rank) == first && any.0 != *rank).unwrap_or(any))
    }
}
