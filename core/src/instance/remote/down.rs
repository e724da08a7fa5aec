//! A server whose last word was a failure: calls still find out whether it is back, and so do
//! attempts of our own, one at a time.

use statig::Outcome;

use super::super::lifecycle::{Context, Lifecycle};
use super::super::state::{Purpose, State};
use super::super::{Effect, Event, Restart};
use super::linked::linked;
use super::{Attempt, Link, Remote};
use crate::remote::{Failure, Fault};
use crate::view::HealthStatus;

pub(super) fn handle(
    link: &mut Link,
    fault: Fault,
    attempt: &mut Attempt,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    let is_trying = matches!(attempt, Attempt::Running { .. });
    // What was sent before the access ended may still be answered: that gives it back to nobody.
    let is_shut = fault == Fault::AuthorisationNeeded && !is_trying;
    match event {
        Event::Reached { .. } | Event::Initialized { .. } | Event::Listed { .. } if is_shut => {
            cx.ignored("the access has ended")
        }
        Event::Reached { discovers, .. } => {
            life.set_health(HealthStatus::Healthy, Some(cx.now));
            let to = life.rediscover(*link, is_trying || *discovers, cx);
            cx.moved(to)
        }
        Event::Initialized { .. } => cx.ignored("the conversation has ended"),
        Event::Listed { inventory, .. } => {
            life.discovered(inventory, cx);
            cx.handled()
        }
        Event::Failed { failure, .. } => failed(link, fault, attempt, failure, life, cx),
        Event::PipesClosed { reason, .. } => {
            if link.is_closed {
                return cx.ignored("already known");
            }
            link.is_closed = true;
            let failure = Failure::new(Fault::Unreachable, reason.clone());
            failed(link, fault, attempt, &failure, life, cx)
        }
        Event::Tick => match *attempt {
            Attempt::Due { at } if at <= cx.now => try_again(link, attempt, life, cx),
            Attempt::Running { until } if until <= cx.now => {
                life.failures = life.failures.saturating_add(1);
                *attempt = life.next_attempt(fault, None, cx.now);
                cx.handled()
            }
            _ => Outcome::Super,
        },
        Event::Used { activity, .. } => {
            life.used(cx.now, *activity);
            if *attempt == Attempt::Awaited {
                *attempt = life.next_attempt(fault, None, cx.now);
            }
            cx.handled()
        }
        Event::Wanted | Event::CheckRequested if is_trying => cx.ignored("it is being tried"),
        Event::Wanted if is_shut => cx.ignored("only its user can help"),
        Event::Wanted => {
            life.last_activity = cx.now;
            try_again(link, attempt, life, cx)
        }
        Event::CheckRequested => try_again(link, attempt, life, cx),
        Event::RestartRequested(Restart::Recovered) => {
            life.last_activity = cx.now;
            life.failures = 0;
            let to = life.rediscover(*link, is_trying, cx);
            cx.moved(to)
        }
        _ => linked(link, life, event, cx),
    }
}

/// Asks the server anew for everything. What it was stays until it answers.
fn try_again(
    link: &Link,
    attempt: &mut Attempt,
    life: &mut Lifecycle,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    if link.is_closed {
        let to = life.connect(Purpose::Revival, cx);
        return cx.moved(to);
    }
    *attempt = Attempt::Running { until: life.greeting_until(cx.now) };
    cx.out.push(Effect::Reconnect { incarnation: link.incarnation });
    cx.handled()
}

fn failed(
    link: &Link,
    fault: Fault,
    attempt: &mut Attempt,
    failure: &Failure,
    life: &mut Lifecycle,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    let is_trying = matches!(attempt, Attempt::Running { .. });
    if is_trying {
        life.failures = life.failures.saturating_add(1);
    }
    // That it cannot be reached does not give the access back.
    let is_kept =
        fault == Fault::AuthorisationNeeded && (!is_trying || failure.fault == Fault::Unreachable);
    if is_kept {
        *attempt = Attempt::Awaited;
        return cx.handled();
    }
    life.note_failure(failure, cx.now);
    let next = match *attempt {
        // A call failed while the next attempt was awaited: that neither hurries it nor delays it.
        Attempt::Due { at } if failure.fault != Fault::AuthorisationNeeded => Attempt::Due { at },
        _ => life.next_attempt(failure.fault, failure.retry_after_ms, cx.now),
    };
    if failure.fault == fault {
        *attempt = next;
        return cx.handled();
    }
    cx.moved(State::Remote(Remote::Down { link: *link, fault: failure.fault, attempt: next }))
}

impl Lifecycle {
    /// The server is there, or is said to be: it is discovered, once.
    fn rediscover(&mut self, link: Link, is_begun: bool, cx: &mut Context<'_>) -> State {
        if link.is_closed {
            return self.connect(Purpose::Revival, cx);
        }
        if !is_begun {
            cx.out.push(Effect::Reconnect { incarnation: link.incarnation });
        }
        self.step = "initialize";
        let until = self.greeting_until(cx.now);
        State::Remote(Remote::Connecting { link, purpose: Purpose::Revival, until })
    }
}
