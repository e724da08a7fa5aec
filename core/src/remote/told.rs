//! What the control machine is told of round trips: at most one report a second of each kind.

use alloc::vec::Vec;

use super::Effect;
use super::failure::{Failure, Fault};
use crate::limits::ACTIVITY_INTERVAL_MS;
use crate::relay::Report;
use crate::time::Timestamp;

/// What was reported last.
#[derive(Debug, Default)]
pub(super) struct Told {
    reached: Option<Timestamp>,
    failed: Option<(Fault, Timestamp)>,
}

impl Told {
    /// A request was answered. The first success after a failure is always told.
    pub(super) fn reached(&mut self, now: Timestamp, round_trip_ms: u64, out: &mut Vec<Effect>) {
        let is_recent = self.reached.is_some_and(|at| now.since(at) < ACTIVITY_INTERVAL_MS);
        if is_recent && self.failed.is_none() {
            return;
        }
        self.reached = Some(now);
        self.failed = None;
        out.push(Effect::Report(Report::Reached { round_trip_ms }));
    }

    /// A request failed for good. The first failure after a success, and one of another type, are
    /// always told; `is_awaited` is told in any case.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        failure: Failure,
        is_awaited: bool,
        out: &mut Vec<Effect>,
    ) {
        let is_recent = self.failed.is_some_and(|(fault, at)| {
            fault == failure.fault && now.since(at) < ACTIVITY_INTERVAL_MS
        });
        if is_recent && !is_awaited {
            return;
        }
        self.failed = Some((failure.fault, now));
        out.push(Effect::Report(Report::Failed(failure)));
    }
}
