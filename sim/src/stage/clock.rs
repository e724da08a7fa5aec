//! What time a daemon believes it is: read once when it starts, drifting from then on.

use satellite_core::time::Timestamp;

const MILLION: u64 = 1_000_000;

/// A daemon's clock beside the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// A true moment.
    origin: Timestamp,
    /// What the clock showed then.
    shown: Timestamp,
    /// How many millionths faster it goes than it should, plus a million.
    rate: u64,
}

impl Clock {
    /// A clock that shows `shown` at the true moment `now` and is `drift_ppm` millionths too fast.
    pub fn new(now: Timestamp, shown: Timestamp, drift_ppm: i64) -> Clock {
        let rate = MILLION.saturating_add_signed(drift_ppm.clamp(-1_000, 1_000));
        Clock { origin: now, shown, rate }
    }

    /// What it shows at the true moment `now`.
    pub fn show(&self, now: Timestamp) -> Timestamp {
        let passed = now.since(self.origin);
        if self.rate == MILLION {
            return self.shown.after(passed);
        }
        self.shown.after(passed.saturating_mul(self.rate) / MILLION)
    }

    /// The first true moment at which it shows `shown` or later.
    pub fn when(&self, shown: Timestamp) -> Timestamp {
        let ahead = shown.since(self.shown);
        if self.rate == MILLION {
            return self.origin.after(ahead);
        }
        self.origin.after(ahead.saturating_mul(MILLION).div_ceil(self.rate))
    }

    /// Moves it forward by `by_ms` at the true moment `now`.
    pub fn jump(&mut self, now: Timestamp, by_ms: u64) {
        self.shown = self.show(now).after(by_ms);
        self.origin = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_the_moment_for_which_it_is_awaited() {
        for drift in [-1_000, -137, 0, 3, 1_000] {
            let clock = Clock::new(Timestamp(1_000), Timestamp(500), drift);
            for shown in (500..10_000_000).step_by(999_983) {
                let at = clock.when(Timestamp(shown));
                assert!(clock.show(at) >= Timestamp(shown), "{drift} {shown}");
                let before = Timestamp(at.0 - 1);
                assert!(at == Timestamp(1_000) || clock.show(before) < Timestamp(shown));
            }
        }
    }

    #[test]
    fn a_jump_moves_what_is_shown_and_nothing_else() {
        let mut clock = Clock::new(Timestamp(0), Timestamp(0), 0);
        clock.jump(Timestamp(10), 5);
        assert_eq!(clock.show(Timestamp(11)), Timestamp(16));
        assert_eq!(clock.when(Timestamp(16)), Timestamp(11));
    }
}
