//! The outbox across the ends of daemons: what the journal must hold of it, and going on from that.

use alloc::vec;
use alloc::vec::Vec;

use super::queue::{Content, Entry};
use super::{Outbox, Phase, new_id};
use crate::journal::{self, Gap, GapReason, Pending, Recovered};
use crate::limits::Settings;
use crate::random::Random;
use crate::time::Timestamp;

impl Outbox {
    /// An outbox that goes on where the journal ends: the same events under the same ids and
    /// numbers. Numbers that were lost with the journal are followed by the time in milliseconds,
    /// which no satellite has caught up with yet.
    ///
    /// `boot` names the present run of the machine's kernel. Without a pairing all that waits was
    /// for somebody else; only its absence is told. Says also whether anything differs from what
    /// the journal holds.
    pub fn restored(
        now: Timestamp,
        found: &Recovered,
        boot: &str,
        is_paired: bool,
        settings: &Settings,
        random: Random,
    ) -> (Outbox, bool) {
        let next = found.next_seq.unwrap_or(now.0.max(1));
        let mut outbox = Outbox::starting_at(next, settings, random);
        let mut altered = found.next_seq.is_none();
        let mut waiting = found.events.clone();
        if !is_paired && !waiting.is_empty() {
            waiting = vec![Pending::Gap(outbox.unpaired(now, &waiting))];
            altered = true;
        }
        for pending in waiting {
            altered |= outbox.put_back(now, pending, found.sending_through);
        }
        if let Some((reason, count)) = found.lost_tail(boot) {
            let unwritten = found.condition.unwritten;
            let to_seq = if reason == GapReason::JournalUnwritable {
                next.saturating_add(unwritten.saturating_sub(1))
            } else {
                // No more can have waited for their first sending than may wait.
                let most = settings.event_queue_max as u64;
                now.0.max(next.saturating_add(most.max(unwritten)))
            };
            let id = new_id(&mut outbox.random);
            let gap = Gap { id, from_seq: next, to_seq, count, at: now, reason };
            outbox.next_seq = to_seq.saturating_add(1);
            outbox.put_back(now, Pending::Gap(gap), 0);
            altered = true;
        }
        if !outbox.queue.is_empty() {
            outbox.phase = Phase::Collecting { until: now.after(outbox.window_ms) };
        }
        (outbox, altered)
    }

    /// Whether anything had to be dropped for it.
    fn put_back(&mut self, now: Timestamp, pending: Pending, sending_through: u64) -> bool {
        let seq = pending.seq();
        let content = match pending {
            Pending::Event { kind, json, .. } => Content::Event { kind, json },
            Pending::Gap(gap) => Content::Gap(gap),
        };
        let entry = Entry { seq, content, attempted: seq <= sending_through };
        let random = &mut self.random;
        self.queue.push(entry, now, || new_id(random)).is_some()
    }

    fn unpaired(&mut self, now: Timestamp, waiting: &[Pending]) -> Gap {
        let count = waiting.iter().map(|pending| match pending {
            Pending::Event { .. } => 1,
            Pending::Gap(gap) => gap.count,
        });
        Gap {
            id: new_id(&mut self.random),
            from_seq: waiting.first().map_or(0, Pending::from_seq),
            to_seq: waiting.last().map_or(0, Pending::seq),
            count: count.sum(),
            at: now,
            reason: GapReason::Unpaired,
        }
    }

    /// Everything the journal must hold of it.
    pub fn remembered(&self) -> Vec<journal::Entry> {
        let first = self.queue.get(0).map(|entry| match &entry.content {
            Content::Event { .. } => entry.seq,
            Content::Gap(gap) => gap.from_seq,
        });
        let through = first.unwrap_or(self.next_seq).saturating_sub(1);
        let mut entries = vec![journal::Entry::Confirmed { through }];
        let sent = self.queue.first(self.queue.len()).filter(|entry| entry.attempted);
        if let Some(last) = sent.last() {
            entries.push(journal::Entry::Sending { through: last.seq });
        }
        entries.extend(self.queue.first(self.queue.len()).map(|entry| match &entry.content {
            Content::Event { json, .. } => journal::Entry::Event(json.clone()),
            Content::Gap(gap) => journal::Entry::Gap(gap.clone()),
        }));
        entries
    }
}
