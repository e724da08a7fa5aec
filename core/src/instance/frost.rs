//! The light sleep: an idle process is frozen where it is, and goes on when somebody wants it.
//!
//! Nobody is told of it. A frozen process is not ready, so whoever calls waits for it as for one
//! that is dormant, and by that wakes it.

use alloc::format;

use statig::Outcome;

use super::lifecycle::{Context, Lifecycle};
use super::state::{Process, State, Then};
use super::{Effect, Event};
use crate::limits::{DISCOVERY_TIMEOUT_MS, THAW_TIMEOUT_MS};
use crate::time::Timestamp;

/// How far a process is on the way into sleep or out of it.
#[derive(Clone, Copy)]
pub(super) enum Sleep {
    Freezing,
    Frozen,
    Thawing { until: Timestamp },
}

/// Questions for its lists that met a process while it stood still. It says that they have changed,
/// is frozen before it is asked for them, and what it was asked then has no answer in time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unheard {
    is_due: bool,
    /// When it was thawed, until a question that was open then must have ended.
    thawed_at: Option<Timestamp>,
}

impl Lifecycle {
    /// Its lists could not be renewed while it runs. Whether it is asked for them again: if it may
    /// have been asked while it stood still.
    pub(super) fn lists_failed(&mut self, now: Timestamp) -> bool {
        let thawed_at = self.unheard.thawed_at.take();
        thawed_at.is_some_and(|at| now.since(at) <= DISCOVERY_TIMEOUT_MS)
    }

    /// The process runs again.
    fn runs_on(&mut self, process: &Process, since: Timestamp, cx: &mut Context<'_>) -> State {
        let is_due = core::mem::take(&mut self.unheard.is_due);
        self.unheard.thawed_at = Some(cx.now).filter(|_| !is_due);
        if is_due {
            cx.out.push(Effect::Relist { incarnation: process.incarnation });
        }
        State::Online { process: *process, since }
    }
}

/// What a process does that has been online since `since`, while it sleeps or is about to.
pub(super) fn asleep(
    sleep: Sleep,
    process: &Process,
    since: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    if event.incarnation().is_some_and(|incarnation| incarnation != process.incarnation) {
        return Outcome::Super;
    }
    let hears = process.lost_until.is_none();
    match (sleep, event) {
        (Sleep::Freezing, Event::Frozen { .. }) => {
            cx.moved(State::Frozen { process: *process, since, frozen_at: cx.now })
        }
        (Sleep::Freezing, Event::FreezeFailed { .. }) => {
            life.unfreezable = Some(process.incarnation);
            let to = life.runs_on(process, since, cx);
            cx.moved(to)
        }
        (Sleep::Thawing { .. }, Event::FreezeFailed { .. }) => {
            life.unfreezable = Some(process.incarnation);
            cx.handled()
        }
        (Sleep::Frozen, Event::RoomWanted) => {
            cx.moved(State::Stopping { process: *process, then: Then::Sleep })
        }
        (Sleep::Thawing { .. }, Event::Thawed { .. }) => {
            // Whoever woke it has the idle time from here to call it.
            life.last_activity = cx.now;
            let to = life.runs_on(process, since, cx);
            cx.moved(to)
        }
        (Sleep::Thawing { .. }, Event::ThawFailed { error, .. }) => {
            let message = format!("it could not be thawed and is started afresh: {error}");
            cx.moved(life.recover(process, "thaw", message))
        }
        (Sleep::Thawing { until }, Event::Tick) if until <= cx.now => {
            let message =
                format!("it was not thawed within {THAW_TIMEOUT_MS} ms and is started afresh");
            cx.moved(life.recover(process, "thaw", message))
        }
        // It was wanted before it was frozen: the answers to both come in order.
        (Sleep::Thawing { .. }, Event::Wanted | Event::Frozen { .. }) => {
            cx.ignored("it is being thawed")
        }
        (Sleep::Freezing | Sleep::Frozen, Event::Wanted) if hears => {
            life.last_activity = cx.now;
            cx.moved(thaw(process, since, cx))
        }
        // A call that was handed over while it was being decided to freeze it.
        (Sleep::Freezing | Sleep::Frozen, Event::Used { activity, .. })
            if activity.in_flight > 0 && hears =>
        {
            life.used(cx.now, *activity);
            cx.moved(thaw(process, since, cx))
        }
        (Sleep::Freezing | Sleep::Frozen, Event::Tick)
            if hears && life.idle_at(since).is_some_and(|at| at <= cx.now) =>
        {
            cx.moved(State::Stopping { process: *process, then: Then::Sleep })
        }
        (_, Event::Listed { inventory, .. }) => {
            life.discovered(inventory, cx);
            cx.handled()
        }
        (_, Event::ListsStale { .. }) => {
            life.unheard.is_due = true;
            cx.handled()
        }
        (_, Event::Probed { answered: false, .. }) => cx.ignored("it could not answer"),
        _ => Outcome::Super,
    }
}

fn thaw(process: &Process, since: Timestamp, cx: &Context<'_>) -> State {
    State::Thawing { process: *process, since, until: cx.now.after(THAW_TIMEOUT_MS) }
}
