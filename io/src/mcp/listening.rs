//! The stream a client listens to for what concerns no call of its own.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::unfold;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::time::Timestamp;
use satellite_core::view::{InstanceAddress, InstanceView, Inventory, View};
use serde_json::value::RawValue;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Surface;
use super::sessions::{Listener, Visit};
use super::stream::{PING, PING_INTERVAL, event, event_stream};

const TOOLS_CHANGED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// A client that listens.
struct Listening {
    surface: Arc<Surface>,
    visit: Visit,
    number: u64,
    listener: watch::Receiver<Listener>,
    view: watch::Receiver<Arc<View>>,
    expires: Option<Timestamp>,
    instance: Option<Followed>,
    ping: Interval,
}

/// The instance whose notifications are passed on, through its restarts.
struct Followed {
    key: InstanceKey,
    address: Option<InstanceAddress>,
    relay: Option<(Incarnation, broadcast::Receiver<Arc<RawValue>>)>,
    inventory: Arc<Inventory>,
    disabled: Arc<std::collections::BTreeSet<String>>,
}

/// Opens the stream of a session. It ends with the session, the satellite, the token, or when the
/// client opens another.
pub(super) fn listen(
    surface: Arc<Surface>,
    visit: Visit,
    expires: Option<Timestamp>,
    instance: Option<&InstanceView>,
) -> Response {
    let (number, listener) = visit.session.listen();
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listening = Listening {
        view: surface.view.clone(),
        instance: instance.map(|instance| Followed {
            key: instance.key.clone(),
            address: instance.address.clone(),
            relay: None,
            inventory: Arc::clone(&instance.inventory),
            disabled: Arc::clone(&instance.disabled_tools),
        }),
        surface,
        visit,
        number,
        listener,
        expires,
        ping,
    };
    event_stream(Body::from_stream(unfold(listening, |mut listening| async move {
        let bytes = listening.next().await?;
        Some((Ok::<_, Infallible>(bytes), listening))
    })))
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.listener.borrow_and_update() != Listener::Current(self.number) {
                return None;
            }
            let view = Arc::clone(&self.view.borrow_and_update());
            let now = self.surface.clock.now();
            if view.draining || self.expires.is_some_and(|end| end <= now) {
                return None;
            }
            if let Some(followed) = &mut self.instance
                && followed.follow(&self.surface, &view)?
            {
                return Some(event(TOOLS_CHANGED));
            }
            tokio::select! {
                biased;
                message = notified(&mut self.instance) => {
                    return Some(event(message.get().as_bytes()));
                }
                changed = self.view.changed() => changed.ok()?,
                changed = self.listener.changed() => changed.ok()?,
                _ = self.ping.tick() => return Some(PING),
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        tracing::trace!(session = %self.visit.session.id, "A client stopped listening");
    }
}

impl Followed {
    /// Follows the instance to its present process. Whether its tools changed in a way that it
    /// won't tell itself; nothing if it is gone, or its token was issued anew.
    fn follow(&mut self, surface: &Surface, view: &View) -> Option<bool> {
        let instance = view.instances.get(&self.key)?;
        if instance.address != self.address {
            return None;
        }
        let mut is_changed = false;
        if !Arc::ptr_eq(&self.disabled, &instance.disabled_tools) {
            is_changed = self.disabled != instance.disabled_tools;
            self.disabled = Arc::clone(&instance.disabled_tools);
        }
        let followed = self.relay.as_ref().map(|(incarnation, _)| *incarnation);
        if let Some(ready) = instance.ready
            && followed != Some(ready)
            && let Some(relay) = surface.relays.find(&self.key, ready)
        {
            self.relay = Some((ready, relay.subscribe()));
            is_changed |= !has_same_tools(&self.inventory, &instance.inventory);
        }
        self.inventory = Arc::clone(&instance.inventory);
        Some(is_changed)
    }
}

fn has_same_tools(left: &Arc<Inventory>, right: &Arc<Inventory>) -> bool {
    Arc::ptr_eq(left, right)
        || left.tools.iter().map(|tool| tool.raw.get()).eq(right.tools.iter().map(|t| t.raw.get()))
}

/// The next notification of the instance's process, while it has one.
async fn notified(instance: &mut Option<Followed>) -> Arc<RawValue> {
    loop {
        let relay = instance.as_mut().and_then(|followed| followed.relay.as_mut());
        let Some((_, messages)) = relay else { return std::future::pending().await };
        match messages.recv().await {
            Ok(message) => return message,
            // What was missed is gone; what follows is not.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
