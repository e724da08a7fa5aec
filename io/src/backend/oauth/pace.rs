//! How often a satellite may ask for tokens.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use satellite_core::id::SatelliteId;
use satellite_core::time::{MINUTE, SECOND, Timestamp};

/// Requests of one satellite within a minute.
const PER_MINUTE: u32 = 100;

/// Counts, by satellite, the requests of the minute that its first one began.
#[derive(Debug, Default)]
pub(in crate::backend) struct Pace(Mutex<BTreeMap<SatelliteId, (Timestamp, u32)>>);

impl Pace {
    /// Lets a request through, or says after how many seconds the next may come.
    pub(in crate::backend) fn take(&self, who: &SatelliteId, now: Timestamp) -> Result<(), u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (began, _)| now.since(*began) < MINUTE);
        let (began, count) = counts.entry(who.clone()).or_insert((now, 0));
        if *count >= PER_MINUTE {
            let left = MINUTE.saturating_sub(now.since(*began));
            return Err(left.div_ceil(SECOND).max(1));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_a_minute_pass_for_each_satellite() {
        let (pace, one, other) = (Pace::default(), "a".into(), "b".into());
        let at = |seconds: u64| Timestamp(1_000_000 + seconds * SECOND);
        for _ in 0..100 {
            assert_eq!(pace.take(&one, at(0)), Ok(()));
        }
        assert_eq!(pace.take(&one, at(1)), Err(59));
        assert_eq!(pace.take(&other, at(1)), Ok(()));
        assert_eq!(pace.take(&one, at(60)), Ok(()));
    }
}
