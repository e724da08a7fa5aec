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
        let tail = outbox.lost_tail(now, found, boot, settings.event_queue_max as u64);
        let kept = if is_paired { found.events.as_slice() } else { &[] };
        for pending in kept {
            altered |= outbox.put_back(now, pending.clone(), found.sending_through);
        }
        let told = if kept.len() < found.events.len() {
            Some(outbox.unpaired(now, found, tail))
        } else {
            tail
        };
        if let Some(gap) = told {
            outbox.next_seq = outbox.next_seq.max(gap.to_seq.saturating_add(1));
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

    /// What stands for events that followed the last one known and were lost, if there may be any.
    /// `most` may have waited for their first sending.
    fn lost_tail(
        &mut self,
        now: Timestamp,
        found: &Recovered,
        boot: &str,
        most: u64,
    ) -> Option<Gap> {
        let (reason, count) = found.lost_tail(boot)?;
        let (from_seq, unwritten) = (self.next_seq, found.condition.unwritten);
        let to_seq = if reason == GapReason::JournalUnwritable {
            from_seq.saturating_add(unwritten.saturating_sub(1))
        } else {
            now.0.max(from_seq.saturating_add(most.max(unwritten)))
        };
        Some(Gap { id: new_id(&mut self.random), from_seq, to_seq, count, at: now, reason })
    }

    /// What stands for everything that waited under a pairing that is no more, and for what may
    /// have followed it.
    fn unpaired(&mut self, now: Timestamp, found: &Recovered, tail: Option<Gap>) -> Gap {
        let count = found.events.iter().map(|pending| match pending {
            Pending::Event { .. } => 1,
            Pending::Gap(gap) => gap.count,
        });
        let last = found.events.last().map_or(0, Pending::seq);
        let to_seq = match &tail {
            Some(tail) => tail.to_seq,
            // The same Backend may pair it again, and may have the last event under its number.
            None if last <= found.sending_through => self.next_seq,
            None => last,
        };
        Gap {
            id: new_id(&mut self.random),
            from_seq: found.events.first().map_or(0, Pending::from_seq),
            to_seq,
            count: count.sum::<u64>().saturating_add(tail.map_or(0, |tail| tail.count)),
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
