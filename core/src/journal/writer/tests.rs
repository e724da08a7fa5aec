use alloc::string::ToString;
use alloc::vec;

use super::*;

const NOW: Timestamp = Timestamp(1_000);
const WHOLE: &[u8] = b"everything";

fn entry() -> Entry {
    Entry::Confirmed { through: 7 }
}

fn full() -> Result<(), String> {
    Err("disk full".to_string())
}

fn fit() -> Journal {
    Journal::new(0, 7, false)
}

fn flush_at(journal: &mut Journal, now: Timestamp, next_seq: u64) -> Option<Record> {
    journal.flush(now, next_seq, || WHOLE.to_vec())
}

/// The waiters of a write that succeeded.
fn synced<const N: usize>(waiters: [Waiter; N]) -> Vec<(Waiter, Kept)> {
    waiters.map(|waiter| (waiter, Kept::Synced)).into()
}

fn flush(journal: &mut Journal, now: Timestamp) -> Option<Record> {
    flush_at(journal, now, 7)
}

#[test]
fn the_entries_of_a_step_are_one_write_and_synced_if_anybody_waits() {
    let mut journal = fit();
    assert!(flush(&mut journal, NOW).is_none());
    journal.note(&entry(), None);
    journal.note(&entry(), None);
    let Some(Record::Journal { bytes, sync: false }) = flush(&mut journal, NOW) else {
        panic!("not appended")
    };
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
    journal.note(&entry(), Some(Waiter::Commands(1)));
    journal.note(&entry(), Some(Waiter::Outbox(1)));
    assert!(matches!(flush(&mut journal, NOW), Some(Record::Journal { sync: true, .. })));
    assert_eq!(journal.persisted(NOW, &Ok(())), vec![]);
    assert_eq!(
        journal.persisted(NOW, &Ok(())),
        synced([Waiter::Commands(1), Waiter::Outbox(1)]),
        "in the order of the writes"
    );
}

#[test]
fn it_is_rewritten_when_what_was_appended_exceeds_what_it_held() {
    let mut journal = Journal::new(4_000_000, 7, false);
    let long = Entry::Started { boot: "x".repeat(1_000_000) };
    for _ in 0..5 {
        journal.note(&long, None);
        assert!(matches!(flush(&mut journal, NOW), Some(Record::Journal { .. })));
        journal.persisted(NOW, &Ok(()));
    }
    journal.note(&long, Some(Waiter::Outbox(3)));
    let Some(Record::JournalRewrite(bytes)) = flush(&mut journal, NOW) else {
        panic!("not rewritten")
    };
    assert_eq!(bytes, WHOLE);
    journal.note(&entry(), None);
    assert!(matches!(flush(&mut journal, NOW), Some(Record::Journal { .. })), "it follows");
    assert_eq!(journal.persisted(NOW, &Ok(())), synced([Waiter::Outbox(3)]));
}

#[test]
fn after_a_failure_it_is_rewritten_as_a_whole_now_and_then_until_that_succeeds() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Commands(1)));
    flush(&mut journal, NOW);
    assert_eq!(journal.persisted(NOW, &full()), [(Waiter::Commands(1), Kept::Not)]);
    assert_eq!(journal.failure(), Some("disk full"));
    journal.note(&entry(), None);
    assert!(flush(&mut journal, NOW).is_none(), "not with every entry");
    let again = journal.next_deadline().unwrap().at;
    assert_eq!(again, NOW.after(JOURNAL_RETRY_MS));
    assert!(matches!(flush(&mut journal, again), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.next_deadline(), None);
    // What comes meanwhile is appended to it.
    journal.note(&entry(), Some(Waiter::Commands(2)));
    assert!(flush(&mut journal, again).is_none());
    journal.persisted(again, &Ok(()));
    assert_eq!(journal.failure(), None);
    assert!(matches!(flush(&mut journal, again), Some(Record::Journal { sync: true, .. })));
    assert_eq!(journal.persisted(again, &Ok(())), synced([Waiter::Commands(2)]));
}

#[test]
fn a_command_has_a_failed_journal_tried_at_once() {
    let mut journal = fit();
    journal.note(&entry(), None);
    flush(&mut journal, NOW);
    journal.persisted(NOW, &full());
    journal.note(&entry(), Some(Waiter::Commands(1)));
    assert!(matches!(flush(&mut journal, NOW), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.persisted(NOW, &full()), [(Waiter::Commands(1), Kept::Not)]);
    assert!(flush(&mut journal, NOW).is_none());
}

#[test]
fn one_that_is_not_as_it_was_written_is_rewritten_before_anything_is_appended() {
    let mut journal = Journal::new(500, 7, true);
    journal.note(&entry(), None);
    assert!(matches!(flush(&mut journal, NOW), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.failure(), None, "nothing has failed yet");
}

#[test]
fn a_journal_that_lacks_events_is_marked_before_those_who_wait_are_told() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Outbox(1)));
    flush_at(&mut journal, NOW, 9);
    assert_eq!(journal.persisted(NOW, &full()), vec![]);
    let Some(Record::JournalMark(numbers)) = flush_at(&mut journal, NOW, 9) else {
        panic!("not marked")
    };
    assert_eq!(numbers, 1_000, "ahead of the two that are missing");
    assert_eq!(journal.persisted(NOW, &Ok(())), [(Waiter::Outbox(1), Kept::Marked)]);
    assert!(flush_at(&mut journal, NOW, 1_007).is_none(), "the mark stands for them");
    assert_eq!(journal.lacks(1_007, Waiter::Outbox(2)), Some(Kept::Marked));
    // One more.
    assert_eq!(journal.lacks(1_008, Waiter::Outbox(3)), None);
    let again = flush_at(&mut journal, NOW, 1_008);
    assert!(matches!(again, Some(Record::JournalMark(2_000))), "{again:?}");
    assert_eq!(journal.persisted(NOW, &Ok(())), [(Waiter::Outbox(3), Kept::Marked)]);

    let again = journal.next_deadline().unwrap().at;
    assert!(matches!(flush_at(&mut journal, again, 1_008), Some(Record::JournalRewrite(_))));
    journal.persisted(again, &Ok(()));
    journal.note(&entry(), Some(Waiter::Outbox(4)));
    flush_at(&mut journal, again, 1_010);
    journal.persisted(again, &full());
    let fresh = flush_at(&mut journal, again, 1_010);
    assert!(matches!(fresh, Some(Record::JournalMark(1_000))), "the rewriting had none: {fresh:?}");
}

#[test]
fn where_no_mark_can_be_written_those_who_wait_are_told_so_until_it_can() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Outbox(1)));
    flush_at(&mut journal, NOW, 9);
    journal.persisted(NOW, &full());
    assert!(matches!(flush_at(&mut journal, NOW, 9), Some(Record::JournalMark(_))));
    assert_eq!(journal.persisted(NOW, &full()), [(Waiter::Outbox(1), Kept::Not)]);
    assert_eq!(journal.lacks(9, Waiter::Outbox(2)), Some(Kept::Not));
    assert!(flush_at(&mut journal, NOW, 9).is_none(), "not with every event");
    let again = journal.next_deadline().unwrap().at;
    assert!(matches!(flush_at(&mut journal, again, 9), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.lacks(9, Waiter::Outbox(3)), Some(Kept::Not));
    journal.persisted(again, &full());
    assert!(matches!(flush_at(&mut journal, again, 9), Some(Record::JournalMark(_))));
}

#[test]
fn a_command_needs_no_mark() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Commands(1)));
    flush(&mut journal, NOW);
    journal.persisted(NOW, &full());
    assert!(flush(&mut journal, NOW).is_none(), "no event is missing");
}

#[test]
fn a_rewriting_that_follows_a_failure_serves_those_who_wait_for_a_mark() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Outbox(1)));
    flush_at(&mut journal, NOW, 9);
    let long = Entry::Started { boot: "x".repeat(2_000_000) };
    journal.note(&long, None);
    assert!(matches!(flush_at(&mut journal, NOW, 9), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.persisted(NOW, &full()), vec![]);
    assert!(flush_at(&mut journal, NOW, 9).is_none(), "the rewriting comes first");
    assert_eq!(journal.persisted(NOW, &Ok(())), synced([Waiter::Outbox(1)]));
}
