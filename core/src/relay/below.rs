//! What a transport below a relay knows beyond bytes: which stream a message came on, and which
//! requests never arrived.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::machine::{Phase, Relay};
use super::table::Purpose;
use super::{CallOutcome, Effect, Rejection};
use crate::remote::Failure;
use crate::time::Timestamp;

/// A request whose answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// When it is waited for no longer.
    pub(crate) deadline: Timestamp,
    /// Whether it may be sent again after it may have been carried out.
    pub(crate) is_repeatable: bool,
    /// Whether it is a client's.
    pub(crate) is_call: bool,
}

impl Relay {
    /// The peer sent one whole message; `on` names the request on whose own stream it came.
    pub(crate) fn received(
        &mut self,
        now: Timestamp,
        message: &[u8],
        on: Option<u64>,
        out: &mut Vec<Effect>,
    ) {
        if !self.is_open() {
            return;
        }
        let request = on.and_then(|id| self.table.get(id));
        self.heard_for = request.and_then(|request| match request.purpose {
            Purpose::Call { call, .. } => Some(call),
            _ => None,
        });
        self.line(now, message, out);
        self.heard_for = None;
        self.settle(now, out);
    }

    /// A request in flight.
    pub(crate) fn waiting(&self, id: u64) -> Option<Waiting> {
        let request = self.table.get(id)?;
        Some(Waiting {
            deadline: request.deadline,
            is_repeatable: request.purpose.is_repeatable(),
            is_call: matches!(request.purpose, Purpose::Call { .. }),
        })
    }

    /// Counts every request that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.table.ended()
    }

    /// Counts every request that ended because its answer could not be read.
    pub(crate) fn unread(&self) -> u64 {
        self.unread
    }

    /// Requests whose deadline has passed.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<u64> {
        self.table.due(now).collect()
    }

    /// The peer certainly saw nothing of a request, or refused to look at it.
    pub(crate) fn unreached(
        &mut self,
        now: Timestamp,
        id: u64,
        failure: &Failure,
        out: &mut Vec<Effect>,
    ) {
        let Some(request) = self.table.remove(id) else { return };
        match request.purpose {
            Purpose::Call { call, .. } => {
                let rejection = Rejection::Unreached(failure.clone());
                self.end_call(call, CallOutcome::RejectedBeforeSend(rejection), out);
            }
            own => self.own_failed(now, &own, failure.message.clone(), out),
        }
        self.settle(now, out);
    }

    /// The conversation ends before a request was sent.
    pub(crate) fn unsent(&mut self, id: u64, reason: &str, out: &mut Vec<Effect>) {
        let is_call = self.waiting(id).is_some_and(|waiting| waiting.is_call);
        let removed = is_call.then(|| self.table.remove(id)).flatten();
        if let Some(Purpose::Call { call, .. }) = removed.map(|request| request.purpose) {
            let rejection = Rejection::Closed { reason: String::from(reason) };
            self.end_call(call, CallOutcome::RejectedBeforeSend(rejection), out);
        }
    }

    /// The peer may have seen a request, and its answer will not come.
    pub(crate) fn unanswered(
        &mut self,
        now: Timestamp,
        id: u64,
        failure: &Failure,
        out: &mut Vec<Effect>,
    ) {
        let Some(request) = self.table.remove(id) else { return };
        match request.purpose {
            Purpose::Call { call, .. } => {
                let outcome = CallOutcome::OutcomeUnknown { reason: failure.message.to_string() };
                self.end_call(call, outcome, out);
            }
            own => self.own_failed(now, &own, failure.message.clone(), out),
        }
        self.settle(now, out);
    }

    /// Unlike an error that the peer answers with, no answer at all is no sign of life.
    fn own_failed(
        &mut self,
        now: Timestamp,
        purpose: &Purpose,
        reason: String,
        out: &mut Vec<Effect>,
    ) {
        match purpose {
            Purpose::Ping => self.probe_ended(false, out),
            own => self.own_answered(now, own, Err(reason), out),
        }
    }

    /// Shakes hands again with a peer that forgot who calls, or that may be another one. The lists
    /// stay until there are others, and calls in flight stay in flight.
    ///
    /// Does nothing before the first handshake, while one is under way, and after the end.
    pub(crate) fn greet_again(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Unopened | Phase::Initializing | Phase::Closed { .. } => return,
            Phase::Unusable => self.phase = Phase::Initializing,
            Phase::Ready => {}
        }
        self.discovery = None;
        self.relist_at = None;
        self.table.forget_lists();
        self.greet(now, out);
    }

    /// Whether the peer is being greeted, or asked what it offers, or about to be.
    pub(crate) fn is_discovering(&self) -> bool {
        self.discovery.is_some() || self.relist_at.is_some() || self.table.is_greeting()
    }

    /// The revision of MCP that was agreed on.
    pub(crate) fn revision(&self) -> Option<&'static str> {
        self.revision
    }

    fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Unopened | Phase::Closed { .. })
    }
}
