//! The outbox in its plainest form: a list of what waits, and what is being done about it.
//!
//! | rule | here |
//! |---|---|
//! | numbers go up by one | [`Model::emitted`] |
//! | when there is no room, the first that were never sent become a gap, no more than must | [`List::push`] |
//! | what was sent once is kept until the Backend has answered for it | [`List::push`] |
//! | three seconds after the first, all that waits goes out, twenty at a time | [`Model::send`] |
//! | a refused batch is halved until the one to blame is alone, which is given up | [`Model::answered`] |
//! | 429: 3, 6, … 48 s; other failures: 2 s to min(300 s, 2·2^n s); `Retry-After` lengthens both | [`Model::answered`] |
//! | a daemon that ends waits for nothing | [`Model::flush`] |
//! | the next daemon has the same list | [`Model::restarted`] |

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Something that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item {
    /// For a gap, of the last event in it.
    pub(super) seq: u64,
    /// For a gap, the first number that it stands for and how many events it does.
    pub(super) gap: Option<(u64, u64)>,
    pub(super) bytes: usize,
    pub(super) is_sent: bool,
}

/// What waits, the oldest first.
pub(super) struct List {
    pub(super) items: Vec<Item>,
    pub(super) dropped: u64,
    most: usize,
    most_bytes: usize,
}

impl List {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        List { items: vec![], dropped: 0, most, most_bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// Says whether something had to be dropped for it.
    pub(super) fn push(&mut self, seq: u64, bytes: usize) -> bool {
        self.items.push(Item { seq, gap: None, bytes, is_sent: false });
        let mut has_dropped = false;
        while self.items.len() > self.most || self.bytes() > self.most_bytes {
            let Some(first) = self.items.iter().position(|item| !item.is_sent) else { break };
            // An event becomes a gap; a gap takes in the one after it.
            let end = first + if self.items[first].gap.is_some() { 2 } else { 1 };
            if end > self.items.len() {
                // All but this gap was sent.
                break;
            }
            let gone: Vec<Item> = self.items.drain(first..end).collect();
            self.dropped += gone.iter().filter(|item| item.gap.is_none()).count() as u64;
            let from = gone[0].gap.map_or(gone[0].seq, |(from, _)| from);
            let count = gone.iter().map(|item| item.gap.map_or(1, |(_, count)| count)).sum();
            let seq = gone[gone.len() - 1].seq;
            let gap = Item { seq, gap: Some((from, count)), bytes: 0, is_sent: false };
            self.items.insert(first, gap);
            has_dropped = true;
        }
        has_dropped
    }

    /// How many of the first go into one batch.
    pub(super) fn batch(&self, most: usize, most_bytes: usize) -> usize {
        let fits = |count: &usize| {
            *count == 1
                || self.items[..*count].iter().map(|item| item.bytes).sum::<usize>() <= most_bytes
        };
        (1..=most.min(self.items.len())).filter(fits).max().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Quiet,
    /// What waits goes out at this time.
    Collecting(u64),
    /// Nothing goes out before this time.
    Pausing(u64),
    /// So many of the first are on their way.
    InFlight(usize),
}

/// How a batch is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Taken,
    Refused,
    Throttled,
    /// Any other status, an answer that can't be read, or none.
    Failed,
}

pub(super) struct Model {
    pub(super) list: List,
    pub(super) phase: Phase,
    pub(super) next_seq: u64,
    pub(super) is_paired: bool,
    flushes: bool,
    suspects: usize,
    throttled: u32,
    failures: u32,
    has_warned: bool,
}

impl Model {
    pub(super) fn new(list: List) -> Self {
        Model {
            list,
            phase: Phase::Quiet,
            next_seq: 1,
            is_paired: false,
            flushes: false,
            suspects: 0,
            throttled: 0,
            failures: 0,
            has_warned: false,
        }
    }

    /// Something happened that takes so many bytes to tell. Says whether it is logged that others
    /// were dropped for it.
    pub(super) fn emitted(&mut self, now: u64, bytes: usize) -> bool {
        let has_dropped = self.list.push(self.next_seq, bytes);
        self.next_seq += 1;
        if self.phase == Phase::Quiet {
            self.phase = Phase::Collecting(now + 3_000);
        }
        if self.flushes && matches!(self.phase, Phase::Collecting(_)) {
            self.send();
        }
        let warns = has_dropped && !self.has_warned;
        self.has_warned |= has_dropped;
        warns
    }

    fn send(&mut self) {
        if !self.is_paired {
            return;
        }
        let most = match self.suspects {
            0 => 20,
            1 => 1,
            suspects => suspects / 2,
        };
        let count = self.list.batch(most, 512 * 1024);
        for item in &mut self.list.items[..count] {
            item.is_sent = true;
        }
        self.phase = if count > 0 { Phase::InFlight(count) } else { Phase::Quiet };
    }

    pub(super) fn flush(&mut self) {
        self.flushes = true;
        if !matches!(self.phase, Phase::InFlight(_)) {
            self.send();
        }
    }

    /// Time has passed. Says whether that called for anything.
    pub(super) fn time(&mut self, now: u64) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due {
            self.send();
        }
        is_due
    }

    pub(super) fn due(&self) -> Option<u64> {
        match self.phase {
            Phase::Collecting(until) | Phase::Pausing(until) if self.is_paired => Some(until),
            _ => None,
        }
    }

    /// The batch on its way is answered, with a `Retry-After` of so many milliseconds. Gives the
    /// pause that follows, if one does.
    pub(super) fn answered(
        &mut self,
        now: u64,
        way: Way,
        asked: u64,
    ) -> Option<RangeInclusive<u64>> {
        let Phase::InFlight(count) = self.phase else { return None };
        match way {
            Way::Taken => {
                self.list.items.drain(..count);
                self.suspects = self.suspects.saturating_sub(count);
                (self.throttled, self.failures, self.has_warned) = (0, 0, false);
                self.send();
                None
            }
            Way::Refused if count > 1 => {
                self.suspects = count;
                self.send();
                None
            }
            Way::Refused => {
                self.list.items.remove(0);
                self.suspects = 0;
                if self.list.items.is_empty() || self.flushes {
                    self.send();
                } else {
                    self.phase = Phase::Pausing(now + 3_000);
                }
                None
            }
            Way::Throttled => {
                self.throttled += 1;
                let own =
                    [3_000, 6_000, 12_000, 24_000, 48_000][self.throttled.min(5) as usize - 1];
                Some(own.max(asked)..=own.max(asked))
            }
            Way::Failed => {
                self.failures += 1;
                let longest = 300_000.min(2_000 << self.failures.min(10));
                Some(asked.max(2_000)..=asked.max(longest))
            }
        }
    }

    /// The daemon was killed, and another one goes on.
    pub(super) fn restarted(&mut self, now: u64) {
        let is_empty = self.list.items.is_empty();
        self.phase = if is_empty { Phase::Quiet } else { Phase::Collecting(now + 3_000) };
        (self.suspects, self.throttled, self.failures) = (0, 0, 0);
        (self.flushes, self.has_warned, self.is_paired) = (false, false, true);
        self.list.dropped = 0;
    }
}
