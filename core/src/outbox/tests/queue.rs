//! The queue alone against a list ([`super::model::List`]): what is dropped, what is kept, and what
//! it all takes.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::queue::{Content, Entry, Queue};
use super::model::List;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// An event of so many bytes.
    Push(usize),
    /// The first so many are sent.
    Send(usize),
    /// The Backend has answered for the first so many.
    Remove(usize),
}

fn event(seq: u64, bytes: usize) -> Entry {
    let text = alloc::format!("\"{}\"", "x".repeat(bytes - 2));
    let json = RawValue::from_string(text).expect("a JSON text");
    Entry { seq, content: Content::Event { kind: "test", json }, attempted: false }
}

proptest! {
    #[test]
    fn the_queue_keeps_and_drops_what_the_list_does(
        steps in proptest::collection::vec(
            prop_oneof![
                4 => prop_oneof![3 => 2usize..40, 1 => 90usize..130].prop_map(Step::Push),
                1 => (0usize..6).prop_map(Step::Send),
                1 => (0usize..6).prop_map(Step::Remove),
            ],
            1..80,
        ),
        capacity in 0usize..12,
        most_bytes in prop_oneof![Just(100usize), Just(usize::MAX)],
    ) {
        let mut queue = Queue::new(capacity, most_bytes);
        let mut list = List::new(capacity.max(2), most_bytes);
        for (seq, step) in (1..).zip(steps) {
            match step {
                Step::Push(bytes) => {
                    let gap = queue.push(event(seq, bytes), START, || "gap".into());
                    prop_assert_eq!(gap.is_some(), list.push(seq, bytes));
                    if let Some(gap) = gap {
                        let told = (gap.to_seq, Some((gap.from_seq, gap.count)));
                        let held = list.items.iter().any(|item| (item.seq, item.gap) == told);
                        prop_assert!(held, "{gap:?}");
                    }
                }
                Step::Send(count) => {
                    let marked = queue.attempt(count);
                    for (item, was_sent) in list.items.iter_mut().zip(&marked) {
                        prop_assert_eq!(item.is_sent, *was_sent);
                        item.is_sent = true;
                    }
                    prop_assert_eq!(marked.len(), count.min(list.items.len()));
                }
                Step::Remove(count) => {
                    prop_assert_eq!(
                        queue.seq(count),
                        count.checked_sub(1).and_then(|at| list.items.get(at)).map_or(0, |it| it.seq)
                    );
                    // Only what was sent can be answered for.
                    let sent = list.items.iter().take_while(|item| item.is_sent).count();
                    queue.remove(count.min(sent));
                    list.items.drain(..count.min(sent));
                }
            }
            prop_assert_eq!((queue.len(), queue.bytes()), (list.items.len(), list.bytes()));
            prop_assert_eq!(queue.is_empty(), list.items.is_empty());
            prop_assert_eq!(queue.dropped(), list.dropped);
            for (at, item) in list.items.iter().enumerate() {
                let entry = queue.get(at).expect("as many as in the list");
                let gap = match &entry.content {
                    Content::Gap(gap) => Some((gap.from_seq, gap.count)),
                    Content::Event { .. } => None,
                };
                prop_assert_eq!((entry.seq, gap, entry.attempted), (item.seq, item.gap, item.is_sent));
            }
            for most in 1..5 {
                for bytes in [0, 20, 40, 60] {
                    prop_assert_eq!(queue.batch_len(most, bytes), list.batch(most, bytes));
                }
            }
        }
    }
}

#[test]
fn what_fits_exactly_is_kept_and_sent_together() {
    let mut queue = Queue::new(3, 30);
    for seq in 1..=3 {
        assert!(queue.push(event(seq, 10), START, || "gap".into()).is_none());
    }
    assert_eq!((queue.bytes(), queue.batch_len(3, 30), queue.batch_len(3, 29)), (30, 3, 2));
    let gap = queue.push(event(4, 10), START, || "gap".into()).expect("there is no room");
    assert_eq!((gap.from_seq, gap.to_seq, gap.count, gap.at), (1, 2, 2, START));
    assert_eq!((queue.len(), queue.bytes()), (3, 20));
    let later = START.after(5_000);
    let gap = queue.push(event(5, 10), later, || "gap".into()).expect("there is no room");
    assert_eq!((gap.from_seq, gap.to_seq, gap.at), (1, 3, later), "told as of its last loss");
}

#[test]
fn no_more_is_dropped_than_must_be() {
    let mut queue = Queue::new(10, 30);
    for seq in 1..=3 {
        queue.push(event(seq, 10), START, || "gap".into());
    }
    let gap = queue.push(event(4, 10), START, || "gap".into()).expect("there is no room");
    assert_eq!((gap.from_seq, gap.to_seq, gap.count), (1, 1, 1));
    assert_eq!((queue.len(), queue.bytes(), queue.dropped()), (4, 30, 1));
}
