//! How a conversation ends: told to, of itself, and late.

use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::limits::REMOTE_DISCONNECT_MS;
use satellite_core::remote::Event;
use satellite_core::time::{HOUR, MINUTE, SECOND};

use super::{End, GOODBYE_MS, Stage, Told};
use crate::stage::faults::Fault;
use crate::stage::meddling::{KILL, RECOVERY, REMOVAL, RESTART, SHUTDOWN, SWITCH};

/// How often each end of a conversation is an occasion for it to linger.
const OCCASIONS: usize = 6;

impl Stage {
    /// Has a conversation end.
    pub(in crate::stage) fn disconnect(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) {
        let Some(number) = self.conversation_of(satellite, key, incarnation) else { return };
        if let Some(conversation) = self.conversation(satellite, number) {
            conversation.end = End::Told;
        }
        self.remotes.changes += 1;
        let mut after = self.remotes.random.between(0, 3);
        // Most end with their daemon, and little can happen to those.
        if (0..OCCASIONS).any(|_| self.strikes(satellite, Fault::TalkLingers)) {
            after = self.dice.between(SECOND / 10, 2 * REMOTE_DISCONNECT_MS);
            for what in [KILL, RESTART, SHUTDOWN, SWITCH, REMOVAL, RECOVERY] {
                if self.dice.chance(1, 3) {
                    self.meddle_within(satellite, key, after, what);
                }
            }
        }
        self.tell_conversation(satellite, number, after, Told::Event(Event::Close));
        self.meddle(satellite, key, SECOND);
    }

    /// A conversation is refused access. Some do not survive that.
    pub(super) fn access_refused(&mut self, satellite: usize, number: u64, key: &InstanceKey) {
        self.remotes.refused.insert((satellite, key.clone()));
        if self.perhaps_break(satellite, number) && self.dice.chance(1, 2) {
            self.meddle_within(satellite, key, MINUTE, REMOVAL);
        }
    }

    /// Perhaps a conversation ends of itself, soon or late. Says whether it will.
    pub(super) fn perhaps_break(&mut self, satellite: usize, number: u64) -> bool {
        if !self.strikes(satellite, Fault::TalkBreaks) {
            return false;
        }
        let longest = match self.dice.below(4) {
            0 => SECOND / 10,
            1 => SECOND,
            2 => MINUTE,
            _ => HOUR,
        };
        let after = self.dice.between(0, longest);
        self.tell_conversation(satellite, number, after, Told::Breaks);
        true
    }

    /// A conversation ends of itself, unless it was told to end: then it does that when it hears of
    /// it. Says whether it ends.
    pub(super) fn breaks(&mut self, satellite: usize, number: u64) -> bool {
        if self.rates.of(Fault::TalkBreaks) == 0 {
            // Faults have ended since, and nobody would call its server back.
            return false;
        }
        let Some(conversation) = self.conversation(satellite, number) else { return false };
        if conversation.end != End::None {
            return false;
        }
        (conversation.end, conversation.is_broken) = (End::Heard, true);
        self.remotes.changes += 1;
        self.tell_conversation(satellite, number, GOODBYE_MS, Told::Over);
        true
    }

    pub(super) fn leave_conversation(&mut self, satellite: usize, number: u64) {
        self.remotes.changes += 1;
        if let Some(subject) = self.satellites.get_mut(satellite) {
            subject.conversations.remove(&number);
        }
    }
}
