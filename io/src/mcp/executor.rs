//! The one executor under both routers: it sees to it that an instance runs, sends it the call and
//! waits for the outcome.

mod patience;

use std::sync::Arc;
use std::time::Duration;

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::limits::CALL_TIMEOUT_MS;
use satellite_core::relay::{CallOutcome, Rejection};
use satellite_core::router::authorise::callable;
use satellite_core::router::dispatch::Plan;
use satellite_core::router::outcome::{Told, no_place, not_ready, told, told_of_denial};
use satellite_core::router::{Denial, DenialKind};
use satellite_core::usage::Client;
use satellite_core::view::{InstanceStatus, InstanceView, Transport};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Surface;
use super::usage::Meter;
use crate::relays::{CallStep, NewCall, RelayHandle};
use patience::Patience;

/// How long a call waits for its instance to start, once it is its turn.
const READY_TIMEOUT: Duration = Duration::from_millis(CALL_TIMEOUT_MS);
/// How long an instance in error may take to show that it is being tried again.
const REVIVAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a caller gives along.
#[derive(Debug)]
pub(super) struct Strings {
    /// Resolves when the client takes the call back.
    pub(super) cancelled: oneshot::Receiver<Option<String>>,
    /// Where notifications about the call go, if the client wants them.
    pub(super) notes: Option<mpsc::Sender<Box<RawValue>>>,
    /// Who calls.
    pub(super) client: Arc<Client>,
}

/// Carries out `plan`. Dropping the future takes the call back.
///
/// A call is sent a second time only if the server never saw the first, or if it may be repeated.
pub(super) async fn run(surface: &Surface, plan: Plan, mut strings: Strings) -> Told {
    let meter = Meter::begin(surface, &plan, Arc::clone(&strings.client));
    let mut failed: Option<Incarnation> = None;
    loop {
        let ready = tokio::select! {
            biased;
            ready = ready(surface, &plan.key, failed) => ready,
            _ = taken_back(&mut strings.cancelled) => return Told::Nothing,
        };
        let Ready { relay, incarnation, instance } = match ready {
            Ok(ready) => ready,
            Err(denial) => {
                meter.denied(&denial);
                return told_of_denial(&denial, plan.form);
            }
        };
        let called = call(&relay, &plan, instance.call_timeout_ms, &mut strings).await;
        let Some(outcome) = called else { return Told::Nothing };
        let is_worth_another = failed.is_none()
            && match &outcome {
                CallOutcome::RejectedBeforeSend(Rejection::NotReady | Rejection::Closed { .. }) => {
                    true
                }
                // A remote's own task repeats what may be repeated.
                CallOutcome::OutcomeUnknown { .. } => {
                    plan.is_repeatable && instance.transport == Transport::Stdio
                }
                _ => false,
            };
        if !is_worth_another {
            meter.ended(&outcome, &instance);
            return told(outcome, &instance.names.slug, plan.form);
        }
        failed = Some(incarnation);
    }
}

/// Sends a call and waits for its end; nothing if the client took it back.
async fn call(
    relay: &RelayHandle,
    plan: &Plan,
    timeout_ms: u64,
    strings: &mut Strings,
) -> Option<CallOutcome> {
    let mut pending = relay.call(NewCall {
        method: plan.method.to_string(),
        params: plan.params.clone(),
        timeout_ms,
        progress: strings.notes.is_some(),
        repeatable: plan.is_repeatable,
    });
    loop {
        let step = tokio::select! {
            biased;
            step = pending.next() => step,
            reason = taken_back(&mut strings.cancelled) => {
                relay.cancel(pending.id(), reason);
                return None;
            }
        };
        match step {
            CallStep::Outcome(outcome) => return Some(outcome),
            CallStep::Notification(message) => {
                if let Some(notes) = &strings.notes {
                    // A stream that is gone takes this future with it.
                    let _ = notes.send(message).await;
                }
            }
        }
    }
}

/// The client's reason, once it takes the call back; never, if it does not.
async fn taken_back(cancelled: &mut oneshot::Receiver<Option<String>>) -> Option<String> {
    if !cancelled.is_terminated()
        && let Ok(reason) = cancelled.await
    {
        return reason;
    }
    std::future::pending().await
}

/// An instance that takes calls.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) relay: RelayHandle,
    pub(super) incarnation: Incarnation,
    pub(super) instance: Arc<InstanceView>,
}

/// Waits until the instance takes calls, having it started if need be. The process `failed` is not
/// good enough.
///
/// # Errors
///
/// A [`Denial`] as soon as only a person can help, or when the wait is over.
pub(super) async fn ready(
    surface: &Surface,
    key: &InstanceKey,
    failed: Option<Incarnation>,
) -> Result<Ready, Denial> {
    let mut asked: Option<(Patience, bool)> = None;
    let mut changes = surface.view.clone();
    loop {
        let instance = {
            let view = changes.borrow_and_update();
            if view.draining {
                return Err(Denial::new(
                    DenialKind::InstanceUnready,
                    "The satellite is shutting down. Try again when it is back.",
                ));
            }
            view.instances.get(key).map(|instance| (Arc::clone(instance), view.places.clone()))
        };
        let Some((instance, places)) = instance else {
            return Err(Denial::new(
                DenialKind::InstanceUnready,
                "The server was removed. Look at what you have with discover_mcp_tools.",
            ));
        };
        callable(&instance)?;
        let ready = instance.ready.filter(|ready| Some(*ready) != failed);
        if let Some(incarnation) = ready
            && let Some(relay) = surface.relays.find(key, incarnation)
        {
            return Ok(Ready { relay, incarnation, instance });
        }
        // A server elsewhere that was never reached is tried at once, like one that failed.
        let is_in_error = match instance.status {
            InstanceStatus::Error => true,
            InstanceStatus::Offline => instance.transport != Transport::Stdio,
            _ => false,
        };
        let now = Instant::now();
        let (mut patience, was_tried) = *asked.get_or_insert_with(|| {
            // Without a driver nothing will come of it; the wait below ends then too.
            let _ = surface.control.send(Event::Wanted { key: key.clone() });
            (Patience::new(now), false)
        });
        patience.note(now, instance.waits_since.is_some());
        let was_tried = was_tried || !is_in_error;
        asked = Some((patience, was_tried));
        let for_start = if is_in_error { REVIVAL_TIMEOUT } else { READY_TIMEOUT };
        let end = patience.end(Duration::from_millis(places.wait_ms), for_start);
        // It was tried again and failed again, or nobody tries.
        let is_over = now >= end || (is_in_error && was_tried);
        let changed = if is_over { false } else { is_changed(&mut changes, end).await };
        if !changed && (is_over || Instant::now() >= end) {
            let (name, waited) = (&instance.names.slug, patience.waited_ms());
            if instance.waits_since.is_some() {
                return Err(no_place(name, &key.team, &places, waited));
            }
            let message = instance.status_message.as_deref();
            return Err(not_ready(name, instance.status.as_str(), message, waited));
        }
        if !changed {
            return Err(Denial::new(
                DenialKind::InstanceUnready,
                "The satellite is shutting down. Try again when it is back.",
            ));
        }
    }
}

/// Whether the published state changed before `end`.
async fn is_changed<T>(changes: &mut tokio::sync::watch::Receiver<T>, end: Instant) -> bool {
    matches!(timeout_at(end, changes.changed()).await, Ok(Ok(())))
}
