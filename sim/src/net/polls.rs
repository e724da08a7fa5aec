//! Polls in flight, as the client's side sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the polls of one daemon: how many there are, and how many there were at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    running: AtomicU32,
    most: AtomicU32,
}

/// A poll that has not ended. Dropping it ends it.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Counts>);

impl Polls {
    /// Counts a request, if its path is that of a poll.
    pub(super) fn begin(&self, path: &str) -> Option<InFlight> {
        if !path.starts_with("/api/satellites/global/") {
            return None;
        }
        let running = self.0.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(running, Ordering::Relaxed);
        Some(InFlight(Arc::clone(&self.0)))
    }

    /// How many there were at once, at most.
    pub(super) fn most(&self) -> u32 {
        self.0.most.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_at_once_are_counted_and_other_requests_are_not() {
        let polls = Polls::default();
        assert!(polls.begin("/api/satellites/s1/heartbeat").is_none());
        let path = "/api/satellites/global/s1/commands";
        drop(polls.begin(path));
        drop(polls.begin(path));
        assert_eq!(polls.most(), 1);
        let _first = polls.begin(path);
        let _second = polls.begin(path);
        assert_eq!(polls.most(), 2);
    }
}
