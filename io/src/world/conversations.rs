//! Conversations with servers elsewhere, begun as the control machine decides.

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey, TeamId, UserId};
use satellite_core::random::Random;
use satellite_core::relay::Report;
use satellite_core::remote::RemoteSpec;
use tokio::sync::mpsc;

use super::DaemonWorld;
use crate::relays::{RelayInput, Relays, relay_channel};
use crate::remotes::Conversation;

impl<C, H, S> DaemonWorld<C, H, S> {
    /// Drops a user's tokens: the Backend is asked before their next request, in conversations
    /// under way too.
    pub(super) fn drop_tokens(&self, user: &UserId, team: Option<&TeamId>) {
        self.tokens.forget(user, team);
        for relay in self.relays.of_user(user, team) {
            relay.tell(RelayInput::DropToken);
        }
    }

    /// Begins a conversation, and makes the way to it known until it has ended.
    pub(super) fn connect(
        &mut self,
        key: InstanceKey,
        incarnation: Incarnation,
        remote: RemoteSpec,
    ) {
        // Those that have ended are only to be forgotten.
        while self.conversations.try_join_next().is_some() {}
        let mut seed = [0; 8];
        self.parts.entropy.fill(&mut seed);
        let (handle, inbox) = relay_channel();
        self.relays.insert(key.clone(), incarnation, handle);
        let (control, name) = (self.parts.inbox.clone(), key.clone());
        let held = self.remotes.hold(Conversation {
            key: key.clone(),
            remote,
            random: Random::new(u64::from_le_bytes(seed)),
            inbox,
            report: Box::new(move |report| {
                // The inbox is gone when the daemon is.
                let _ = control.send(Event::Relay { key: name.clone(), incarnation, report });
            }),
            clock: self.parts.clock,
        });
        let (relays, control) = (self.relays.clone(), self.parts.inbox.clone());
        let watched = Watched { key, incarnation, relays, control };
        self.conversations.spawn(async move {
            held.await;
            drop(watched);
        });
    }
}

/// Goes when its conversation does, however that ends.
struct Watched {
    key: InstanceKey,
    incarnation: Incarnation,
    relays: Relays,
    control: mpsc::UnboundedSender<Event>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.relays.remove(&self.key, self.incarnation);
        // One that broke down could not say itself that it has ended.
        if std::thread::panicking() {
            let (key, incarnation) = (self.key.clone(), self.incarnation);
            let reason = String::from("the conversation broke down within the satellite");
            let report = Report::Closed { reason };
            let _ = self.control.send(Event::Relay { key, incarnation, report });
        }
    }
}
