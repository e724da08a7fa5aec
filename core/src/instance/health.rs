//! The health of a silent process: while nobody calls it, it is asked for a sign of life, and one
//! that gives none is started afresh.

use alloc::format;

use super::lifecycle::Lifecycle;
use super::state::{Process, State};
use crate::limits::{PING_INTERVAL_MS, PINGS_UNANSWERED_MAX};
use crate::time::Timestamp;
use crate::view::HealthStatus;

/// The step that has failed when a process is given up as unhealthy.
const STEP: &str = "ping";

/// The pings of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    /// When the last was asked for.
    asked: Option<Timestamp>,
    /// Whether its answer is awaited.
    is_open: bool,
    /// How many in a row had no answer.
    unanswered: u32,
}

impl Lifecycle {
    /// When a process that has been online since `since` is asked for a sign of life; never while
    /// a call is in flight.
    pub(super) fn ping_at(&self, since: Timestamp) -> Option<Timestamp> {
        if self.present.in_flight > 0 {
            return None;
        }
        let last = self.pings.asked.unwrap_or(since).max(since).max(self.last_activity);
        Some(last.after(PING_INTERVAL_MS))
    }

    /// Whether an answer to a ping is awaited, or the last one had none: a process that stood still
    /// could not show that it is well, nor be found out.
    pub(super) fn owes_sign_of_life(&self) -> bool {
        self.pings.is_open || self.pings.unanswered > 0
    }

    /// A ping goes out.
    pub(super) fn pings(&mut self, now: Timestamp) {
        self.pings.asked = Some(now);
        self.pings.is_open = true;
    }

    /// A sign of life came, or did not. Gives the state in which a process that is given up is
    /// ended.
    pub(super) fn probed(
        &mut self,
        now: Timestamp,
        process: &Process,
        is_answered: bool,
    ) -> Option<State> {
        let health = if is_answered { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
        self.set_health(health, Some(now));
        let is_own = core::mem::take(&mut self.pings.is_open);
        if is_answered {
            self.pings.unanswered = 0;
            return None;
        }
        // Whoever was called meanwhile may have been busy with that.
        let was_idle = self.present.in_flight == 0 && Some(self.last_activity) <= self.pings.asked;
        if is_own && was_idle {
            self.pings.unanswered += 1;
        }
        if self.pings.unanswered < PINGS_UNANSWERED_MAX {
            return None;
        }
        let message = format!(
            "no answer to {PINGS_UNANSWERED_MAX} pings in a row, so the server is started afresh; \
             if that happens again, look at what it writes to standard error"
        );
        Some(self.recover(process, STEP, message))
    }

    /// Why a process was ended that was of no use, for the last event about it.
    pub(super) fn fault(&self) -> &'static str {
        match &self.failure {
            Some(failure) if failure.step == STEP => "unhealthy",
            _ => "unusable",
        }
    }
}
