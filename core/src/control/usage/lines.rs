//! Lines of many logs, each waiting a moment for company.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::limits::{LOG_BUFFER_MAX_BYTES, LOG_LINES_MAX, LOG_WINDOW_MS};
use crate::time::Timestamp;

/// The waiting lines of logs that are known by `K`.
#[derive(Debug)]
pub(super) struct Lines<K, L> {
    waiting: BTreeMap<K, Waiting<L>>,
    bytes: usize,
}

/// The lines of one log that go out together.
#[derive(Debug)]
pub(super) struct Waiting<L> {
    since: Timestamp,
    bytes: usize,
    /// The lines, the oldest first.
    pub(super) lines: Vec<L>,
    /// Lines that were left out.
    pub(super) omitted: u64,
}

impl<K, L> Default for Lines<K, L> {
    fn default() -> Self {
        Lines { waiting: BTreeMap::new(), bytes: 0 }
    }
}

impl<K: Ord + Clone, L> Lines<K, L> {
    /// Adds a line of about so many bytes. Returns what is to go out at once: the log, if it has as
    /// many lines as an event holds; all logs, if they have become too large together.
    pub(super) fn push(
        &mut self,
        now: Timestamp,
        key: K,
        line: L,
        bytes: usize,
    ) -> Vec<(K, Waiting<L>)> {
        let waiting = self.log(now, key.clone());
        waiting.lines.push(line);
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        let is_full = waiting.lines.len() >= LOG_LINES_MAX;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > LOG_BUFFER_MAX_BYTES {
            return self.take_all();
        }
        if is_full {
            self.take(&key).map(|waiting| (key, waiting)).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Counts a line that is left out.
    pub(super) fn omit(&mut self, now: Timestamp, key: K) {
        let waiting = self.log(now, key);
        waiting.omitted = waiting.omitted.saturating_add(1);
    }

    fn log(&mut self, now: Timestamp, key: K) -> &mut Waiting<L> {
        self.waiting.entry(key).or_insert_with(|| Waiting {
            since: now,
            bytes: 0,
            lines: Vec::new(),
            omitted: 0,
        })
    }

    /// Takes what waits of one log.
    pub(super) fn take(&mut self, key: &K) -> Option<Waiting<L>> {
        let taken = self.waiting.remove(key)?;
        self.bytes = self.bytes.saturating_sub(taken.bytes);
        Some(taken)
    }

    /// Takes what has waited long enough.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<(K, Waiting<L>)> {
        let due: Vec<K> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.since.after(LOG_WINDOW_MS) <= now)
            .map(|(key, _)| key.clone())
            .collect();
        due.into_iter().filter_map(|key| self.take(&key).map(|waiting| (key, waiting))).collect()
    }

    /// Takes everything.
    pub(super) fn take_all(&mut self) -> Vec<(K, Waiting<L>)> {
        self.bytes = 0;
        core::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// When something will have waited long enough.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.since.after(LOG_WINDOW_MS)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn lines_go_out_after_a_moment_or_as_many_as_an_event_holds() {
        let mut lines: Lines<&str, u32> = Lines::default();
        let now = Timestamp(SECOND);
        assert!(lines.push(now, "a", 1, 10).is_empty());
        assert!(lines.push(now.after(SECOND), "b", 2, 10).is_empty());
        assert_eq!(lines.due(), Some(now.after(LOG_WINDOW_MS)));
        assert!(lines.take_due(now.after(LOG_WINDOW_MS - 1)).is_empty());
        let due = lines.take_due(now.after(LOG_WINDOW_MS));
        assert_eq!(
            due.iter().map(|(key, log)| (*key, &log.lines[..])).collect::<Vec<_>>(),
            [("a", &[1][..])]
        );
        for number in 0..LOG_LINES_MAX as u32 - 2 {
            assert!(lines.push(now, "b", number, 10).is_empty());
        }
        let full = lines.push(now, "b", 99, 10);
        assert_eq!(full.iter().map(|(_, log)| log.lines.len()).sum::<usize>(), LOG_LINES_MAX);
        assert_eq!(lines.due(), None);
    }

    #[test]
    fn no_number_of_logs_holds_more_than_the_bound() {
        let mut lines: Lines<u32, ()> = Lines::default();
        let (mut held, mut most, mut out) = (0, 0, 0);
        for number in 0..10_000 {
            let taken = lines.push(Timestamp(0), number % 700, (), 4_096).into_iter();
            let taken: usize = taken.map(|(_, log)| log.lines.len()).sum();
            held = held + 1 - taken;
            most = most.max(held);
            out += taken;
        }
        assert!(most * 4_096 <= LOG_BUFFER_MAX_BYTES, "{most} lines were held");
        let rest: usize = lines.take_all().iter().map(|(_, log)| log.lines.len()).sum();
        assert_eq!(out + rest, 10_000, "and none was lost");
    }
}
