//! What the control machine is told of round trips: at most one report a second of each kind.

use alloc::vec::Vec;

use super::failure::{Failure, Fault};
use super::{Effect, ExchangeId};
use crate::limits::ACTIVITY_INTERVAL_MS;
use crate::relay::Report;
use crate::time::Timestamp;

/// How much the control machine knows of the server since the last failure that it was told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// That it was greeted; what it offers is being asked.
    Greeting,
    /// What it offers.
    Lists,
}

/// What was reported last.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) known: Known,
    reached: Option<Timestamp>,
    failed: Option<(Fault, Timestamp)>,
    /// The youngest exchange.
    youngest: Option<ExchangeId>,
    /// The youngest one when the last failure was told: it and older ones say nothing of the time
    /// after that, however late their answers are read.
    outdated: Option<ExchangeId>,
}

impl Told {
    /// An exchange begins.
    pub(super) fn began(&mut self, exchange: ExchangeId) {
        self.youngest = Some(exchange);
    }

    /// A request was answered that was sent in `exchange`; `discovers` says that it was the
    /// greeting, after which the lists are asked for in any case. The first success after a failure
    /// is always told.
    pub(super) fn reached(
        &mut self,
        now: Timestamp,
        exchange: Option<ExchangeId>,
        round_trip_ms: u64,
        discovers: bool,
        out: &mut Vec<Effect>,
    ) {
        if self.failed.is_some() && exchange <= self.outdated {
            return;
        }
        let is_recent = self.reached.is_some_and(|at| now.since(at) < ACTIVITY_INTERVAL_MS);
        if is_recent && self.failed.is_none() {
            return;
        }
        self.reached = Some(now);
        self.failed = None;
        out.push(Effect::Report(Report::Reached { round_trip_ms, discovers }));
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
        self.outdated = self.youngest;
        self.known = Known::Nothing;
        out.push(Effect::Report(Report::Failed(failure)));
    }
}
