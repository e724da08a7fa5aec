//! How often a satellite may ask for tokens.

use alloc::collections::BTreeMap;

use crate::id::SatelliteId;
use crate::time::{MINUTE, SECOND, Timestamp};

/// Requests of one satellite within a minute.
pub const PER_MINUTE: u32 = 100;

/// Counts, by satellite, the requests of the minute that its first one began.
#[derive(Clone, Debug, Default)]
pub struct Pace(BTreeMap<SatelliteId, (Timestamp, u32)>);

impl Pace {
    /// Lets a request through.
    ///
    /// # Errors
    ///
    /// It is one too many; after how many seconds the next may come.
    pub fn take(&mut self, who: &SatelliteId, now: Timestamp) -> Result<(), u64> {
        self.0.retain(|_, (began, _)| now.since(*began) < MINUTE);
        let (began, count) = self.0.entry(who.clone()).or_insert((now, 0));
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
        let (mut pace, one, other) = (Pace::default(), "a".into(), "b".into());
        let at = |seconds: u64| Timestamp(1_000_000 + seconds * SECOND);
        for _ in 0..PER_MINUTE {
            assert_eq!(pace.take(&one, at(0)), Ok(()));
        }
        assert_eq!(pace.take(&one, at(1)), Err(59));
        assert_eq!(pace.take(&other, at(1)), Ok(()));
        assert_eq!(pace.take(&one, at(60)), Ok(()));
    }
}
