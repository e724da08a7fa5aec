//! The outbox from one daemon to the next.

use super::*;
use crate::journal::{Condition, GapReason, recover};

/// A Backend that takes every batch and remembers what it took, in order.
fn drain(bench: &mut Bench, taken: &mut Vec<Value>) {
    while !bench.outbox.is_empty() {
        match bench.sent() {
            Some((_, events)) => {
                assert!(events.len() <= 20);
                taken.extend(events);
                bench.answer(200, TAKEN);
            }
            None => {
                bench.wait();
            }
        }
    }
}

fn seqs(taken: &[Value]) -> Vec<u64> {
    taken.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

#[test]
fn what_the_backend_did_not_confirm_is_sent_by_the_next_daemon_with_the_same_ids() {
    let mut bench = Bench::paired();
    for number in 0..45 {
        bench.emit(&number.to_string());
    }
    bench.wait();
    let (_, first) = bench.sent().unwrap();
    bench.answer(200, TAKEN);
    let (_, unconfirmed) = bench.sent().unwrap();
    bench.restart("");
    let mut taken = first;
    drain(&mut bench, &mut taken);
    assert_eq!(taken.len(), 45);
    assert_eq!(seqs(&taken), (1..=45).collect::<Vec<_>>());
    assert_eq!(taken[20]["id"], unconfirmed[0]["id"]);
    bench.emit("later");
    bench.restart("");
    assert_eq!(bench.outbox.next_seq(), 47, "numbers go on");
}

#[test]
fn a_batch_waits_for_the_disk_and_one_sync_serves_all_that_wait() {
    let mut bench = Bench::paired();
    for number in 0..45 {
        bench.emit(&number.to_string());
    }
    let deadline = bench.outbox.next_deadline().unwrap();
    let mut out = Vec::new();
    bench.outbox.handle(deadline.at, Event::Tick, &mut out);
    let [Effect::Journal { entry: journal::Entry::Sending { through: 20 }, ticket: Some(ticket) }] =
        out[..]
    else {
        panic!("{out:?}")
    };
    bench.feed(Event::Stored { ticket: ticket + 1, kept: Kept::Synced });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
    bench.feed(Event::Stored { ticket, kept: Kept::Synced });
    let mut syncs = 0;
    while bench.sent().is_some() {
        bench.answer(200, TAKEN);
        let is_sync = |effect: &&Effect| matches!(effect, Effect::Journal { ticket: Some(_), .. });
        syncs += bench.out.iter().filter(is_sync).count();
    }
    assert_eq!((syncs, bench.outbox.is_empty()), (0, true));
}

#[test]
fn a_disk_that_fails_keeps_no_event_from_the_backend() {
    let mut bench = Bench::paired();
    bench.emit("a");
    let deadline = bench.outbox.next_deadline().unwrap();
    bench.now = deadline.at;
    let mut out = Vec::new();
    bench.outbox.handle(bench.now, Event::Tick, &mut out);
    bench.feed(Event::Stored { ticket: 1, kept: Kept::Marked });
    assert_eq!(bench.names(), ["\"a\""]);
}

#[test]
fn a_disk_that_keeps_no_word_of_an_event_delays_it() {
    let mut bench = Bench::paired();
    bench.emit("a");
    let deadline = bench.outbox.next_deadline().unwrap();
    bench.now = deadline.at;
    let mut out = Vec::new();
    bench.outbox.handle(bench.now, Event::Tick, &mut out);
    bench.feed(Event::Stored { ticket: 1, kept: Kept::Not });
    assert!(bench.sent().is_none());
    bench.wait();
    assert_eq!(bench.names(), ["\"a\""]);
}

#[test]
fn dropped_events_stay_named_after_a_restart() {
    let mut bench = Bench::new(5);
    for number in 1..=9 {
        bench.emit(&number.to_string());
    }
    bench.restart("");
    bench.emit("10");
    let mut taken = Vec::new();
    drain(&mut bench, &mut taken);
    assert_eq!(seqs(&taken), [6, 7, 8, 9, 10]);
    let told = json!({"from_seq": 1, "to_seq": 6, "count": 6, "reason": "queue_full"});
    assert_eq!(taken[0]["data"], told);
}

#[test]
fn a_torn_tail_and_a_power_cut_are_told_and_their_numbers_never_given_again() {
    for (cut, boot, reason) in [(3, "first", "journal_torn"), (0, "second", "power_loss")] {
        let mut bench = Bench::paired();
        journal::encode(&journal::Entry::Started { boot: "first".to_string() }, &mut bench.journal);
        bench.emit("a");
        bench.emit("b");
        bench.journal.truncate(bench.journal.len() - cut);
        let found = recover(&bench.journal, bench.now, || "x".into());
        let (settings, random) = (Settings::default(), Random::new(1));
        let (_, altered) = Outbox::restored(bench.now, &found, boot, true, &settings, random);
        assert!(altered, "the gap is to be entered in the journal");
        bench.restart(boot);
        bench.emit("c");
        let mut taken = Vec::new();
        drain(&mut bench, &mut taken);
        let gap = taken.iter().find(|event| event["type"] == "satellite.events.gap").unwrap();
        assert_eq!(gap["data"]["reason"], reason);
        let (from, to) = (gap["data"]["from_seq"].as_u64(), gap["data"]["to_seq"].as_u64());
        assert_eq!(from, Some(if cut > 0 { 2 } else { 3 }));
        assert!(to >= Some(START.0), "beyond all that can have been given");
        assert_eq!(taken.last().unwrap()["seq"].as_u64(), to.map(|to| to + 1));
    }
}

#[test]
fn a_journal_that_was_lost_is_followed_by_numbers_nobody_has_had() {
    let found = recover(b"", START, || "x".into());
    let settings = Settings::default();
    let (outbox, altered) = Outbox::restored(START, &found, "", true, &settings, Random::new(1));
    assert_eq!((outbox.next_seq(), altered), (START.0, true));
}

#[test]
fn a_clock_that_was_set_back_does_not_set_numbers_back() {
    let mut bench = Bench::paired();
    bench.restart("");
    bench.emit("a");
    let next = bench.outbox.next_seq();
    bench.now = Timestamp(START.0 - crate::time::DAY);
    bench.restart("");
    assert_eq!(bench.outbox.next_seq(), next);
    assert_eq!(bench.wait(), 3_000, "waits are as long as ever");
}

#[test]
fn without_a_pairing_what_waited_was_for_somebody_else() {
    let mut bench = Bench::paired();
    for name in ["a", "b", "c"] {
        bench.emit(name);
    }
    let found = recover(&bench.journal, bench.now, || "x".into());
    let settings = Settings::default();
    let (outbox, altered) =
        Outbox::restored(bench.now, &found, "", false, &settings, Random::new(1));
    assert!(altered);
    let entries = outbox.remembered();
    let [_, journal::Entry::Gap(gap)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((gap.from_seq, gap.to_seq, gap.count), (1, 3, 3));
    assert_eq!(gap.reason, GapReason::Unpaired);
}

#[test]
fn a_gap_of_a_pairing_that_ended_takes_no_number_that_was_sent() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.emit("b");
    bench.wait();
    assert!(bench.sent().is_some());
    let untold = |journal: &[u8], boot| {
        let found = recover(journal, START, || "x".into());
        let settings = Settings::default();
        let (outbox, _) = Outbox::restored(START, &found, boot, false, &settings, Random::new(1));
        let entries = outbox.remembered();
        let [_, journal::Entry::Gap(gap)] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((gap.from_seq, gap.reason), (1, GapReason::Unpaired));
        assert_eq!(outbox.next_seq(), gap.to_seq + 1);
        (gap.to_seq, gap.count)
    };
    assert_eq!(untold(&bench.journal, ""), (3, 2));
    journal::encode(&journal::Entry::Started { boot: "first".to_string() }, &mut bench.journal);
    let (to_seq, _) = untold(&bench.journal, "second");
    assert!(to_seq >= START.0, "one gap names what a power cut took as well");
}

#[test]
fn a_backlog_of_twenty_thousand_events_drains_while_others_arrive() {
    let mut bench = Bench::new(30_000);
    for number in 0..20_000 {
        bench.emit(&number.to_string());
    }
    bench.restart("");
    assert_eq!(bench.outbox.view().waiting, 20_000);
    let mut taken = Vec::new();
    let mut requests = 0;
    while !bench.outbox.is_empty() {
        let Some((request, events)) = bench.sent() else {
            bench.wait();
            continue;
        };
        taken.extend(events);
        requests += 1;
        // Five servers log while the batch is on its way.
        if requests <= 1_000 {
            for server in 0..5 {
                bench.emit(&alloc::format!("log {requests} of {server}"));
            }
        }
        let answer = HttpAnswer { status: 200, body: TAKEN.into(), ..HttpAnswer::default() };
        bench.feed(Event::Answered { request, answer: Ok(answer) });
    }
    assert_eq!(taken.len(), 25_000);
    assert_eq!(seqs(&taken), (1..=25_000).collect::<Vec<_>>());
    assert_eq!(bench.outbox.view().dropped, 0);
    let found = recover(&bench.journal, bench.now, || "x".into());
    assert_eq!((found.events.len(), found.condition), (0, Condition::default()));
}
