//! The way to a running instance: handles of relay tasks, found by instance and incarnation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use satellite_core::id::{Incarnation, InstanceKey, TeamId, UserId};
use satellite_core::limits::CALLS_IN_FLIGHT_MAX;
use satellite_core::relay::{Call, CallId, CallOutcome, Rejection};
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Notifications of one call that may wait for a slow client; further ones are dropped.
const CALL_NOTIFICATIONS_MAX: usize = 256;
/// Notifications to all that may wait for a slow session; it then misses the oldest.
const SHARED_NOTIFICATIONS_MAX: usize = 256;

/// What a relay task is told.
#[derive(Debug)]
pub enum RelayInput {
    /// A client calls.
    Call(Call, Caller),
    /// A client takes a call back.
    Cancel(CallId, Option<String>),
    /// Ask for the lists anew.
    Relist,
    /// Ask whether the peer is alive.
    Probe,
    /// Begin anew with a remote; nothing for a child, which lives as long as its pipes.
    Reconnect,
    /// The user's token towards a remote is not to be used any more; nothing for a child.
    DropToken,
    /// Close the child's standard input, or the conversation with a remote: nothing more is sent.
    CloseInput,
}

/// Where a call's notifications and its outcome go.
#[derive(Debug)]
pub struct Caller {
    pub(crate) done: oneshot::Sender<CallOutcome>,
    pub(crate) notifications: Option<mpsc::Sender<Box<RawValue>>>,
}

/// A method to call.
#[derive(Debug)]
pub struct NewCall {
    /// The JSON-RPC method.
    pub method: String,
    /// The `params`, word for word, on one line.
    pub params: Option<Box<RawValue>>,
    /// How long it may take, counted anew by each progress notification.
    pub timeout_ms: u64,
    /// Whether the client asked for progress, so that notifications are passed on.
    pub progress: bool,
    /// Whether it may be sent again after it may have been carried out.
    pub repeatable: bool,
}

/// The way to one relay task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RelayHandle {
    inputs: mpsc::UnboundedSender<RelayInput>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next: AtomicU64,
    /// Calls that the task has not taken yet.
    queued: AtomicUsize,
    everybody: broadcast::Sender<Arc<RawValue>>,
}

/// The task's end of a [`RelayHandle`].
#[derive(Debug)]
pub struct RelayInbox {
    pub(crate) inputs: mpsc::UnboundedReceiver<RelayInput>,
    shared: Arc<Shared>,
}

impl RelayInbox {
    /// Notes that `count` calls have been taken off the queue.
    pub(crate) fn took(&self, count: usize) {
        self.shared.queued.fetch_sub(count, Ordering::Relaxed);
    }

    /// Passes a notification to every session that listens.
    pub(crate) fn notify_all(&self, message: Box<RawValue>) {
        // Nobody listening is no error.
        let _ = self.shared.everybody.send(Arc::from(message));
    }
}

/// A handle and the inbox it leads to.
pub fn relay_channel() -> (RelayHandle, RelayInbox) {
    let (inputs, received) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        next: AtomicU64::new(1),
        queued: AtomicUsize::new(0),
        everybody: broadcast::Sender::new(SHARED_NOTIFICATIONS_MAX),
    });
    let inbox = RelayInbox { inputs: received, shared: Arc::clone(&shared) };
    (RelayHandle { inputs, shared }, inbox)
}

impl RelayHandle {
    /// Calls a method. Nothing is waited for: the outcome comes through the [`PendingCall`], and
    /// dropping that tells the child that nobody wants the answer any more.
    pub fn call(&self, call: NewCall) -> PendingCall {
        let id = CallId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (done, outcome) = oneshot::channel();
        let (notifications, notified) = if call.progress {
            let (sender, receiver) = mpsc::channel(CALL_NOTIFICATIONS_MAX);
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        let pending = PendingCall {
            id,
            outcome,
            notifications: notified,
            inputs: self.inputs.clone(),
            is_over: false,
        };
        let caller = Caller { done, notifications };
        if self.shared.queued.fetch_add(1, Ordering::Relaxed) >= CALLS_IN_FLIGHT_MAX {
            self.shared.queued.fetch_sub(1, Ordering::Relaxed);
            let rejection = Rejection::TooManyCalls { limit: CALLS_IN_FLIGHT_MAX };
            let _ = caller.done.send(CallOutcome::RejectedBeforeSend(rejection));
            return pending;
        }
        let NewCall { method, params, timeout_ms, repeatable, .. } = call;
        let call = Call { id, method, params, timeout_ms, repeatable };
        if let Err(mpsc::error::SendError(RelayInput::Call(_, caller))) =
            self.inputs.send(RelayInput::Call(call, caller))
        {
            let reason = String::from("the server's process has ended");
            let rejection = CallOutcome::RejectedBeforeSend(Rejection::Closed { reason });
            let _ = caller.done.send(rejection);
        }
        pending
    }

    /// Takes a call back, for a client that says so while somebody else holds the [`PendingCall`].
    pub fn cancel(&self, call: CallId, reason: Option<String>) {
        // A relay that is gone has answered all its calls.
        let _ = self.inputs.send(RelayInput::Cancel(call, reason));
    }

    /// The notifications that concern no call, from this moment on. A listener that falls behind
    /// loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<RawValue>> {
        self.shared.everybody.subscribe()
    }

    /// Tells the task something that is no call.
    pub(crate) fn tell(&self, input: RelayInput) {
        let _ = self.inputs.send(input);
    }
}

/// A call under way. Dropped before its outcome was taken, it is cancelled at the child.
#[derive(Debug)]
pub struct PendingCall {
    id: CallId,
    outcome: oneshot::Receiver<CallOutcome>,
    notifications: Option<mpsc::Receiver<Box<RawValue>>>,
    inputs: mpsc::UnboundedSender<RelayInput>,
    is_over: bool,
}

/// What a call yields next.
#[derive(Debug)]
pub enum CallStep {
    /// A notification that concerns it; there may be more.
    Notification(Box<RawValue>),
    /// Its end.
    Outcome(CallOutcome),
}

impl PendingCall {
    /// The call's name at its relay, for [`RelayHandle::cancel`].
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The next notification, or the outcome once there are no more. Not called again after that.
    pub async fn next(&mut self) -> CallStep {
        if let Some(notifications) = &mut self.notifications {
            // The sender is dropped when the outcome is sent, so the order holds.
            if let Some(message) = notifications.recv().await {
                return CallStep::Notification(message);
            }
            self.notifications = None;
        }
        let outcome = (&mut self.outcome).await;
        self.is_over = true;
        CallStep::Outcome(outcome.unwrap_or_else(|_| CallOutcome::OutcomeUnknown {
            reason: String::from("the connection to the server's process was given up"),
        }))
    }

    /// Waits for the outcome and skips notifications.
    pub async fn outcome(mut self) -> CallOutcome {
        loop {
            if let CallStep::Outcome(outcome) = self.next().await {
                return outcome;
            }
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.inputs.send(RelayInput::Cancel(self.id, None));
        }
    }
}

/// Every relay that runs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    handles: Arc<RwLock<BTreeMap<InstanceKey, BTreeMap<Incarnation, RelayHandle>>>>,
}

impl Relays {
    /// The relay of an instance's process, while it runs.
    pub fn find(&self, key: &InstanceKey, incarnation: Incarnation) -> Option<RelayHandle> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(key)?.get(&incarnation).cloned()
    }

    /// The relays of a user's instances; with a team, of those they have as its member.
    pub(crate) fn of_user(&self, user: &UserId, team: Option<&TeamId>) -> Vec<RelayHandle> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let is_theirs =
            |key: &InstanceKey| key.user == *user && team.is_none_or(|team| key.team == *team);
        let theirs = handles.iter().filter(|(key, _)| is_theirs(key));
        theirs.flat_map(|(_, of_instance)| of_instance.values().cloned()).collect()
    }

    /// Makes a relay known.
    pub fn insert(&self, key: InstanceKey, incarnation: Incarnation, handle: RelayHandle) {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        handles.entry(key).or_default().insert(incarnation, handle);
    }

    /// Forgets a relay.
    pub fn remove(&self, key: &InstanceKey, incarnation: Incarnation) {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_instance) = handles.get_mut(key) {
            of_instance.remove(&incarnation);
            if of_instance.is_empty() {
                handles.remove(key);
            }
        }
    }
}
