//! Polls that are held until a command exists.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use satellite_core::id::SatelliteId;
use tokio::sync::Notify;

/// Wakes held polls.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    polls: Mutex<BTreeMap<SatelliteId, Arc<Notify>>>,
    closing: AtomicBool,
}

impl Waiting {
    /// What a poll of `satellite` waits on. Asked for before the queue is looked at, so that nothing
    /// is missed between looking and waiting.
    pub(super) fn on(&self, satellite: &SatelliteId) -> Arc<Notify> {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(polls.entry(satellite.clone()).or_default())
    }

    /// Lets go of a satellite's entry, unless another poll holds it.
    pub(super) fn forget(&self, satellite: &SatelliteId) {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        if polls.get(satellite).is_some_and(|notify| Arc::strong_count(notify) == 1) {
            polls.remove(satellite);
        }
    }

    /// Wakes every held poll: each looks at its own queue, which costs less than finding out whom a
    /// change concerns.
    pub(super) fn wake_all(&self) {
        let polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        polls.values().for_each(|notify| notify.notify_waiters());
    }

    /// Wakes the held polls of one satellite.
    pub(super) fn wake(&self, satellite: &SatelliteId) {
        let polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = polls.get(satellite) {
            notify.notify_waiters();
        }
    }

    /// Ends all holds: the Backend shuts down.
    pub(super) fn release_all(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Whether the Backend shuts down.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}
