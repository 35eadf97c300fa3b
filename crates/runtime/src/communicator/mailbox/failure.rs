//! How a world learns that it has failed, and of the ends of its ranks.
//!
//! Between processes a failure is *settled* when every rank has heard of it: then all that was sent
//! before has arrived, so that a collective that one rank went through succeeds on all; and all know
//! the same failures, of which the one of the lowest rank counts.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::{Letter, PostOffice, State};
use crate::Failure;

/// A rank that does not answer for this long does not keep a failure from being settled.
const SETTLING: Duration = Duration::from_secs(1);

/// The failure that counts so far.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) failure: Failure,
    /// The rank whose office sent it.
    origin: usize,
    since: Instant,
    /// It has been told to a rank and does not change any more.
    is_final: bool,
}

impl State {
    /// The failure as it is told to a rank: it does not change any more.
    pub(super) fn last_word(&mut self) -> Option<Failure> {
        let known = self.failure.as_mut()?;
        known.is_final = true;
        Some(known.failure.clone())
    }
}

impl PostOffice {
    /// To all other offices, unless this one has sent its last letter: nobody listens then.
    pub(super) fn broadcast(&self, state: &State, letter: &Letter) {
        let Some(elsewhere) = &self.elsewhere else { return };
        if state.left.contains(&elsewhere.rank) {
            return;
        }
        for peer in (0..self.world_size()).filter(|&peer| peer != elsewhere.rank) {
            elsewhere.send(peer, state.num_resets, letter.clone());
        }
    }

    /// Stops the world; the first failure is the one that counts.
    pub(in super::super) fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        self.fail_in(&mut state, failure);
        drop(state);
        self.wake_all();
    }

    #[expect(clippy::disallowed_methods, reason = "ranks that do not answer are not waited for")]
    pub(super) fn fail_in(&self, state: &mut State, failure: Failure) {
        if state.failure.is_some() {
            return;
        }
        self.broadcast(state, &Letter::Stop(failure.clone()));
        let origin = self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.rank);
        state.failure = Some(Known { failure, origin, since: Instant::now(), is_final: false });
    }

    /// Another office says that the world has failed.
    #[expect(clippy::disallowed_methods, reason = "ranks that do not answer are not waited for")]
    pub(super) fn stop(&self, state: &mut State, origin: usize, mut failure: Failure) {
        state.heard.insert(origin);
        let is_own = self.elsewhere.as_ref().is_some_and(|own| own.rank == failure.rank);
        if is_own {
            failure.cause = format!("rank {origin} has given this one up: {}", failure.cause);
        }
        match &mut state.failure {
            None => {
                let since = Instant::now();
                state.failure = Some(Known { failure, origin, since, is_final: false });
                self.broadcast(state, &Letter::Heard);
            }
            Some(known) if !known.is_final && origin < known.origin => {
                (known.failure, known.origin) = (failure, origin);
            }
            Some(_) => {}
        }
    }

    /// How much longer a failure may take to be settled: nothing if it is, `None` without one.
    pub(super) fn unsettled(&self, state: &State) -> Option<Duration> {
        let known = state.failure.as_ref()?;
        let is_here = |rank| {
            let own = self.elsewhere.as_ref().is_none_or(|elsewhere| elsewhere.rank == rank);
            own || state.heard.contains(&rank) || state.left.contains(&rank)
        };
        if known.is_final || (0..self.world_size()).all(is_here) {
            return Some(Duration::ZERO);
        }
        Some(SETTLING.saturating_sub(known.since.elapsed()))
    }

    /// The failure of the world, once all ranks know of it.
    pub(super) fn settled(&self, mut state: MutexGuard<'_, State>) -> Option<Failure> {
        while let Some(left) = self.unsettled(&state) {
            if left.is_zero() {
                return state.last_word();
            }
            let own = self.elsewhere.as_ref().map_or(0, |elsewhere| elsewhere.rank);
            state = self.wait(own, state, left);
        }
        None
    }

    /// The failure of the world, the same for all.
    pub(in super::super) fn failure(&self) -> Option<Failure> {
        self.settled(self.lock())
    }

    /// Nothing comes of this world rank any more, because of `failure` if there is one.
    pub(in super::super) fn end(&self, rank: usize, failure: Option<Failure>) {
        let mut state = self.lock();
        let cause = failure.as_ref().map(|failure| failure.cause.clone());
        if let Some(failure) = failure {
            self.fail_in(&mut state, failure);
        }
        if !state.ended.contains_key(&rank) {
            self.broadcast(&state, &Letter::Ended(cause.clone()));
            state.ended.insert(rank, cause);
        }
        drop(state);
        self.wake_all();
    }
}
