//! How long a call waits for its instance: the wait for its turn to start has a budget of its own,
//! so that neither eats the other's.

use std::time::Duration;

use tokio::time::Instant;

/// The wait of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    since: Instant,
    /// Since when its instance has been waiting for its turn.
    queued_at: Option<Instant>,
    /// How long it did before.
    queued_for: Duration,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Patience { since: now, queued_at: None, queued_for: Duration::ZERO }
    }

    /// Notes whether the instance waits for its turn.
    pub(super) fn note(&mut self, now: Instant, is_queued: bool) {
        match self.queued_at {
            None if is_queued => self.queued_at = Some(now),
            Some(at) if !is_queued => {
                self.queued_for += now - at;
                self.queued_at = None;
            }
            _ => {}
        }
    }

    /// When the call gives up, unless something changes: `for_turn` is its patience for the
    /// instance's turn, `for_start` that for all the rest.
    pub(super) fn end(&self, for_turn: Duration, for_start: Duration) -> Instant {
        match self.queued_at {
            Some(at) => at + for_turn.saturating_sub(self.queued_for),
            None => self.since + self.queued_for + for_start,
        }
    }

    /// Milliseconds since the call began to wait.
    pub(super) fn waited_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_turn_takes_nothing_of_the_time_for_the_start() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut patience = Patience::new(start);
        let end = |patience: &Patience| patience.end(seconds(50), seconds(60)) - start;
        assert_eq!(end(&patience), seconds(60));
        patience.note(start + seconds(10), true);
        patience.note(start + seconds(20), true);
        assert_eq!(end(&patience), seconds(60), "50 from the tenth second on");
        patience.note(start + seconds(40), false);
        assert_eq!(end(&patience), seconds(90), "30 in the queue do not count");
        patience.note(start + seconds(45), true);
        assert_eq!(end(&patience), seconds(65), "20 are left for the queue");
    }
}
