//! Calls of clients: each ends once, with its own answer, and in time.

use satellite_core::limits::CALL_TIMEOUT_MAX_MS;
use satellite_core::relay::{CallId, CallOutcome};
use satellite_core::time::SECOND;

use super::Invariant;
use crate::stage::Stage;
use crate::stage::child::echo;
use crate::stage::relays::OpenCall;
use crate::stage::remotes::Through;

/// The word for how a call ended.
fn word(outcome: &CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Result(_) => "result",
        CallOutcome::Error(_) => "error",
        CallOutcome::RejectedBeforeSend(_) => "rejected before it was sent",
        CallOutcome::Cancelled => "cancelled",
        CallOutcome::TimedOut { .. } => "timed out",
        CallOutcome::OutcomeUnknown { .. } => "outcome unknown",
    }
}

/// A call ends: for the first time, and if with a result, with that which the child meant for it.
pub(in crate::stage) fn answered(stage: &mut Stage, id: CallId, outcome: &CallOutcome) {
    let how = word(outcome);
    let open = stage.calls.open.remove(&id);
    if let Some(OpenCall { through: Through::Conversation(_), number, .. }) = &open {
        super::remotes::ended(stage, *number, outcome);
    }
    let left = open.as_ref().is_some_and(|call| is_left_frozen(stage, call));
    let wrong = match (open, outcome) {
        (Some(_), CallOutcome::TimedOut { .. }) if left => {
            Err(format!("call {} was left to a process that stands still", id.0))
        }
        (None, _) => Err(format!("call {} ended again: {how}", id.0)),
        (Some(call), CallOutcome::Result(result)) if result.get() != echo(call.number) => {
            Err(format!("call {} got {}", id.0, result.get()))
        }
        (Some(_), _) => Ok(()),
    };
    *stage.calls.ended.entry(how).or_default() += 1;
    stage.watch.holds(Invariant::CallEndsOnce, wrong);
}

/// Whether nobody has asked for the thawing of the process that a call went to.
fn is_left_frozen(stage: &Stage, call: &OpenCall) -> bool {
    let Through::Process(pid) = call.through else { return false };
    let mut of_it = stage.processes.of(call.satellite);
    of_it.any(|(_, it)| it.pid == pid && it.frost.is_frozen && !it.frost.is_asked_back)
}

/// Progress is told of a call: of one that has not ended.
pub(in crate::stage) fn notified(stage: &mut Stage, id: CallId) {
    let outcome = if stage.calls.open.contains_key(&id) {
        Ok(())
    } else {
        Err(format!("progress of call {}, which has ended", id.0))
    };
    stage.watch.holds(Invariant::CallEndsOnce, outcome);
}

/// A relay or a conversation is closed: no call that went through it is left.
pub(in crate::stage) fn none_left(stage: &mut Stage, satellite: usize, through: Through) {
    let mut open = stage.calls.open.iter();
    let left = open.find(|(_, call)| call.satellite == satellite && call.through == through);
    let outcome = left.map_or(Ok(()), |(id, _)| {
        Err(format!("call {} goes on after {through:?} has ended", id.0))
    });
    stage.watch.holds(Invariant::CallEndsOnce, outcome);
}

/// No call lasts longer than it may, by the daemon's clock.
pub(super) fn in_time(stage: &Stage, satellite: usize) -> Result<(), String> {
    let Some(subject) = stage.satellites.get(satellite) else { return Ok(()) };
    let now = subject.clock.show(stage.now());
    let own = stage.calls.open.iter().filter(|(_, call)| call.satellite == satellite);
    for (id, call) in own {
        // A child that tells of its progress may take longer.
        let most =
            if call.number.is_multiple_of(3) { CALL_TIMEOUT_MAX_MS } else { call.timeout_ms };
        let lasts = now.since(call.at);
        if lasts > most + SECOND {
            return Err(format!("call {} lasts {lasts} ms of {}", id.0, call.timeout_ms));
        }
    }
    Ok(())
}
