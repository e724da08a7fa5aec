//! Conversations with servers elsewhere, begun as the control machine decides.

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::random::Random;
use satellite_core::remote::RemoteSpec;

use super::DaemonWorld;
use crate::relays::relay_channel;
use crate::remotes::Conversation;

impl<C, H, S> DaemonWorld<C, H, S> {
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
        let relays = self.relays.clone();
        self.conversations.spawn(async move {
            held.await;
            relays.remove(&key, incarnation);
        });
    }
}
