//! What a process that has been told to end makes of events, and what else may follow its end.

use statig::Outcome;

use super::Event;
use super::lifecycle::{Context, Lifecycle};
use super::state::{Process, Purpose, State, StopReason, Then};
use crate::Refusal;
use crate::id::Incarnation;
use crate::process::Ended;

pub(super) fn stopping(
    process: &mut Process,
    then: &mut Then,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    let ours = |incarnation: &Incarnation| *incarnation == process.incarnation;
    match event {
        Event::Exited { incarnation, ended } if ours(incarnation) => {
            let to = life.ended(process, then, ended, cx);
            cx.moved(to)
        }
        // It was told to end before it ever ran.
        Event::SpawnFailed { incarnation, .. } if ours(incarnation) => {
            let to = life.ended(process, then, &Ended::default(), cx);
            cx.moved(to)
        }
        Event::Spawned { incarnation, pid } if ours(incarnation) => {
            process.pid = Some(*pid);
            cx.handled()
        }
        Event::Placed => cx.ignored("it has a place"),
        Event::Used { incarnation, activity } if ours(incarnation) => {
            life.present = *activity;
            cx.handled()
        }
        Event::Initialized { incarnation }
        | Event::Listed { incarnation, .. }
        | Event::ListsStale { incarnation }
        | Event::Unusable { incarnation, .. }
        | Event::PipesClosed { incarnation, .. }
        | Event::Probed { incarnation, .. }
        | Event::Frozen { incarnation }
        | Event::FreezeFailed { incarnation }
        | Event::Thawed { incarnation }
        | Event::ThawFailed { incarnation, .. }
            if ours(incarnation) =>
        {
            cx.ignored("already ending")
        }
        _ => rethink(then, life, event, cx),
    }
}

/// Somebody wants something of what has been told to end: that is what follows.
pub(super) fn rethink(
    then: &mut Then,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Wanted => match then {
            Then::Sleep => {
                let purpose = Purpose::Wake { asleep_since: cx.now, wanted_at: cx.now };
                *then = Then::Restart { purpose };
                cx.handled()
            }
            Then::Stop { reason: StopReason::Killed } => {
                *then = Then::Restart { purpose: Purpose::Revival };
                cx.handled()
            }
            Then::Stop { reason: StopReason::Shutdown } => cx.refused(Refusal::Draining),
            Then::Remove => cx.refused(Refusal::Unknown),
            Then::Restart { .. } | Then::Recover { .. } => cx.ignored("a start is due"),
        },
        Event::RestartRequested(restart) => {
            if matches!(then, Then::Stop { reason: StopReason::Shutdown }) {
                return cx.refused(Refusal::Draining);
            }
            life.start_afresh(restart);
            *then = Then::Restart { purpose: restart.purpose() };
            cx.handled()
        }
        Event::KillRequested | Event::DrainRequested => {
            let reason = match event {
                Event::DrainRequested => StopReason::Shutdown,
                _ => StopReason::Killed,
            };
            if matches!(then, Then::Remove | Then::Stop { reason: StopReason::Shutdown }) {
                return cx.ignored("already ending");
            }
            *then = Then::Stop { reason };
            cx.handled()
        }
        Event::RemoveRequested => {
            *then = Then::Remove;
            cx.handled()
        }
        _ => Outcome::Super,
    }
}
