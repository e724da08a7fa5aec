//! The waiting events, in order, bounded; what had to be dropped leaves a gap in its place.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use crate::id::EventId;
use crate::journal::{Gap, GapReason};
use crate::time::Timestamp;

/// A waiting event.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its place in the satellite's sequence.
    pub(super) seq: u64,
    /// What it is.
    pub(super) content: Content,
    /// Whether it has ever been part of a request: the Backend may have it.
    pub(super) attempted: bool,
}

/// What waits.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// An event, encoded when it was emitted.
    Event {
        /// Its type, for log lines.
        kind: &'static str,
        /// The whole of it.
        json: Box<RawValue>,
    },
    /// The place of dropped events. It bears the number of the last of them, so that the sequence
    /// as the Backend sees it is without a hole.
    Gap(Gap),
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.content {
            Content::Event { json, .. } => json.get().len(),
            Content::Gap(_) => 0,
        }
    }
}

/// The events in the order of their emission.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    capacity: usize,
    max_bytes: usize,
    dropped: u64,
}

impl Queue {
    /// A queue of at most `capacity` entries, whose events have at most `max_bytes` together.
    pub(super) fn new(capacity: usize, max_bytes: usize) -> Self {
        // Below two there is no room for a gap and the event that made it.
        let capacity = capacity.max(2);
        Queue { entries: VecDeque::new(), bytes: 0, capacity, max_bytes, dropped: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The length of all events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Appends an event. When there is no room, the oldest that have never been sent are dropped
    /// into a gap, as many as must go; `gap_id` names it should it be a new one. Returns the gap.
    ///
    /// What was sent once is kept: the Backend may have it, and then nothing is missing there. That
    /// is one batch at most, so the queue exceeds its capacity only where a batch does.
    pub(super) fn push(
        &mut self,
        entry: Entry,
        now: Timestamp,
        mut gap_id: impl FnMut() -> EventId,
    ) -> Option<Gap> {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
        let mut last = None;
        while self.is_over()
            && let Some(gap) = self.widen_gap(now, &mut gap_id)
        {
            last = Some(gap);
        }
        last
    }

    fn is_over(&self) -> bool {
        self.entries.len() > self.capacity || self.bytes > self.max_bytes
    }

    /// Drops one more event: opens a gap in its place, or takes it into the one that is open.
    /// Nothing if all the others have been sent.
    fn widen_gap(&mut self, now: Timestamp, gap_id: &mut impl FnMut() -> EventId) -> Option<Gap> {
        // Entries are sent from the front, so those sent are the first ones.
        let place = self.entries.iter().take_while(|entry| entry.attempted).count();
        let first = self.entries.get(place)?;
        let (gap, freed) = match &first.content {
            Content::Event { .. } => {
                self.dropped += 1;
                let (seq, reason) = (first.seq, GapReason::QueueFull);
                let gap =
                    Gap { id: gap_id(), from_seq: seq, to_seq: seq, count: 1, at: now, reason };
                (gap, first.bytes())
            }
            Content::Gap(open) => {
                let mut gap = Gap { at: now, ..open.clone() };
                let absorbed = self.entries.remove(place + 1)?;
                gap.to_seq = absorbed.seq;
                gap.count += match &absorbed.content {
                    Content::Event { .. } => {
                        self.dropped += 1;
                        1
                    }
                    Content::Gap(other) => other.count,
                };
                (gap, absorbed.bytes())
            }
        };
        self.bytes = self.bytes.saturating_sub(freed);
        if let Some(entry) = self.entries.get_mut(place) {
            let content = Content::Gap(gap.clone());
            *entry = Entry { seq: gap.to_seq, content, attempted: false };
        }
        Some(gap)
    }

    /// How many of the first events fit into one batch: at least one, if any waits.
    pub(super) fn batch_len(&self, max_count: usize, max_bytes: usize) -> usize {
        let mut bytes = 0usize;
        let mut count = 0;
        for entry in self.entries.iter().take(max_count.max(1)) {
            bytes = bytes.saturating_add(entry.bytes());
            if count > 0 && bytes > max_bytes {
                break;
            }
            count += 1;
        }
        count
    }

    /// Marks the first `count` entries: from here on the Backend may have them. Says of each
    /// whether it was marked before.
    pub(super) fn attempt(&mut self, count: usize) -> Vec<bool> {
        let first = self.entries.iter_mut().take(count);
        first.map(|entry| core::mem::replace(&mut entry.attempted, true)).collect()
    }

    /// The first `count` entries.
    pub(super) fn first(&self, count: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(count)
    }

    /// The number of the `count`th entry.
    pub(super) fn seq(&self, count: usize) -> u64 {
        count.checked_sub(1).and_then(|place| self.entries.get(place)).map_or(0, |entry| entry.seq)
    }

    /// The entry at `place`.
    pub(super) fn get(&self, place: usize) -> Option<&Entry> {
        self.entries.get(place)
    }

    /// Removes the first `count` entries: the Backend has them, or never will.
    pub(super) fn remove(&mut self, count: usize) {
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            self.bytes = self.bytes.saturating_sub(entry.bytes());
        }
    }
}
