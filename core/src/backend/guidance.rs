//! How soon a satellite should poll again.

use crate::limits::{
    POLL_HIGH_MS, POLL_IMMEDIATE_MS, POLL_MAINTENANCE_MS, POLL_NORMAL_MS, POLL_QUIET_MS,
    POLL_WAIT_MAX_SECONDS,
};
use crate::time::SECOND;
use crate::wire::command::{PollingMode, Priority};

/// What a poll's reply says about the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guidance {
    /// The mode, of the three words every satellite knows.
    pub polling_mode: PollingMode,
    /// Seconds until the next poll should start.
    pub next_poll_interval: u64,
    /// Whether a maintenance window is open.
    pub maintenance: bool,
}

/// The guidance, given the most urgent command that waits or was just handed out.
pub fn guide(most_urgent: Option<Priority>, maintenance: bool) -> Guidance {
    let (polling_mode, interval_ms) = match most_urgent {
        _ if maintenance => (PollingMode::Slow, POLL_MAINTENANCE_MS),
        Some(Priority::Immediate) => (PollingMode::Immediate, POLL_IMMEDIATE_MS),
        Some(Priority::High) => (PollingMode::Normal, POLL_HIGH_MS),
        Some(Priority::Normal | Priority::Low) => (PollingMode::Normal, POLL_NORMAL_MS),
        None => (PollingMode::Slow, POLL_QUIET_MS),
    };
    Guidance { polling_mode, next_poll_interval: interval_ms / SECOND, maintenance }
}

/// For how many milliseconds to hold a poll that finds nothing, if the satellite was granted it.
pub fn hold_ms(wait_seconds: Option<u64>, granted: bool) -> u64 {
    if !granted {
        return 0;
    }
    wait_seconds.unwrap_or(0).min(POLL_WAIT_MAX_SECONDS) * SECOND
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_intervals_holds() {
        let row = |urgent, maintenance| {
            let guidance = guide(urgent, maintenance);
            (guidance.polling_mode, guidance.next_poll_interval)
        };
        assert_eq!(row(Some(Priority::Immediate), false), (PollingMode::Immediate, 2));
        assert_eq!(row(Some(Priority::High), false), (PollingMode::Normal, 10));
        assert_eq!(row(Some(Priority::Normal), false), (PollingMode::Normal, 30));
        assert_eq!(row(Some(Priority::Low), false), (PollingMode::Normal, 30));
        assert_eq!(row(None, false), (PollingMode::Slow, 60));
        assert_eq!(row(Some(Priority::Immediate), true), (PollingMode::Slow, 300));
    }

    #[test]
    fn a_poll_is_held_only_where_that_was_granted() {
        assert_eq!(hold_ms(Some(25), true), 25_000);
        assert_eq!(hold_ms(Some(9_999), true), 25_000);
        assert_eq!(hold_ms(Some(25), false), 0);
        assert_eq!(hold_ms(None, true), 0);
    }

    proptest! {
        #[test]
        fn what_is_more_urgent_never_waits_longer(left in 0usize..5, right in 0usize..5) {
            let of = |index: usize| {
                [Some(Priority::Immediate), Some(Priority::High), Some(Priority::Normal),
                 Some(Priority::Low), None][index]
            };
            let (sooner, later) = (left.min(right), left.max(right));
            prop_assert!(
                guide(of(sooner), false).next_poll_interval
                    <= guide(of(later), false).next_poll_interval
            );
        }
    }
}
