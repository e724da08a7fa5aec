//! Calls of clients on their way in, and the one outcome each of them has.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::inventory::shortened;
use super::machine::{Phase, Relay};
use super::table::Purpose;
use super::{Call, CallId, CallOutcome, Effect, Rejection};
use crate::json::{
    Ambiguous, append_string, check_keys, notification_line, progress_token, request_line,
};
use crate::limits::{CALLS_IN_FLIGHT_MAX, MESSAGE_MAX_BYTES};
use crate::time::Timestamp;
use crate::{Refusal, Verdict};

/// Room that an envelope takes around method and parameters.
const ENVELOPE_MAX_BYTES: usize = 96;

impl Relay {
    pub(super) fn called(&mut self, now: Timestamp, call: &Call, out: &mut Vec<Effect>) -> Verdict {
        match self.send(now, call) {
            Ok(line) => {
                self.reporting.sent();
                out.push(Effect::Write(line));
                Verdict::Handled
            }
            Err(rejection) => {
                let refusal = match rejection {
                    Rejection::TooManyCalls { .. } | Rejection::TooLarge { .. } => {
                        Refusal::LimitReached
                    }
                    _ => Refusal::IllegalTransition,
                };
                let outcome = CallOutcome::RejectedBeforeSend(rejection);
                out.push(Effect::Answer { call: call.id, outcome });
                Verdict::Refused(refusal)
            }
        }
    }

    /// Takes the call into the table, and gives the line that asks for it.
    fn send(&mut self, now: Timestamp, call: &Call) -> Result<Vec<u8>, Rejection> {
        match &self.phase {
            Phase::Ready => {}
            Phase::Closed { reason } => return Err(Rejection::Closed { reason: reason.clone() }),
            Phase::Unopened | Phase::Initializing | Phase::Unusable => {
                return Err(Rejection::NotReady);
            }
        }
        if self.table.contains_call(call.id) {
            return Err(Rejection::Malformed { what: "a call of this name is in flight" });
        }
        if self.table.calls() >= CALLS_IN_FLIGHT_MAX {
            return Err(Rejection::TooManyCalls { limit: CALLS_IN_FLIGHT_MAX });
        }
        let params = call.params.as_deref();
        let length = params.map_or(0, |params| params.get().len());
        if length + call.method.len() + ENVELOPE_MAX_BYTES > MESSAGE_MAX_BYTES {
            return Err(Rejection::TooLarge { limit: MESSAGE_MAX_BYTES });
        }
        let mut token = None;
        if let Some(params) = params {
            if !params.get().starts_with('{') {
                return Err(Rejection::Malformed { what: "`params` is not an object" });
            }
            check_keys(params).map_err(|Ambiguous| Rejection::Malformed {
                what: "`params` has a key twice, or in two spellings that differ in case only",
            })?;
            token = progress_token(params).map_err(|Ambiguous| Rejection::Malformed {
                what: "`_meta.progressToken` comes twice",
            })?;
        }
        let (token, span) = token.map(|found| (Box::from(found.token.token()), found.span)).unzip();
        let purpose = Purpose::Call { call: call.id, token, repeatable: call.repeatable };
        let id = self.table.insert(now, purpose, call.timeout_ms);
        Ok(request_line(id, &call.method, params, span))
    }

    pub(super) fn cancelled(
        &mut self,
        call: CallId,
        reason: Option<&str>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(id) = self.table.remove_call(call) else { return Verdict::Ignored("late") };
        self.tell_cancelled(id, reason, out);
        self.end_call(call, CallOutcome::Cancelled, out);
        Verdict::Handled
    }

    /// Ends a call that is no longer in the table.
    pub(super) fn end_call(&mut self, call: CallId, outcome: CallOutcome, out: &mut Vec<Effect>) {
        let failed = matches!(
            outcome,
            CallOutcome::Error(_)
                | CallOutcome::TimedOut { .. }
                | CallOutcome::OutcomeUnknown { .. }
        );
        if failed {
            self.reporting.failed();
        }
        out.push(Effect::Answer { call, outcome });
    }

    /// Tells the child that nobody waits for this request any more.
    pub(super) fn tell_cancelled(&self, id: u64, reason: Option<&str>, out: &mut Vec<Effect>) {
        let mut params = format!("{{\"requestId\":{id}").into_bytes();
        if let Some(reason) = reason {
            params.extend_from_slice(b",\"reason\":");
            append_string(&mut params, &shortened(reason));
        }
        params.push(b'}');
        let params = core::str::from_utf8(&params).ok();
        out.push(Effect::Write(notification_line("notifications/cancelled", params)));
    }
}
