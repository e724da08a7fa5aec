//! What each state of a conversation does with each event; those of a server that is down are in
//! `down`.

use alloc::string::{String, ToString};

use statig::Outcome;

use super::super::lifecycle::{Context, Lifecycle, MARGIN_MS};
use super::super::spec::Launch;
use super::super::state::{Purpose, State, StopReason, Then};
use super::super::stopping::rethink;
use super::super::{Effect, Event, Restart};
use super::{Attempt, Link, Remote};
use crate::limits::{
    DISCOVERY_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, REMOTE_CARE_MS, REMOTE_DISCONNECT_MS,
    REMOTE_PROBE_INTERVAL_MS,
};
use crate::relay::Activity;
use crate::remote::{Failure, Fault};
use crate::time::Timestamp;
use crate::view::HealthStatus;

/// An event of an instance with a conversation. Words about another conversation are the root's.
pub(in crate::instance) fn handle(
    remote: &mut Remote,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    if event.incarnation().is_some_and(|incarnation| incarnation != remote.link().incarnation) {
        return Outcome::Super;
    }
    match remote {
        Remote::Connecting { link, purpose, until } => {
            connecting(link, *purpose, *until, life, event, cx)
        }
        Remote::Discovering { link, until, .. } => discovering(link, *until, life, event, cx),
        Remote::Online { link, since, asked } => online(link, *since, asked, life, event, cx),
        Remote::Down { link, fault, attempt } => {
            super::down::handle(link, *fault, attempt, life, event, cx)
        }
        Remote::Disconnecting { link, then, until } => {
            disconnecting(link, then, *until, life, event, cx)
        }
    }
}

fn connecting(
    link: &Link,
    purpose: Purpose,
    until: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Initialized { .. } => {
            let to = life.greeted(*link, purpose, cx.now);
            cx.moved(to)
        }
        Event::Tick if until <= cx.now => {
            let to = life.silent(*link, "initialize", cx);
            cx.moved(to)
        }
        Event::RestartRequested(Restart::Recovered) => cx.ignored("a discovery is under way"),
        _ => linked(link, life, event, cx),
    }
}

fn discovering(
    link: &Link,
    until: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Listed { inventory, .. } => {
            let to = life.reached_online(*link, inventory, cx);
            cx.moved(to)
        }
        Event::Initialized { .. } => cx.ignored("greeted already"),
        Event::Tick if until <= cx.now => {
            let to = life.silent(*link, "tools/list", cx);
            cx.moved(to)
        }
        Event::RestartRequested(Restart::Recovered) => cx.ignored("a discovery is under way"),
        _ => linked(link, life, event, cx),
    }
}

fn online(
    link: &Link,
    since: Timestamp,
    asked: &mut Option<Timestamp>,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Listed { inventory, .. } => {
            life.discovered(inventory, cx);
            cx.handled()
        }
        Event::Initialized { .. } => cx.ignored("greeted already"),
        Event::Tick if life.probe_at(since, *asked).is_some_and(|at| at <= cx.now) => {
            *asked = Some(cx.now);
            cx.out.push(Effect::Probe { incarnation: link.incarnation });
            cx.handled()
        }
        // It is there; only what it offers may be different, or whom it takes its user for.
        Event::RestartRequested(Restart::Recovered) => {
            life.last_activity = cx.now;
            let incarnation = link.incarnation;
            cx.out.push(match &life.spec.launch {
                Ok(Launch::Remote(remote)) if remote.requires_oauth => {
                    Effect::Reconnect { incarnation }
                }
                _ => Effect::Relist { incarnation },
            });
            cx.handled()
        }
        _ => linked(link, life, event, cx),
    }
}

/// What every conversation that is meant to go on does.
pub(super) fn linked(
    link: &Link,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    let then = match event {
        Event::Reached { .. } => {
            life.set_health(HealthStatus::Healthy, Some(cx.now));
            return cx.handled();
        }
        Event::Probed { answered, .. } => {
            let health = if *answered { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            life.set_health(health, Some(cx.now));
            return cx.handled();
        }
        Event::Used { activity, .. } => {
            life.used(cx.now, *activity);
            return cx.handled();
        }
        Event::Failed { failure, .. } => {
            let to = life.fell(*link, failure, cx);
            return cx.moved(to);
        }
        Event::PipesClosed { reason, .. } => {
            let failure = Failure::new(Fault::Unreachable, reason.clone());
            let to = life.fell(Link { is_closed: true, ..*link }, &failure, cx);
            return cx.moved(to);
        }
        Event::ListsStale { .. } => return cx.ignored("those known before stay"),
        Event::Wanted | Event::CheckRequested => return cx.ignored("it is being spoken to"),
        Event::RestartRequested(restart) => {
            life.start_afresh(restart);
            Then::Restart { purpose: restart.purpose() }
        }
        Event::KillRequested => Then::Stop { reason: StopReason::Killed },
        Event::DrainRequested => Then::Stop { reason: StopReason::Shutdown },
        Event::RemoveRequested => Then::Remove,
        _ => return Outcome::Super,
    };
    let to = life.disconnect(*link, then, cx);
    cx.moved(to)
}

fn disconnecting(
    link: &Link,
    then: &mut Then,
    until: Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::PipesClosed { .. } => {
            let to = life.disconnected(then, cx);
            cx.moved(to)
        }
        Event::Tick if until <= cx.now => {
            let to = life.disconnected(then, cx);
            cx.moved(to)
        }
        Event::Used { activity, .. } => {
            life.present = *activity;
            cx.handled()
        }
        Event::CheckRequested => cx.ignored("already ending"),
        event if event.incarnation() == Some(link.incarnation) => cx.ignored("already ending"),
        _ => rethink(then, life, event, cx),
    }
}

impl Lifecycle {
    /// Begins another conversation.
    pub(in crate::instance) fn connect(&mut self, purpose: Purpose, cx: &mut Context<'_>) -> State {
        let Ok(Launch::Remote(remote)) = &self.spec.launch else {
            return State::Failed { since: cx.now };
        };
        let (remote, handshake_ms) = (remote.clone(), remote.handshake_timeout_ms);
        self.incarnation = self.incarnation.next();
        self.past = self.totals();
        self.present = Activity::default();
        self.step = "initialize";
        self.spawn_ms = None;
        self.last_activity = cx.now;
        let incarnation = self.incarnation;
        cx.out.push(Effect::Connect { incarnation, remote });
        let link = Link { incarnation, since: cx.now, is_greeted: false, is_closed: false };
        let until = cx.now.after(handshake_ms.saturating_add(MARGIN_MS));
        State::Remote(Remote::Connecting { link, purpose, until })
    }

    /// When a discovery that begins at this moment is not believed in any more.
    pub(super) fn greeting_until(&self, now: Timestamp) -> Timestamp {
        let handshake_ms = match &self.spec.launch {
            Ok(Launch::Remote(remote)) => remote.handshake_timeout_ms,
            _ => HANDSHAKE_TIMEOUT_MS,
        };
        now.after(handshake_ms.saturating_add(MARGIN_MS))
    }

    fn greeted(&mut self, link: Link, purpose: Purpose, now: Timestamp) -> State {
        self.step = "tools/list";
        let until = now.after(DISCOVERY_TIMEOUT_MS + MARGIN_MS);
        let link = Link { is_greeted: true, ..link };
        State::Remote(Remote::Discovering { link, purpose, until })
    }

    fn reached_online(
        &mut self,
        link: Link,
        inventory: &alloc::sync::Arc<crate::view::Inventory>,
        cx: &mut Context<'_>,
    ) -> State {
        self.message = None;
        self.failure = None;
        self.failures = 0;
        self.step = "run";
        self.set_health(HealthStatus::Healthy, Some(cx.now));
        self.discovered(inventory, cx);
        State::Remote(Remote::Online { link, since: cx.now, asked: None })
    }

    /// No word came within any time in which one must have come.
    fn silent(&mut self, link: Link, step: &str, cx: &mut Context<'_>) -> State {
        let message = alloc::format!("no answer to {step} in time; check that the server answers");
        self.fell(link, &Failure::new(Fault::Unreachable, message), cx)
    }

    /// It failed; the server is tried again, unless only a person can help.
    fn fell(&mut self, link: Link, failure: &Failure, cx: &mut Context<'_>) -> State {
        self.note_failure(failure, cx.now);
        self.failures = self.failures.saturating_add(1);
        let attempt = self.next_attempt(failure.fault, failure.retry_after_ms, cx.now);
        State::Remote(Remote::Down { link, fault: failure.fault, attempt })
    }

    pub(super) fn note_failure(&mut self, failure: &Failure, now: Timestamp) {
        let step = self.step.to_string();
        self.message = Some(failure.message.clone());
        self.failed(&step, failure.message.clone(), &[]);
        self.set_health(HealthStatus::Unhealthy, Some(now));
    }

    /// When a server that is down is tried again: later and later, and not at all once nobody has
    /// used it for a while.
    pub(super) fn next_attempt(
        &mut self,
        fault: Fault,
        retry_after_ms: Option<u64>,
        now: Timestamp,
    ) -> Attempt {
        if fault == Fault::AuthorisationNeeded {
            return Attempt::Awaited;
        }
        let wait = crate::backoff::after_failures(self.failures, retry_after_ms, &mut self.random);
        let at = now.after(wait);
        if at > self.last_activity.after(REMOTE_CARE_MS) {
            return Attempt::Awaited;
        }
        Attempt::Due { at }
    }

    /// When an online server is next asked for a sign of life: some time after the last, as long as
    /// anybody cares.
    pub(in crate::instance) fn probe_at(
        &self,
        since: Timestamp,
        asked: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let last = [self.health_at, asked].into_iter().flatten().fold(since, Timestamp::max);
        let at = last.after(REMOTE_PROBE_INTERVAL_MS);
        (at <= self.last_activity.after(REMOTE_CARE_MS)).then_some(at)
    }

    pub(super) fn disconnect(&mut self, link: Link, then: Then, cx: &mut Context<'_>) -> State {
        if link.is_closed {
            return self.disconnected(&then, cx);
        }
        cx.out.push(Effect::Disconnect { incarnation: link.incarnation });
        let until = cx.now.after(REMOTE_DISCONNECT_MS);
        State::Remote(Remote::Disconnecting { link, then, until })
    }

    fn disconnected(&mut self, then: &Then, cx: &mut Context<'_>) -> State {
        self.set_health(HealthStatus::Unknown, None);
        match then {
            Then::Restart { purpose } => self.begin(*purpose, cx),
            Then::Stop { reason } => {
                self.message = Some(String::from(reason.as_str()));
                State::Stopped { since: cx.now }
            }
            Then::Sleep | Then::Recover { .. } => State::Stopped { since: cx.now },
            Then::Remove => State::Removed,
        }
    }
}
