//! The one clock of this crate: how long steps take, and what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Measures a run and its steps.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    lap_started: Instant,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        let now = now();
        Self { started: now, lap_started: now }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.seconds_at(now())
    }

    /// Seconds since the last lap, or since the start if this is the first; the next lap starts now.
    pub fn lap(&mut self) -> f64 {
        self.lap_at(now())
    }

    fn seconds_at(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.started).as_secs_f64()
    }

    fn lap_at(&mut self, now: Instant) -> f64 {
        let lap = now.saturating_duration_since(self.lap_started);
        self.lap_started = now;
        lap.as_secs_f64()
    }
}

/// Seconds since 1970, for whoever writes down when something was; 0 on a machine whose clock is
/// before that.
pub fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[expect(
    clippy::disallowed_methods,
    reason = "metrics report how long a step took; nothing that training computes reads it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
