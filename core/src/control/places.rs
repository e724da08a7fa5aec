//! Places for processes: a satellite has so many, and who comes first is served first.

use alloc::collections::{BTreeSet, VecDeque};

use crate::id::InstanceKey;

/// Who holds a place, and who waits for one.
#[derive(Debug)]
pub(super) struct Places {
    capacity: usize,
    held: BTreeSet<InstanceKey>,
    queue: VecDeque<InstanceKey>,
}

impl Places {
    pub(super) fn new(capacity: usize) -> Self {
        Places { capacity, held: BTreeSet::new(), queue: VecDeque::new() }
    }

    /// Changes how many places there are. Who holds one keeps it.
    pub(super) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Puts `key` in the queue, unless it is there or is about to be answered.
    pub(super) fn claim(&mut self, key: &InstanceKey) {
        if !self.queue.contains(key) {
            self.queue.push_back(key.clone());
        }
    }

    /// Takes back the place or the request of `key`.
    pub(super) fn release(&mut self, key: &InstanceKey) {
        self.held.remove(key);
        self.queue.retain(|waiting| waiting != key);
    }

    /// The next to be placed, if there is room. Who already holds a place keeps it.
    pub(super) fn next(&mut self) -> Option<InstanceKey> {
        let free = self.held.len() < self.capacity;
        let position = self.queue.iter().position(|waiting| free || self.held.contains(waiting))?;
        let key = self.queue.remove(position)?;
        self.held.insert(key.clone());
        Some(key)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many places there are.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many places are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> InstanceKey {
        InstanceKey { team: "t".into(), installation: "i".into(), user: user.into() }
    }

    #[test]
    fn who_comes_first_is_served_first_and_no_more_than_there_is_room_for() {
        let mut places = Places::new(2);
        for user in ["a", "b", "c", "a"] {
            places.claim(&key(user));
        }
        assert_eq!(places.next(), Some(key("a")));
        assert_eq!(places.next(), Some(key("b")));
        assert_eq!(places.next(), None);
        assert_eq!((places.held(), places.waiting()), (2, 1));
        places.release(&key("a"));
        assert_eq!(places.next(), Some(key("c")));
    }

    #[test]
    fn who_holds_a_place_does_not_wait_for_another() {
        let mut places = Places::new(1);
        places.claim(&key("a"));
        assert_eq!(places.next(), Some(key("a")));
        places.claim(&key("b"));
        places.claim(&key("a"));
        assert_eq!(places.next(), Some(key("a")));
        assert_eq!(places.next(), None);
        assert_eq!(places.held(), 1);
    }
}
