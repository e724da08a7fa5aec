//! The light sleep: an idle process is frozen where it is, and goes on when somebody wants it.
//!
//! Nobody is told of it. A frozen process is not ready, so whoever calls waits for it as for one
//! that is dormant, and by that wakes it.

use alloc::format;

use statig::Outcome;

use super::Event;
use super::lifecycle::{Context, Lifecycle};
use super::state::{Process, State, Then};
use crate::limits::THAW_TIMEOUT_MS;
use crate::time::Timestamp;

pub(super) fn freezing(
    process: &mut Process,
    since: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Frozen { incarnation } if *incarnation == process.incarnation => {
            cx.moved(State::Frozen { process: *process, since, frozen_at: cx.now })
        }
        Event::FreezeFailed { incarnation } if *incarnation == process.incarnation => {
            life.unfreezable = Some(process.incarnation);
            cx.moved(State::Online { process: *process, since })
        }
        _ => asleep(process, since, life, event, cx),
    }
}

pub(super) fn frozen(
    process: &mut Process,
    since: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::RoomWanted => cx.moved(State::Stopping { process: *process, then: Then::Sleep }),
        _ => asleep(process, since, life, event, cx),
    }
}

/// What a process that is frozen, or about to be, does alike.
fn asleep(
    process: &mut Process,
    since: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    let hears = process.lost_until.is_none();
    match event {
        Event::Wanted if hears => {
            life.last_activity = cx.now;
            cx.moved(thaw(process, since, cx))
        }
        // A call that was handed over while it was being decided to freeze it.
        Event::Used { incarnation, activity }
            if *incarnation == process.incarnation && activity.in_flight > 0 && hears =>
        {
            life.used(cx.now, *activity);
            cx.moved(thaw(process, since, cx))
        }
        Event::Listed { incarnation, inventory } if *incarnation == process.incarnation => {
            life.discovered(inventory, cx);
            cx.handled()
        }
        Event::Probed { incarnation, answered: false } if *incarnation == process.incarnation => {
            cx.ignored("it could not answer")
        }
        Event::Tick if hears && life.idle_at(since).is_some_and(|at| at <= cx.now) => {
            cx.moved(State::Stopping { process: *process, then: Then::Sleep })
        }
        _ => Outcome::Super,
    }
}

fn thaw(process: &Process, since: Timestamp, cx: &Context<'_>) -> State {
    State::Thawing { process: *process, since, until: cx.now.after(THAW_TIMEOUT_MS) }
}

pub(super) fn thawing(
    process: &mut Process,
    since: Timestamp,
    until: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Thawed { incarnation } if *incarnation == process.incarnation => {
            // Whoever woke it has the idle time from here to call it.
            life.last_activity = cx.now;
            cx.moved(State::Online { process: *process, since })
        }
        Event::ThawFailed { incarnation, error } if *incarnation == process.incarnation => {
            let message = format!("it could not be thawed and is started afresh: {error}");
            cx.moved(life.recover(process, "thaw", message))
        }
        Event::Tick if until <= cx.now => {
            let message =
                format!("it was not thawed within {THAW_TIMEOUT_MS} ms and is started afresh");
            cx.moved(life.recover(process, "thaw", message))
        }
        // It was wanted before it was frozen: the answers to both come in order.
        Event::Frozen { incarnation } if *incarnation == process.incarnation => {
            cx.ignored("it is being thawed")
        }
        Event::FreezeFailed { incarnation } if *incarnation == process.incarnation => {
            life.unfreezable = Some(process.incarnation);
            cx.handled()
        }
        Event::Listed { incarnation, inventory } if *incarnation == process.incarnation => {
            life.discovered(inventory, cx);
            cx.handled()
        }
        Event::Probed { incarnation, answered: false } if *incarnation == process.incarnation => {
            cx.ignored("it could not answer")
        }
        Event::Wanted => cx.ignored("it is being thawed"),
        _ => Outcome::Super,
    }
}
