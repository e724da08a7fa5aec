//! What is kept of commands and for how long, in memory and in the journal.

use alloc::boxed::Box;

use super::super::acknowledgements::Acknowledgements;
use super::super::results::Results;
use super::*;
use crate::journal::Entry;
use crate::limits::{
    COMMAND_RESULT_MAX_BYTES, COMMAND_RESULTS_MAX_BYTES, COMMANDS_REMEMBERED_MAX,
    COMMANDS_WAITING_MAX,
};

/// A result of so many bytes.
fn body(bytes: usize) -> Box<RawValue> {
    RawValue::from_string(alloc::format!("\"{}\"", "x".repeat(bytes - 2))).expect("a JSON text")
}

fn id(number: usize) -> CommandId {
    CommandId::from(alloc::format!("c{number}").as_str())
}

#[test]
fn results_are_forgotten_the_oldest_first_once_they_are_too_many_or_too_long() {
    const MOST: usize = COMMAND_RESULTS_MAX_BYTES;
    // The lengths in bytes, and how many of the first are gone afterwards.
    for (lengths, gone) in [
        (&[MOST / 2, MOST / 2][..], 0),
        (&[MOST / 2, MOST / 2, 2], 1),
        (&[MOST / 2, MOST / 2, MOST / 2], 1),
        (&[2, MOST / 2, MOST / 2 - 1, 2, MOST / 2 - 1], 2),
        (&[MOST / 4, MOST / 4, MOST / 4, MOST], 3),
        // The last one is kept whatever its length.
        (&[MOST + 1], 0),
        (&[MOST, MOST + 1], 1),
    ] {
        let mut results = Results::default();
        let mut lost = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            lost.extend(results.keep(&id(number), body(*length)));
        }
        for number in 0..lengths.len() {
            let is_kept = results.known(&id(number)) != Known::New;
            assert_eq!(is_kept, number >= gone, "number {number} of {lengths:?}");
        }
        assert_eq!(lost.last(), gone.checked_sub(1).map(id).as_ref(), "{lengths:?}");
    }
    let mut results = Results::default();
    for number in 0..COMMANDS_REMEMBERED_MAX {
        assert_eq!(results.keep(&id(number), body(2)), None);
    }
    assert_eq!(results.keep(&id(COMMANDS_REMEMBERED_MAX), body(2)), Some(id(0)));
}

#[test]
fn a_result_that_the_backend_has_is_forgotten_without_a_word() {
    let mut results = Results::default();
    for number in 0..2 {
        results.keep(&id(number), body(COMMAND_RESULTS_MAX_BYTES / 2));
        results.confirm(&id(number));
    }
    assert_eq!(results.keep(&id(2), body(2)), None);
    assert_eq!(results.known(&id(0)), Known::New);
}

#[test]
fn a_result_that_was_forgotten_before_it_could_be_sent_is_passed_over() {
    let mut results = Results::default();
    for number in 0..3 {
        results.keep(&id(number), body(COMMAND_RESULTS_MAX_BYTES / 2));
        results.release(&id(number));
    }
    assert!(results.next(START).is_some());
    assert_eq!(results.settled(), Some(id(1)), "number 0 is gone");
}

#[test]
fn a_result_of_exactly_the_longest_length_is_sent_whole() {
    let sent = |length: usize| {
        let mut bench = Bench::of_team(None);
        bench.receive(vec![command("a", Priority::High)]);
        let outcome = Outcome::completed(START, START, json!({"big": "x".repeat(length)}));
        bench.feed(Event::Completed { id: CommandId::from("a"), outcome });
        bench.sent().expect("a result is sent").1
    };
    let envelope = sent(0).to_string().len();
    let longest = COMMAND_RESULT_MAX_BYTES - envelope;
    assert_eq!(sent(longest)["result"]["big"].as_str().map(str::len), Some(longest));
    assert!(sent(longest + 1)["result"]["omitted"].is_string());
}

#[test]
fn what_brought_nothing_says_nothing_of_a_result() {
    for (brought, told) in [
        (Value::Null, None),
        (json!({}), None),
        (json!({"a": 1}), Some(json!({"a": 1}))),
        (json!(7), Some(json!({"value": 7}))),
    ] {
        let mut bench = Bench::of_team(None);
        bench.receive(vec![command("a", Priority::High)]);
        let outcome = Outcome::completed(START, START, brought);
        bench.feed(Event::Completed { id: CommandId::from("a"), outcome });
        assert_eq!(bench.sent().expect("a result is sent").1.get("result"), told.as_ref());
    }
}

#[test]
fn acknowledgements_wait_in_line_up_to_the_limit_and_each_command_once() {
    let mut line = Acknowledgements::default();
    let numbered = |number: usize| command(&alloc::format!("c{number}"), Priority::High);
    for number in 0..COMMANDS_WAITING_MAX {
        line.put(&numbered(number));
    }
    line.put(&numbered(COMMANDS_WAITING_MAX));
    line.put(&Command { attempt: Some(2), ..numbered(0) });
    let mut sent = Vec::new();
    while let Some((number, body)) = line.next() {
        assert!(line.next().is_none(), "one at a time");
        assert!(line.answered(number));
        sent.push(serde_json::from_slice::<Value>(&body).expect("JSON"));
    }
    assert_eq!(sent.len(), COMMANDS_WAITING_MAX);
    assert_eq!(sent[0]["command_id"], "c1");
    let last = &sent[sent.len() - 1];
    assert_eq!((&last["command_id"], &last["attempt"]), (&json!("c0"), &json!(2)));
}

#[test]
fn commands_begin_after_a_restart_in_the_order_of_their_arrival() {
    let mut bench = Bench::of_team(None);
    let restored = |id: &str| StoredCommand {
        id: id.into(),
        received: Some((command(id, Priority::Normal), START)),
        begun: None,
        result: None,
        is_reported: false,
    };
    let commands = ["first", "second", "third"].map(restored).into();
    bench.feed(Event::Restored { commands, is_doubtful: false, is_paired: true });
    bench.receive(vec![command("fourth", Priority::Normal)]);
    let mut order = Vec::new();
    while let Some(id) = bench.commands.executing().map(ToString::to_string) {
        bench.complete(&id);
        order.push(id);
    }
    assert_eq!(order, ["first", "second", "third", "fourth"]);
}

#[test]
fn a_journal_that_is_rewritten_holds_what_is_being_stored_and_what_was_reported() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("told", Priority::High)]);
    bench.complete("told");
    bench.answer(200, CONFIRMED);
    // The disk has not said yet that it holds this one.
    let mut out = Vec::new();
    bench.commands.handle(START, Event::Received(vec![command("new", Priority::High)]), &mut out);
    let entries = bench.commands.remembered();
    let holds = |wanted: fn(&Entry) -> bool| entries.iter().any(wanted);
    assert!(holds(|entry| matches!(entry, Entry::Reported { id } if id.as_str() == "told")));
    assert!(holds(
        |entry| matches!(entry, Entry::Received { command, .. } if command.id.as_str() == "new")
    ));
}
