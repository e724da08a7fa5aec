//! The one place that reads the wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use satellite_core::time::Timestamp;
use tokio::time::Instant;

/// Turns the runtime's monotonic time into [`Timestamp`]s.
///
/// The wall clock is read once; from then on time only moves forward, so that a clock that is set
/// neither delays nor repeats anything. A paused or simulated runtime drives it too.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall: Timestamp,
}

impl Clock {
    /// A clock that starts at the machine's wall time.
    pub fn start() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this module is where the wall clock is read"
        )]
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock::starting_at(Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)))
    }

    /// A clock that shows `wall` at this moment, for simulations and tests.
    pub fn starting_at(wall: Timestamp) -> Self {
        Clock { origin: Instant::now(), wall }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.wall.after(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When `at` will be, in the runtime's time; a moment in the past is the clock's origin.
    pub fn instant(&self, at: Timestamp) -> Instant {
        // A machine may set a deadline that never comes; the runtime's timers end earlier.
        const FARTHEST_MS: u64 = 365 * satellite_core::time::DAY;
        self.origin + Duration::from_millis(at.since(self.wall).min(FARTHEST_MS))
    }
}

/// The wall clock's time, as log lines carry it. Machines get that of a [`Clock`].
pub fn wall_time() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this module is where the wall clock is read")]
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_follows_the_runtime_and_deadlines_map_back() {
        let clock = Clock::starting_at(Timestamp(1_000));
        assert_eq!(clock.now(), Timestamp(1_000));
        tokio::time::sleep_until(clock.instant(Timestamp(4_500))).await;
        assert_eq!(clock.now(), Timestamp(4_500));
        assert!(clock.instant(Timestamp(0)) <= Instant::now());
        assert!(clock.instant(Timestamp(u64::MAX)) > Instant::now());
    }
}
