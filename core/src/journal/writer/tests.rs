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
    Journal::new(0, false)
}

fn flush(journal: &mut Journal, now: Timestamp) -> Option<Record> {
    journal.flush(now, || WHOLE.to_vec())
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
        [Waiter::Commands(1), Waiter::Outbox(1)],
        "in the order of the writes"
    );
}

#[test]
fn it_is_rewritten_when_what_was_appended_exceeds_what_it_held() {
    let mut journal = Journal::new(4_000_000, false);
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
    assert_eq!(journal.persisted(NOW, &Ok(())), [Waiter::Outbox(3)]);
}

#[test]
fn after_a_failure_it_is_rewritten_as_a_whole_now_and_then_until_that_succeeds() {
    let mut journal = fit();
    journal.note(&entry(), Some(Waiter::Commands(1)));
    flush(&mut journal, NOW);
    assert_eq!(journal.persisted(NOW, &full()), [Waiter::Commands(1)]);
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
    assert_eq!(journal.persisted(again, &Ok(())), [Waiter::Commands(2)]);
}

#[test]
fn a_command_has_a_failed_journal_tried_at_once() {
    let mut journal = fit();
    journal.note(&entry(), None);
    flush(&mut journal, NOW);
    journal.persisted(NOW, &full());
    journal.note(&entry(), Some(Waiter::Commands(1)));
    assert!(matches!(flush(&mut journal, NOW), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.persisted(NOW, &full()), [Waiter::Commands(1)]);
    assert!(flush(&mut journal, NOW).is_none());
}

#[test]
fn one_that_is_not_as_it_was_written_is_rewritten_before_anything_is_appended() {
    let mut journal = Journal::new(500, true);
    journal.note(&entry(), None);
    assert!(matches!(flush(&mut journal, NOW), Some(Record::JournalRewrite(_))));
    assert_eq!(journal.failure(), None, "nothing has failed yet");
}
