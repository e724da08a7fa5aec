//! What will happen, in order of time; what was put in first goes first at the same moment.

use std::collections::BTreeMap;

use satellite_core::time::Timestamp;

/// A queue ordered by time.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<(Timestamp, u64), T>,
    count: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { waiting: BTreeMap::new(), count: 0 }
    }
}

impl<T> Queue<T> {
    /// Puts `item` in for the moment `at`.
    pub fn put(&mut self, at: Timestamp, item: T) {
        self.waiting.insert((at, self.count), item);
        self.count += 1;
    }

    /// When the next item is due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next item out.
    pub fn take(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, item)| item)
    }

    /// Everything that waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_order_of_time_and_then_of_arrival() {
        let mut queue = Queue::default();
        for (at, item) in [(5, "d"), (1, "a"), (3, "b"), (3, "c")] {
            queue.put(Timestamp(at), item);
        }
        assert_eq!(queue.next_at(), Some(Timestamp(1)));
        let left: Vec<&str> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(left, ["a", "b", "c", "d"]);
        assert_eq!(queue.next_at(), None);
    }
}
