//! The sliding window in which crashes count together.

use alloc::vec::Vec;

use crate::limits;
use crate::random::Random;
use crate::time::Timestamp;

/// The crashes of the last five minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct Crashes {
    times: Vec<Timestamp>,
    total: u64,
}

/// What a crash calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Start it again after a delay.
    Restart {
        /// Which restart within the window, from 1.
        attempt: u32,
        /// The delay.
        delay_ms: u64,
    },
    /// Leave it.
    GiveUp,
}

impl Crashes {
    /// Counts a crash after `uptime_ms` of life.
    ///
    /// A healthy minute is rewarded with a restart at once; the fourth crash within the window is
    /// final.
    pub(super) fn record(&mut self, now: Timestamp, uptime_ms: u64, random: &mut Random) -> Answer {
        self.times.retain(|time| now.since(*time) < limits::CRASH_WINDOW_MS);
        self.times.push(now);
        self.total = self.total.saturating_add(1);
        let attempt = self.times.len();
        let Some(delay) = limits::RESTART_DELAYS_MS.get(attempt - 1).copied() else {
            return Answer::GiveUp;
        };
        let delay_ms = if uptime_ms >= limits::HEALTHY_UPTIME_MS {
            0
        } else {
            // A quarter of jitter: servers that fell together do not rise together.
            random.between(delay, delay + delay / 4)
        };
        Answer::Restart { attempt: attempt as u32, delay_ms }
    }

    /// It has waited so long for its turn to start. That is no time in which it could have lived, so
    /// the crashes before are as recent as they were: where there is a queue, what crashes again and
    /// again would be started for ever otherwise.
    pub(super) fn waited(&mut self, milliseconds: u64) {
        for time in &mut self.times {
            *time = time.after(milliseconds);
        }
    }

    /// Forgets the window: somebody mended something.
    pub(super) fn forget(&mut self) {
        self.times.clear();
    }

    /// Crashes within the window, as of the last one.
    pub(super) fn in_window(&self) -> u64 {
        self.times.len() as u64
    }

    /// Crashes since the satellite started.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::time::{MINUTE, SECOND};

    #[test]
    fn the_fourth_crash_within_five_minutes_is_final() {
        let (mut crashes, mut random) = (Crashes::default(), Random::new(1));
        for (index, base) in limits::RESTART_DELAYS_MS.into_iter().enumerate() {
            let answer = crashes.record(Timestamp(index as u64 * MINUTE), SECOND, &mut random);
            let Answer::Restart { attempt, delay_ms } = answer else { panic!("gave up early") };
            assert_eq!(attempt as usize, index + 1);
            assert!((base..=base + base / 4).contains(&delay_ms));
        }
        assert_eq!(crashes.record(Timestamp(4 * MINUTE), SECOND, &mut random), Answer::GiveUp);
    }

    #[test]
    fn waiting_for_a_turn_makes_no_crash_older() {
        let (mut crashes, mut random) = (Crashes::default(), Random::new(1));
        for number in 0..3u64 {
            let answer = crashes.record(Timestamp(number * 10 * MINUTE), SECOND, &mut random);
            assert!(
                matches!(answer, Answer::Restart { attempt, .. } if u64::from(attempt) == number + 1)
            );
            crashes.waited(9 * MINUTE);
        }
        assert_eq!(crashes.record(Timestamp(30 * MINUTE), SECOND, &mut random), Answer::GiveUp);
    }

    #[test]
    fn servers_that_fall_together_do_not_rise_together() {
        let delays: BTreeSet<u64> = (0..200)
            .map(|seed| match Crashes::default().record(Timestamp(0), 0, &mut Random::new(seed)) {
                Answer::Restart { delay_ms, .. } => delay_ms,
                Answer::GiveUp => 0,
            })
            .collect();
        assert!(delays.len() > 100, "{delays:?}");
        assert!(delays.iter().all(|delay| (SECOND..=SECOND + SECOND / 4).contains(delay)));
    }

    #[test]
    fn crashes_are_counted_within_the_window_and_in_all() {
        let (mut crashes, mut random) = (Crashes::default(), Random::new(1));
        for minute in [0, 1, 2, 6] {
            crashes.record(Timestamp(minute * MINUTE), MINUTE, &mut random);
        }
        assert_eq!((crashes.in_window(), crashes.total()), (2, 4));
    }

    #[test]
    fn the_window_slides_and_a_healthy_minute_restarts_at_once() {
        let (mut crashes, mut random) = (Crashes::default(), Random::new(1));
        for minute in [0, 1, 2] {
            crashes.record(Timestamp(minute * MINUTE), MINUTE, &mut random);
        }
        let answer = crashes.record(Timestamp(5 * MINUTE), MINUTE, &mut random);
        assert_eq!(answer, Answer::Restart { attempt: 3, delay_ms: 0 });
        crashes.forget();
        let answer = crashes.record(Timestamp(5 * MINUTE), MINUTE, &mut random);
        assert_eq!(answer, Answer::Restart { attempt: 1, delay_ms: 0 });
        assert_eq!(crashes.total(), 5);
    }
}
