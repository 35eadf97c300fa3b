//! Signs of life between couriers: a process that stands still, or whose host is gone, is missed though
//! nobody waits for a message of it.

use std::time::{Duration, Instant};

/// How many signs of life a rank sends in the time after which its silence counts.
const SIGNS: u32 = 4;

/// When something was last heard of whom.
#[derive(Debug)]
pub(super) struct Pulse {
    /// How long nothing may come of a rank.
    limit: Duration,
    /// By rank.
    heard: Vec<Instant>,
    /// When this rank last gave a sign.
    given: Instant,
    /// When it was last looked for those of others.
    looked: Instant,
}

impl Pulse {
    pub(super) fn new(world_size: usize, limit: Duration, now: Instant) -> Self {
        Self { limit, heard: vec![now; world_size], given: now, looked: now }
    }

    /// Whether it is time for the next sign to the others, which is then taken as given.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.given) >= self.limit / SIGNS;
        if is_due {
            self.given = now;
        }
        is_due
    }

    /// Something has come of a rank.
    pub(super) fn hear(&mut self, from: usize, now: Instant) {
        self.heard[from] = now;
    }

    /// Counts this look, after all that was there has been heard. Who has not looked for some time
    /// cannot say that nothing came then: that time does not count.
    pub(super) fn look(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.looked);
        if gap >= self.limit / SIGNS {
            self.heard.iter_mut().for_each(|heard| *heard = (*heard + gap).min(now));
        }
        self.looked = now;
    }

    /// For how long nothing has come of a rank, if that is too long.
    pub(super) fn silence(&self, of: usize, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.heard[of]);
        (silence >= self.limit).then_some(silence)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "from which other times are counted")]

    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn signs_are_given_several_times_before_silence_counts() {
        let start = Instant::now();
        let mut pulse = Pulse::new(2, LIMIT, start);
        let given: Vec<u64> = (0..=8).filter(|&at| pulse.is_due(after(start, at))).collect();
        assert_eq!(given, [2, 4, 6, 8]);
    }

    #[test]
    fn who_is_silent_for_too_long_is_missed_and_nobody_else() {
        let start = Instant::now();
        let mut pulse = Pulse::new(3, LIMIT, start);
        for at in 1..=8 {
            pulse.hear(1, after(start, at));
            pulse.look(after(start, at));
            let missed: Vec<_> =
                (1..3).filter_map(|of| pulse.silence(of, after(start, at))).collect();
            assert_eq!(missed, if at < 8 { vec![] } else { vec![LIMIT] }, "second {at}");
        }
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let start = Instant::now();
        let mut pulse = Pulse::new(2, LIMIT, start);
        pulse.look(after(start, 1));
        // As if this process had been stopped for a minute.
        pulse.look(after(start, 61));
        assert_eq!(pulse.silence(1, after(start, 61)), None);
        for at in 62..=67 {
            pulse.look(after(start, at));
            assert_eq!(pulse.silence(1, after(start, at)), None, "second {at}");
        }
        pulse.look(after(start, 68));
        assert_eq!(pulse.silence(1, after(start, 68)), Some(LIMIT));
    }
}
