//! From the entries of a journal to what they mean.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::codec::{Condition, scan};
use super::{Entry, Gap, GapReason, ToolSwitch};
use crate::id::{CommandId, EventId};
use crate::time::Timestamp;
use crate::wire::command::Command;
use crate::wire::event::EventData;

/// What a journal remembers.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Events the Backend has not confirmed, in order, without a hole in their numbers.
    pub events: Vec<Pending>,
    /// One more than the last number that is known to be used; nothing if no number is.
    pub next_seq: Option<u64>,
    /// Events up to this number may have been sent.
    pub sending_through: u64,
    /// Commands, in the order of their first entry.
    pub commands: Vec<StoredCommand>,
    /// The tools switched, each as it was last.
    pub switches: Vec<ToolSwitch>,
    /// The run of the machine in which the last daemon lived; empty if it is not known.
    pub boot: Option<String>,
    /// Whether the last daemon ended in order.
    pub is_ended: bool,
    /// How the journal was found.
    pub condition: Condition,
}

/// An event that waits, or the place of such.
#[derive(Clone, Debug)]
pub enum Pending {
    /// An event.
    Event {
        /// Its number.
        seq: u64,
        /// Its type.
        kind: &'static str,
        /// The whole of it.
        json: Box<RawValue>,
    },
    /// Dropped events.
    Gap(Gap),
}

/// What is known of a command.
#[derive(Clone, Debug)]
pub struct StoredCommand {
    /// Its id.
    pub id: CommandId,
    /// The command and when it was received. One that was refused at once has none.
    pub received: Option<(Command, Timestamp)>,
    /// When it was begun.
    pub begun: Option<Timestamp>,
    /// Its result.
    pub result: Option<Box<RawValue>>,
    /// Whether the Backend has confirmed the result.
    pub is_reported: bool,
}

/// Reads a journal. `gap_id` names the gaps that stand for events it should hold and does not.
/// Total: any bytes have some meaning.
pub fn recover(journal: &[u8], now: Timestamp, gap_id: impl FnMut() -> EventId) -> Recovered {
    let found = scan(journal);
    let mut replay = Replay::default();
    for entry in found.entries {
        replay.apply(entry);
    }
    replay.finish(found.condition, now, gap_id)
}

#[derive(Default)]
struct Replay {
    events: BTreeMap<u64, Pending>,
    confirmed_through: u64,
    last_seq: Option<u64>,
    sending_through: u64,
    commands: BTreeMap<CommandId, (usize, StoredCommand)>,
    switches: Vec<ToolSwitch>,
    boot: Option<String>,
    is_ended: bool,
}

impl Replay {
    fn apply(&mut self, entry: Entry) {
        self.is_ended = matches!(entry, Entry::Ended);
        match entry {
            Entry::Started { boot } => self.boot = Some(boot),
            Entry::Ended => {}
            Entry::Event(json) => {
                #[derive(Deserialize)]
                struct Numbered {
                    seq: u64,
                    r#type: String,
                }
                // Written by this crate, they have both.
                let Ok(numbered) = serde_json::from_str::<Numbered>(json.get()) else { return };
                let (seq, kind) = (numbered.seq, EventData::known_kind(&numbered.r#type));
                self.used(seq);
                self.events.insert(seq, Pending::Event { seq, kind, json });
            }
            Entry::Gap(gap) => {
                let last = gap.to_seq;
                self.used(last);
                self.events.retain(|seq, _| *seq < gap.from_seq || *seq > last);
                self.events.insert(last, Pending::Gap(gap));
            }
            Entry::Sending { through } => self.sending_through = self.sending_through.max(through),
            Entry::Confirmed { through } => {
                self.used(through);
                self.confirmed_through = self.confirmed_through.max(through);
                self.events = self.events.split_off(&through.saturating_add(1));
            }
            Entry::Received { command, at } => {
                let stored = self.command(&command.id.clone());
                stored.received = Some((command, at));
            }
            Entry::Begun { id, at } => self.command(&id).begun = Some(at),
            Entry::Finished { id, result } => {
                let stored = self.command(&id);
                stored.result = Some(result);
                stored.is_reported = false;
            }
            Entry::Reported { id } => self.command(&id).is_reported = true,
            Entry::ToolSwitched(switch) => {
                ToolSwitch::remember(&mut self.switches, switch);
            }
        }
    }

    fn used(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(Some(seq));
    }

    fn command(&mut self, id: &CommandId) -> &mut StoredCommand {
        let place = self.commands.len();
        let (_, stored) = self.commands.entry(id.clone()).or_insert_with(|| {
            let stored = StoredCommand {
                id: id.clone(),
                received: None,
                begun: None,
                result: None,
                is_reported: false,
            };
            (place, stored)
        });
        stored
    }

    fn finish(
        self,
        condition: Condition,
        now: Timestamp,
        mut gap_id: impl FnMut() -> EventId,
    ) -> Recovered {
        let mut events = Vec::with_capacity(self.events.len());
        // Numbers go up one by one, so a number that is missing was in a line that is.
        let mut expected = self.confirmed_through.saturating_add(1);
        let first = self.events.first_key_value().map(|(_, pending)| pending.from_seq());
        if self.confirmed_through == 0 {
            // Nothing was ever confirmed: the first that is there is the first there was.
            expected = first.unwrap_or(expected);
        }
        for (seq, pending) in self.events {
            if pending.from_seq() > expected {
                events.push(Pending::Gap(Gap {
                    id: gap_id(),
                    from_seq: expected,
                    to_seq: pending.from_seq() - 1,
                    count: pending.from_seq() - expected,
                    at: now,
                    reason: GapReason::JournalDamaged,
                }));
            }
            expected = seq.saturating_add(1);
            events.push(pending);
        }
        let mut commands: Vec<(usize, StoredCommand)> = self.commands.into_values().collect();
        commands.sort_by_key(|(place, _)| *place);
        Recovered {
            events,
            next_seq: self.last_seq.map(|last| last.saturating_add(1)),
            sending_through: self.sending_through,
            commands: commands.into_iter().map(|(_, stored)| stored).collect(),
            switches: self.switches,
            boot: self.boot,
            is_ended: self.is_ended,
            condition,
        }
    }
}

impl Pending {
    /// The first number it stands for.
    pub fn from_seq(&self) -> u64 {
        match self {
            Pending::Event { seq, .. } => *seq,
            Pending::Gap(gap) => gap.from_seq,
        }
    }

    /// The last number it stands for, its own.
    pub fn seq(&self) -> u64 {
        match self {
            Pending::Event { seq, .. } => *seq,
            Pending::Gap(gap) => gap.to_seq,
        }
    }
}

impl Recovered {
    /// What is to be told of events that were lost without leaving a number, if any may be: why,
    /// and how many at least. `boot` names the present run of the machine's kernel.
    pub fn lost_tail(&self, boot: &str) -> Option<(GapReason, u64)> {
        let gaps = self.events.iter().filter_map(|pending| match pending {
            Pending::Gap(gap) => Some(gap.reason),
            Pending::Event { .. } => None,
        });
        if self.condition.torn_bytes > 0 {
            return Some((GapReason::JournalTorn, 1));
        }
        let is_told = gaps.into_iter().any(|reason| reason == GapReason::JournalDamaged);
        if self.condition.damaged_lines > 0 && !is_told {
            return Some((GapReason::JournalDamaged, self.condition.damaged_lines));
        }
        if self.condition.unwritten > 0 {
            return Some((GapReason::JournalUnwritable, 0));
        }
        let last = self.boot.as_deref().filter(|last| !last.is_empty() && !boot.is_empty());
        (last.is_some_and(|last| last != boot) && !self.is_ended)
            .then_some((GapReason::PowerLoss, 0))
    }
}

#[cfg(test)]
mod tests;
