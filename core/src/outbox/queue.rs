//! The waiting events, in order, bounded; what had to be dropped leaves a gap in its place.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::EventId;
use crate::limits::EVENT_QUEUE_MAX_BYTES;
use crate::time::Timestamp;

/// A waiting event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place in the satellite's sequence.
    pub(super) seq: u64,
    /// What it is.
    pub(super) content: Content,
    /// Whether it has ever been part of a request: the Backend may have it.
    pub(super) attempted: bool,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An event, encoded when it was emitted.
    Event {
        /// Its type, for log lines.
        kind: &'static str,
        /// The whole event as JSON.
        json: Vec<u8>,
    },
    /// The place of dropped events. It bears the number of the last of them, so that the sequence
    /// as the Backend sees it is without a hole.
    Gap {
        /// Its own id.
        id: EventId,
        /// The number of the first dropped event.
        from_seq: u64,
        /// How many were dropped.
        count: u64,
        /// When the last of them was.
        at: Timestamp,
    },
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.content {
            Content::Event { json, .. } => json.len(),
            Content::Gap { .. } => 0,
        }
    }
}

/// The events in the order of their emission.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    capacity: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        // Below two there is no room for a gap and the event that made it.
        Queue { entries: VecDeque::new(), bytes: 0, capacity: capacity.max(2), dropped: 0 }
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

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Appends an event. When there is no room, the oldest that have never been sent are dropped
    /// into a gap; `gap_id` names it should it be a new one. Returns how many were dropped.
    ///
    /// What was sent once is kept: the Backend may have it, and then nothing is missing there. That
    /// is one batch at most, so the queue exceeds its capacity only where a batch does.
    pub(super) fn push(
        &mut self,
        entry: Entry,
        now: Timestamp,
        mut gap_id: impl FnMut() -> EventId,
    ) -> u64 {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
        let before = self.dropped;
        while self.is_over() && self.widen_gap(now, &mut gap_id) {}
        self.dropped - before
    }

    fn is_over(&self) -> bool {
        self.entries.len() > self.capacity || self.bytes > EVENT_QUEUE_MAX_BYTES
    }

    /// Drops one more event into the open gap, or opens one. Says whether that gave room.
    fn widen_gap(&mut self, now: Timestamp, gap_id: &mut impl FnMut() -> EventId) -> bool {
        // Entries are sent from the front, so those sent are the first ones.
        let place = self.entries.iter().take_while(|entry| entry.attempted).count();
        let Some(first) = self.entries.get(place) else { return false };
        let mut freed = first.bytes();
        let (id, from_seq, mut count, mut seq) = match &first.content {
            Content::Gap { id, from_seq, count, .. } => (id.clone(), *from_seq, *count, first.seq),
            Content::Event { .. } => (gap_id(), first.seq, 1, first.seq),
        };
        if matches!(first.content, Content::Event { .. }) {
            self.dropped += 1;
        }
        let absorbed = self.entries.remove(place + 1);
        let gave_room = absorbed.is_some() || freed > 0;
        if let Some(absorbed) = absorbed {
            freed += absorbed.bytes();
            count += 1;
            seq = absorbed.seq;
            self.dropped += 1;
        }
        self.bytes = self.bytes.saturating_sub(freed);
        if let Some(entry) = self.entries.get_mut(place) {
            let content = Content::Gap { id, from_seq, count, at: now };
            *entry = Entry { seq, content, attempted: false };
        }
        gave_room
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

    /// The first `count` entries, to be sent: from here on the Backend may have them.
    pub(super) fn attempt(&mut self, count: usize) -> impl Iterator<Item = &Entry> {
        for entry in self.entries.iter_mut().take(count) {
            entry.attempted = true;
        }
        self.entries.iter().take(count)
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
