//! Results of commands: sent until confirmed, then remembered for a while.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use serde_json::value::RawValue;

use super::admission::Known;
use crate::id::CommandId;
use crate::journal::Entry;
use crate::limits::{COMMAND_RESULTS_MAX_BYTES, COMMANDS_REMEMBERED_MAX};
use crate::time::Timestamp;

/// The results, by command.
#[derive(Debug, Default)]
pub(super) struct Results {
    kept: BTreeMap<CommandId, Kept>,
    /// The commands of `kept`, the earliest first.
    order: VecDeque<CommandId>,
    bytes: usize,
    /// What has to be sent, the earliest first. The first is the one in flight, if one is.
    unsent: VecDeque<CommandId>,
    sending: Sending,
    requests: u64,
    failures: u32,
}

#[derive(Debug)]
struct Kept {
    body: Box<RawValue>,
    confirmed: bool,
}

/// What the sending of results waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sending {
    /// For something to send.
    #[default]
    Idle,
    /// For an answer.
    InFlight { number: u64 },
    /// For the time of the next attempt.
    Pausing { until: Timestamp },
}

impl Results {
    /// What is known of a command that has ended; `New` if nothing is.
    pub(super) fn known(&self, id: &CommandId) -> Known {
        match self.kept.get(id) {
            None => Known::New,
            Some(kept) if kept.confirmed => Known::Reported,
            Some(_) => Known::Reporting,
        }
    }

    /// Keeps a result; it is sent once it is released. Returns the command of an older result that
    /// was forgotten before the Backend confirmed it, if there was no room.
    pub(super) fn keep(&mut self, id: &CommandId, body: Box<RawValue>) -> Option<CommandId> {
        self.bytes = self.bytes.saturating_add(body.get().len());
        self.kept.insert(id.clone(), Kept { body, confirmed: false });
        self.order.push_back(id.clone());
        let mut lost = None;
        while self.order.len() > 1
            && (self.order.len() > COMMANDS_REMEMBERED_MAX
                || self.bytes > COMMAND_RESULTS_MAX_BYTES)
        {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(kept) = self.kept.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(kept.body.get().len());
                if !kept.confirmed {
                    lost = Some(oldest);
                }
            }
        }
        lost
    }

    /// Has a result sent, unless that is needless.
    pub(super) fn release(&mut self, id: &CommandId) {
        if self.known(id) != Known::Reported {
            self.unsent.push_back(id.clone());
        }
    }

    /// A result need not be sent, unless its command is delivered again.
    pub(super) fn confirm(&mut self, id: &CommandId) {
        if let Some(kept) = self.kept.get_mut(id) {
            kept.confirmed = true;
        }
    }

    /// What the journal must hold of them.
    pub(super) fn remembered(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for id in &self.order {
            let Some(kept) = self.kept.get(id) else { continue };
            entries.push(Entry::Finished { id: id.clone(), result: kept.body.clone() });
            if kept.confirmed {
                entries.push(Entry::Reported { id: id.clone() });
            }
        }
        entries
    }

    /// Has a confirmed result sent once more.
    pub(super) fn repeat(&mut self, id: &CommandId) {
        if let Some(kept) = self.kept.get_mut(id)
            && kept.confirmed
        {
            kept.confirmed = false;
            self.unsent.push_back(id.clone());
        }
    }

    /// The next result to send and the number of its request, unless one is in flight or the time
    /// of the next attempt has not come.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(u64, Vec<u8>)> {
        match self.sending {
            Sending::InFlight { .. } => return None,
            Sending::Pausing { until } if now < until => return None,
            Sending::Idle | Sending::Pausing { .. } => self.sending = Sending::Idle,
        }
        loop {
            let id = self.unsent.front()?;
            // A result that was forgotten in the meantime is passed over.
            if let Some(kept) = self.kept.get(id) {
                self.requests += 1;
                self.sending = Sending::InFlight { number: self.requests };
                return Some((self.requests, kept.body.get().into()));
            }
            self.unsent.pop_front();
        }
    }

    /// Whether the answer to request `number` is awaited.
    pub(super) fn awaits(&self, number: u64) -> bool {
        self.sending == Sending::InFlight { number }
    }

    /// The result in flight needs no further attempt. Returns its command.
    pub(super) fn settled(&mut self) -> Option<CommandId> {
        self.sending = Sending::Idle;
        self.failures = 0;
        let id = self.unsent.pop_front()?;
        if let Some(kept) = self.kept.get_mut(&id) {
            kept.confirmed = true;
        }
        Some(id)
    }

    /// The attempt in flight failed; the next one is put off by [`Results::pause`]. Returns the
    /// number of failures in a row.
    pub(super) fn failed(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// Puts the next attempt off.
    pub(super) fn pause(&mut self, until: Timestamp) {
        self.sending = Sending::Pausing { until };
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.sending {
            Sending::Pausing { until } => Some(until),
            Sending::Idle | Sending::InFlight { .. } => None,
        }
    }

    /// How many results the Backend has still to confirm.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.len()
    }
}
