//! Wakes the thread that goes on with lines, and tells it to come to its end.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::lines::lock;

/// How many times in a row somebody looks again at once.
const EAGER: u32 = 16;
/// How long the first rest between two looks is; each is twice the one before, up to a longest.
const SHORT_REST: Duration = Duration::from_micros(20);

/// What there is to do for a line, or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Motion {
    Still,
    /// The device is at it.
    Device,
    /// There is something to begin.
    Moving,
}

#[derive(Default)]
pub(super) struct Bell {
    heard: Mutex<Heard>,
    rings: Condvar,
}

#[derive(Default)]
struct Heard {
    has_rung: bool,
    end: Option<End>,
}

/// How a rank comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// What it has sent arrives.
    InOrder,
    /// It has panicked.
    AtOnce,
}

impl Bell {
    /// There is something to do.
    pub(super) fn ring(&self) {
        lock(&self.heard).has_rung = true;
        self.rings.notify_all();
    }

    /// The rank has no ends any more.
    pub(super) fn end(&self, end: End) {
        lock(&self.heard).end = Some(end);
        self.ring();
    }

    pub(super) fn ended(&self) -> Option<End> {
        lock(&self.heard).end
    }

    /// Rests until it rings, or for some time; whether it has rung.
    pub(super) fn rest(&self, longest: Duration) -> bool {
        let heard = lock(&self.heard);
        let rested = self.rings.wait_timeout_while(heard, longest, |heard| !heard.has_rung);
        let (mut heard, _) = rested.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut heard.has_rung)
    }
}

/// Rests between two looks that found nothing, longer from one to the next; what the rest says.
pub(super) fn pause<T: Default>(
    num_idle: u32,
    longest: Duration,
    rest: impl FnOnce(Duration) -> T,
) -> T {
    let Some(more) = num_idle.checked_sub(EAGER) else {
        thread::yield_now();
        return T::default();
    };
    rest(longest.min(SHORT_REST * (1 << (more / EAGER).min(16))))
}
