//! Commands from one daemon to the next.

use super::*;
use crate::journal::{Entry, recover};

impl Bench {
    /// Kills the daemon and starts another one over the same journal.
    fn restart(&mut self) -> &[Effect] {
        let restored = self.replaced(true);
        self.feed(Event::Paired(credentials(None)));
        self.feed(restored)
    }

    /// The same without its pairing, which it gets anew.
    fn restart_unpaired(&mut self) {
        let restored = self.replaced(false);
        self.feed(restored);
        assert!(self.out.iter().all(|effect| !matches!(effect, Effect::Send { .. })));
        self.feed(Event::Paired(credentials(None)));
    }

    fn replaced(&mut self, is_paired: bool) -> Event {
        let found = recover(&self.journal, self.now, || "x".into());
        self.commands = Commands::new(Random::new(self.now.0));
        let is_doubtful = found.condition.damaged_lines > 0;
        Event::Restored { commands: found.commands, is_doubtful, is_paired }
    }

    fn acknowledged(&self) -> Vec<Value> {
        let bodies = self.out.iter().filter_map(|effect| match effect {
            Effect::Send { request, http } if request.channel == Channel::Acknowledgement => {
                serde_json::from_slice(http.body.as_ref()?).ok()
            }
            _ => None,
        });
        bodies.collect()
    }
}

fn kill(id: &str) -> Command {
    Command { command_type: CommandType::Kill, ..command(id, Priority::High) }
}

#[test]
fn a_command_is_acknowledged_and_begun_once_it_is_stored_and_not_before() {
    let mut bench = Bench::of_team(None);
    bench.feed(Event::LeaseGranted(true));
    let mut out = Vec::new();
    bench.commands.handle(START, Event::Received(vec![kill("a")]), &mut out);
    let [Effect::Journal { entry: Entry::Received { .. }, ticket: Some(ticket) }] = out[..] else {
        panic!("{out:?}")
    };
    bench.feed(Event::Stored { ticket, outcome: Ok(()) });
    assert_eq!(
        bench.acknowledged(),
        [json!({
            "command_id": "a", "status": "acknowledged", "attempt": 1, "correlation_id": "corr_7",
        })]
    );
    let begins = bench.out.iter().position(|effect| {
        matches!(effect, Effect::Journal { entry: Entry::Begun { .. }, ticket: Some(_) })
    });
    let executes = bench.out.iter().position(|effect| matches!(effect, Effect::Execute(_)));
    assert!(begins.unwrap() < executes.unwrap());
}

#[test]
fn a_backend_that_did_not_grant_leases_hears_of_results_only() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("a")]);
    assert!(bench.acknowledged().is_empty());
    bench.receive(vec![kill("a")]);
    assert!(bench.acknowledged().is_empty());
    assert_eq!(bench.complete("a").iter().filter(|e| matches!(e, Effect::Send { .. })).count(), 1);
}

#[test]
fn a_command_delivered_again_is_acknowledged_again_and_runs_once() {
    let mut bench = Bench::of_team(None);
    bench.feed(Event::LeaseGranted(true));
    bench.receive(vec![kill("a")]);
    let request = RequestKey { channel: Channel::Acknowledgement, number: 1 };
    bench.feed(Event::Answered { request, answer: Err(HttpFailure::TimedOut) });
    bench.receive(vec![Command { attempt: Some(2), ..kill("a") }]);
    assert_eq!(bench.executed(), None);
    assert_eq!(bench.acknowledged()[0]["attempt"], 2);
}

#[test]
fn a_command_that_cannot_be_stored_is_neither_acknowledged_nor_begun_until_it_comes_again() {
    let mut bench = Bench::of_team(None);
    bench.feed(Event::LeaseGranted(true));
    bench.is_full = true;
    bench.receive(vec![kill("a")]);
    assert_eq!((bench.executed(), bench.acknowledged().len()), (None, 0));
    assert!(
        bench
            .out
            .iter()
            .any(|effect| matches!(effect, Effect::Log(line) if line.level == Level::Error))
    );
    bench.is_full = false;
    bench.receive(vec![kill("a")]);
    assert_eq!((bench.executed(), bench.acknowledged().len()), (Some("a"), 1));
}

#[test]
fn a_beginning_that_cannot_be_stored_waits_and_a_result_that_cannot_is_sent_all_the_same() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("a"), kill("b")]);
    bench.is_full = true;
    bench.complete("a");
    assert_eq!(bench.sent().unwrap().1["command_id"], "a");
    assert_eq!(bench.executed(), None, "b is stored, its beginning is not");
    assert_eq!(bench.wait(), JOURNAL_RETRY_MS);
    assert_eq!(bench.executed(), None);
    bench.is_full = false;
    bench.wait();
    assert_eq!(bench.executed(), Some("b"));
}

#[test]
fn a_new_daemon_does_what_was_not_begun_and_doubts_what_was() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("begun"), kill("waits")]);
    bench.restart();
    let (_, result) = bench.sent().unwrap();
    assert_eq!((&result["command_id"], &result["status"]), (&json!("begun"), &json!("failed")));
    assert!(result["error"].as_str().unwrap().starts_with("interrupted: "), "{result}");
    assert_eq!(bench.executed(), Some("waits"));

    let mut bench = Bench::of_team(None);
    let repeatable = Command { expires_in: Some(5), ..command("again", Priority::High) };
    bench.receive(vec![repeatable]);
    bench.now = START.after(60_000);
    bench.restart();
    assert_eq!(bench.executed(), Some("again"), "it was begun in time");
}

#[test]
fn in_a_damaged_journal_what_seems_not_to_have_begun_may_have() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("begun"), kill("waits")]);
    let at = bench.journal.windows(5).position(|bytes| bytes == b"begun").unwrap();
    let at = at + bench.journal[at..].windows(7).position(|bytes| bytes == b"\"begun\"").unwrap();
    bench.journal[at] ^= 1;
    journal::encode(&Entry::Reported { id: "other".into() }, &mut bench.journal);
    bench.restart();
    assert_eq!(bench.executed(), None);
    assert_eq!(bench.commands.unconfirmed(), 2);
}

#[test]
fn a_result_outlives_the_daemon_until_it_is_confirmed_and_is_remembered_then() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("a")]);
    bench.complete("a");
    let first = bench.sent().unwrap().1;
    bench.restart();
    assert_eq!((bench.executed(), &bench.sent().unwrap().1), (None, &first));
    bench.answer(200, CONFIRMED);
    bench.restart();
    assert!(bench.commands.is_idle() && bench.sent().is_none());
    bench.receive(vec![kill("a")]);
    assert_eq!((bench.executed(), &bench.sent().unwrap().1), (None, &first));
}

#[test]
fn of_a_pairing_that_ended_no_command_takes_effect_again_and_none_is_told_of_unasked() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("done"), kill("begun"), kill("waits")]);
    bench.complete("done");
    let done = bench.sent().unwrap().1;
    bench.restart_unpaired();
    bench.sync();
    assert!(bench.commands.is_idle() && bench.sent().is_none(), "nobody has asked");
    // The rewritten journal of that daemon is all that the next one has.
    bench.journal.clear();
    for entry in bench.commands.remembered() {
        journal::encode(&entry, &mut bench.journal);
    }
    bench.restart();
    bench.receive(vec![kill("done"), kill("begun"), kill("waits")]);
    assert_eq!(bench.sent().unwrap().1, done);
    assert_eq!(bench.executed(), Some("waits"), "that one never began");
    bench.answer(200, CONFIRMED);
    let interrupted = bench.sent().unwrap().1;
    assert_eq!(interrupted["command_id"], "begun");
    assert!(interrupted["error"].as_str().unwrap().starts_with("interrupted: "), "{interrupted}");
}

#[test]
fn the_rewritten_journal_says_what_the_grown_one_says() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![kill("done"), kill("begun"), kill("waits"), command("low", Priority::Low)]);
    bench.complete("done");
    let mut rewritten = Vec::new();
    for entry in bench.commands.remembered() {
        journal::encode(&entry, &mut rewritten);
    }
    let form = |bytes: &[u8]| {
        let mut commands = recover(bytes, START, || "x".into()).commands;
        commands.sort_by(|left, right| left.id.cmp(&right.id));
        // Of what has ended, only the result matters.
        for ended in commands.iter_mut().filter(|command| command.result.is_some()) {
            (ended.received, ended.begun) = (None, None);
        }
        alloc::format!("{commands:?}")
    };
    assert_eq!(form(&rewritten), form(&bench.journal));
}

#[test]
fn secrets_of_a_payload_reach_neither_the_journal_nor_the_memory() {
    let mut bench = Bench::of_team(None);
    let payload = json!({"installation_id": "i", "env": {"KEY": "s3cr3t"}, "headers": ["s3cr3t"]});
    let payload = payload.as_object().unwrap().clone();
    bench.receive(vec![Command { payload, ..kill("a") }]);
    let journal = String::from_utf8(bench.journal.clone()).unwrap();
    assert!(journal.contains("installation_id") && !journal.contains("s3cr3t"), "{journal}");
    assert!(!alloc::format!("{:?}", bench.commands).contains("s3cr3t"));
}

#[test]
fn a_payload_that_cannot_be_read_is_refused_at_once() {
    let mut bench = Bench::of_team(None);
    let payload = Map::from_iter([("installation_id".to_string(), json!(["i"]))]);
    bench.receive(vec![Command { payload, ..kill("a") }]);
    assert_eq!(bench.executed(), None);
    let (_, result) = bench.sent().unwrap();
    assert!(result["error"].as_str().unwrap().contains("not readable"), "{result}");
}

proptest! {
    /// Kills between any two events: no command that must not be repeated runs twice, and each
    /// that was delivered until it was confirmed has a result.
    #[test]
    fn each_command_has_one_effect_and_one_result_wherever_the_daemon_ends(
        steps in proptest::collection::vec((0u8..6, 0usize..4), 1..80),
    ) {
        let mut bench = Bench::of_team(None);
        let mut runs: BTreeMap<String, u32> = BTreeMap::new();
        let mut confirmed: BTreeMap<String, Value> = BTreeMap::new();
        let mut in_flight: Option<(RequestKey, Value)> = None;
        let calm = (0..200usize).map(|round| (if round % 2 == 0 { 1 } else { 2 }, 0));
        for (step, which) in steps.into_iter().chain(calm) {
            match step {
                0 => { bench.receive(vec![kill(["a", "b", "c", "d"][which])]); }
                1 => match bench.commands.executing().map(ToString::to_string) {
                    Some(id) => { bench.complete(&id); }
                    None => { bench.feed(Event::Tick); }
                },
                2 | 3 => {
                    let Some((request, result)) = in_flight.take() else { continue };
                    let id = result["command_id"].as_str().unwrap().to_string();
                    let known = confirmed.entry(id).or_insert_with(|| result.clone());
                    prop_assert_eq!(&*known, &result);
                    let answer = match step {
                        2 => Ok(HttpAnswer { status: 200, ..HttpAnswer::default() }),
                        _ => Err(HttpFailure::TimedOut),
                    };
                    bench.feed(Event::Answered { request, answer });
                }
                4 => {
                    in_flight = None;
                    bench.restart();
                }
                _ => {
                    bench.now = bench.now.after(1_000);
                    bench.feed(Event::Tick);
                }
            }
            loop {
                if let Some(id) = bench.executed() {
                    *runs.entry(id.to_string()).or_default() += 1;
                }
                if let Some(sent) = bench.sent() {
                    prop_assert!(in_flight.is_none(), "two results in flight");
                    in_flight = Some(sent);
                }
                if in_flight.is_some() || bench.commands.results.due().is_none() {
                    break;
                }
                bench.now = bench.now.after(300_000);
                bench.feed(Event::Tick);
            }
        }
        prop_assert!(runs.values().all(|count| *count == 1), "{runs:?}");
        prop_assert!(bench.commands.is_idle());
        for id in runs.keys() {
            prop_assert!(confirmed.contains_key(id), "{id} has no result");
        }
    }
}
