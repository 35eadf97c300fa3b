//! How a world begins anew after a failure.
//!
//! Between processes rank 0 decides: when all ranks wait in `reset` it tells them to begin, and who
//! gives up waiting asks it first. Each letter says how often its sender has begun anew, so that
//! what is older is dropped and what is newer is kept.

use std::time::{Duration, Instant};

use super::{Awaited, Letter, PostOffice, State, how};
use crate::Error;

/// The rank that decides.
const ARBITER: usize = 0;

impl PostOffice {
    /// Begins anew, without messages and without a failure, when all world ranks ask for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a rank that does not come is not waited for long"
    )]
    pub(in super::super) fn reset(&self, rank: usize) -> Result<(), Error> {
        let start = Instant::now();
        let mut state = self.lock();
        let num_resets = state.num_resets;
        if !state.ended.is_empty() {
            // Told to nobody: those who are left may go on.
            return Err(self.not_all(&state, rank, Duration::ZERO));
        }
        state.resetting.insert(rank);
        self.broadcast(&state, &Letter::Resetting);
        self.reset_if_all(&mut state);
        // Those who wait for a message of this rank wait in vain.
        self.wake_all();
        // Asked for at the end of the patience, and until rank 0 has answered once more as long.
        let mut refused: Option<(Error, Instant)> = None;
        while state.num_resets == num_resets {
            if let Some((error, _)) = refused.take_if(|_| !state.resetting.contains(&rank)) {
                state.waiting.remove(&(rank, None));
                return Err(error);
            }
            let waited = start.elapsed();
            let left = match &refused {
                Some((_, since)) => self.timeout.checked_sub(since.elapsed()),
                None if !state.ended.is_empty() => None,
                None => self.timeout.checked_sub(waited),
            };
            let Some(left) = left else {
                if refused.is_some() {
                    // Nobody decides any more.
                    self.left(&mut state);
                    continue;
                }
                refused = Some((self.not_all(&state, rank, waited), Instant::now()));
                self.ask_to_leave(&mut state, rank);
                continue;
            };
            let missing = (0..self.world_size()).find(|other| !state.resetting.contains(other));
            let awaited = (missing.unwrap_or(ARBITER), Awaited::Recovery, start);
            state.waiting.insert((rank, None), awaited);
            state = self.wait(rank, state, left);
        }
        state.waiting.remove(&(rank, None));
        // Outside of the lock: tensors can bring anything along.
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        drop(dropped);
        Ok(())
    }

    /// Who has kept the world from beginning anew.
    fn not_all(&self, state: &State, rank: usize, waited: Duration) -> Error {
        if !state.ended.is_empty() {
            let ended = state.ended.iter().map(|(&rank, cause)| (rank, how(cause))).collect();
            return Error::Ended { ended };
        }
        let here = |other: &usize| state.resetting.contains(other) || *other == rank;
        let ranks = (0..self.world_size()).filter(|other| !here(other)).collect();
        Error::NotAllRecover { ranks, waited }
    }

    fn ask_to_leave(&self, state: &mut State, rank: usize) {
        match &self.elsewhere {
            Some(elsewhere) if elsewhere.rank != ARBITER && !state.ended.contains_key(&ARBITER) => {
                elsewhere.send(ARBITER, state.num_resets, Letter::MayLeave);
            }
            Some(_) => self.left(state),
            None => {
                state.resetting.remove(&rank);
            }
        }
    }

    /// At rank 0: whoever asks has not begun anew, so that nobody has.
    pub(super) fn let_go(&self, state: &mut State, rank: usize) {
        state.resetting.remove(&rank);
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.send(rank, state.num_resets, Letter::Leave);
        }
    }

    /// This office's rank does not wait any more.
    pub(super) fn left(&self, state: &mut State) {
        if let Some(elsewhere) = &self.elsewhere {
            state.resetting.remove(&elsewhere.rank);
            self.broadcast(state, &Letter::Staying);
        }
    }

    /// Where it is decided: if all ranks wait, they begin anew.
    pub(super) fn reset_if_all(&self, state: &mut State) {
        let decides = self.elsewhere.as_ref().is_none_or(|elsewhere| elsewhere.rank == ARBITER);
        if decides && state.resetting.len() == self.world_size() {
            self.broadcast(state, &Letter::Reset);
            self.begin_anew(state);
        }
    }

    pub(super) fn begin_anew(&self, state: &mut State) {
        state.failure = None;
        state.interrupted.clear();
        state.heard.clear();
        state.resetting.clear();
        state.num_collectives.clear();
        state.dropped = std::mem::take(&mut state.messages);
        state.num_resets += 1;
        for incoming in std::mem::take(&mut state.early) {
            self.deliver_in(state, incoming);
        }
        self.wake_all();
    }
}
