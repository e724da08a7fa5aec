mod crashes;
mod memory;
mod model;
mod properties;
mod sending;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::{SatelliteId, TeamId};
use crate::journal;
use crate::secret::Secret;
use crate::wire::command::CommandType;

const START: Timestamp = Timestamp(1_769_850_900_000);
const CONFIRMED: &str = r#"{"success":true,"message":"stored"}"#;

/// A command queue, the time, and what came of the last event.
struct Bench {
    commands: Commands,
    now: Timestamp,
    out: Vec<Effect>,
    verdict: Verdict,
    journal: Vec<u8>,
    is_full: bool,
}

impl Bench {
    fn of_team(team: Option<&str>) -> Self {
        let mut bench = Bench {
            commands: Commands::new(Random::new(5)),
            now: START,
            out: Vec::new(),
            verdict: Verdict::Handled,
            journal: Vec::new(),
            is_full: false,
        };
        bench.feed(Event::Paired(credentials(team)));
        bench
    }

    fn feed(&mut self, event: Event) -> &[Effect] {
        self.out.clear();
        self.verdict = self.commands.handle(self.now, event, &mut self.out);
        self.sync();
        &self.out
    }

    /// Has the disk do what it is asked for, unless it is full.
    fn sync(&mut self) {
        let mut done = 0;
        while let Some(effect) = self.out.get(done).cloned() {
            done += 1;
            let Effect::Journal { entry, ticket } = effect else { continue };
            let outcome = if self.is_full {
                Err("disk full".to_string())
            } else {
                journal::encode(&entry, &mut self.journal);
                Ok(())
            };
            if let Some(ticket) = ticket {
                let stored = Event::Stored { ticket, outcome };
                self.commands.handle(self.now, stored, &mut self.out);
            }
        }
    }

    fn receive(&mut self, commands: Vec<Command>) -> &[Effect] {
        self.feed(Event::Received(commands))
    }

    fn complete(&mut self, id: &str) -> &[Effect] {
        let outcome = Outcome::completed(START, self.now, json!({"done": id}));
        self.feed(Event::Completed { id: CommandId::from(id), outcome })
    }

    fn executed(&self) -> Option<&str> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Execute(command) => Some(command.id.as_str()),
            _ => None,
        })
    }

    fn sent(&self) -> Option<(RequestKey, Value)> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Send { request, http } if request.channel == Channel::Result => {
                assert_eq!(http.path, "/api/satellites/sat_1/command-result");
                Some((*request, serde_json::from_slice(http.body.as_ref()?).ok()?))
            }
            _ => None,
        })
    }

    fn answer(&mut self, status: u16, body: &str) -> &[Effect] {
        let (request, _) = self.sent().expect("a result was sent");
        let answer = HttpAnswer { status, body: body.as_bytes().to_vec(), ..HttpAnswer::default() };
        self.feed(Event::Answered { request, answer: Ok(answer) })
    }

    fn wait(&mut self) -> u64 {
        let deadline = self.commands.next_deadline().expect("the queue waits for a time");
        let waited = deadline.at.since(self.now);
        self.now = deadline.at;
        self.feed(Event::Tick);
        waited
    }
}

fn credentials(team: Option<&str>) -> Credentials {
    Credentials {
        api_key: Secret::new("key"),
        satellite_id: SatelliteId::from("sat_1"),
        satellite_name: "edge-satellite-01".to_string(),
        team_id: team.map(TeamId::from),
        backend_url: None,
        registered_at: IsoTime(START),
        last_verified: IsoTime(START),
    }
}

fn command(id: &str, priority: Priority) -> Command {
    Command {
        id: CommandId::from(id),
        command_type: CommandType::Configure,
        priority,
        payload: Map::new(),
        correlation_id: Some("corr_7".to_string()),
        attempt: Some(1),
        expires_in: None,
        lease_seconds: None,
    }
}

fn about_team(id: &str, team: &str) -> Command {
    let payload = Map::from_iter([("team_id".to_string(), Value::from(team))]);
    Command { payload, ..command(id, Priority::Normal) }
}

#[test]
fn admission_is_this_table() {
    let own = TeamId::from("t1");
    let unknown =
        Command { command_type: CommandType::Unknown("dance".into()), ..about_team("c", "t1") };
    let expired = Command { expires_in: Some(0), ..command("c", Priority::Normal) };
    let plain = command("c", Priority::Normal);
    let show = |command: &Command, known, team: Option<&TeamId>| match admit(command, known, team) {
        Admission::Execute => "execute",
        Admission::Ignore(_) => "ignore",
        Admission::Repeat => "repeat",
        Admission::Refuse { refusal, .. } => refusal.as_str(),
    };
    for (command, known, team, expected) in [
        (&plain, Known::New, None, "execute"),
        (&plain, Known::New, Some(&own), "execute"),
        (&plain, Known::Pending, None, "ignore"),
        (&plain, Known::Reporting, None, "ignore"),
        (&plain, Known::Reported, None, "repeat"),
        (&unknown, Known::New, None, "unknown"),
        (&unknown, Known::Reported, None, "repeat"),
        (&expired, Known::New, None, "stale"),
        (&about_team("c", "t1"), Known::New, Some(&own), "execute"),
        (&about_team("c", "t2"), Known::New, Some(&own), "foreign tenant"),
        (&about_team("c", "t2"), Known::New, None, "execute"),
    ] {
        assert_eq!(show(command, known, team), expected, "{command:?} {known:?} {team:?}");
    }
}

#[test]
fn commands_run_one_at_a_time_the_most_urgent_first() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![
        command("low", Priority::Low),
        command("normal_1", Priority::Normal),
        command("now", Priority::Immediate),
        command("normal_2", Priority::Normal),
    ]);
    let mut order = Vec::new();
    while let Some(id) = bench.executed().map(ToString::to_string) {
        if order.is_empty() {
            bench.receive(vec![command("high", Priority::High)]);
            assert_eq!(bench.executed(), None, "one at a time");
        }
        bench.complete(&id);
        order.push(id);
    }
    assert_eq!(order, ["now", "high", "normal_1", "normal_2", "low"]);
}

#[test]
fn a_result_carries_what_both_sides_have_ever_read() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("a", Priority::High)]);
    bench.now = START.after(120);
    let outcome =
        Outcome::failed(START, "no such server").with_result(bench.now, json!({"tried": 1}));
    bench.feed(Event::Completed { id: CommandId::from("a"), outcome });
    assert_eq!(
        bench.sent().unwrap().1,
        json!({
            "command_id": "a", "status": "failed", "result": {"tried": 1},
            "error": "no such server", "error_message": "no such server",
            "correlation_id": "corr_7", "attempt": 1,
            "started_at": START.to_iso(), "duration_ms": 120,
        })
    );
}

#[test]
fn a_command_delivered_again_runs_once_and_its_result_goes_out_again() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("a", Priority::High), command("a", Priority::High)]);
    assert_eq!(bench.executed(), Some("a"));
    bench.receive(vec![command("a", Priority::Immediate)]);
    assert!(matches!(bench.verdict, Verdict::Ignored(_)));
    bench.complete("a");
    assert_eq!(bench.executed(), None);
    let first = bench.sent().unwrap().1;
    bench.answer(200, CONFIRMED);
    assert!(bench.commands.is_idle());
    bench.receive(vec![command("a", Priority::High)]);
    assert_eq!(bench.executed(), None);
    assert_eq!(bench.sent().unwrap().1, first);
}

#[test]
fn a_result_is_sent_until_it_is_confirmed() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("a", Priority::High), command("b", Priority::High)]);
    bench.complete("a");
    for status in [500, 503, 401, 403, 429, 502] {
        bench.answer(status, "");
        assert_eq!(bench.commands.unconfirmed(), 1);
        let waited = bench.wait();
        assert!((2_000..=300_000).contains(&waited), "{status}: {waited}");
        assert_eq!(bench.sent().unwrap().1["command_id"], "a");
    }
    bench.complete("b");
    assert!(bench.sent().is_none(), "one in flight");
    let request = RequestKey { channel: Channel::Result, number: 7 };
    let answer = HttpAnswer { status: 200, body: CONFIRMED.into(), ..HttpAnswer::default() };
    bench.feed(Event::Answered { request, answer: Ok(answer) });
    assert_eq!(bench.sent().unwrap().1["command_id"], "b");
}

#[test]
fn a_result_the_backend_will_never_take_is_given_up() {
    for status in [400, 404, 413, 422] {
        let mut bench = Bench::of_team(None);
        bench.receive(vec![command("a", Priority::High)]);
        bench.complete("a");
        bench.answer(status, r#"{"error":"Command not found"}"#);
        assert!(bench.commands.is_idle(), "{status}");
        let is_warning =
            |effect: &Effect| matches!(effect, Effect::Log(line) if line.level == Level::Warn);
        assert!(bench.out.iter().any(is_warning));
    }
}

#[test]
fn what_may_not_run_is_answered_by_a_failure_that_says_why() {
    let mut bench = Bench::of_team(Some("t1"));
    for (command, verdict, why) in [
        (about_team("a", "t2"), Refusal::ForeignTenant, "team t2"),
        (
            Command {
                command_type: CommandType::Unknown("dance".into()),
                ..command("b", Priority::Low)
            },
            Refusal::Unknown,
            "\"dance\"",
        ),
        (
            Command { expires_in: Some(0), ..command("c", Priority::Immediate) },
            Refusal::Stale,
            "expired",
        ),
    ] {
        bench.receive(vec![command]);
        assert_eq!(bench.executed(), None);
        assert_eq!(bench.verdict, Verdict::Refused(verdict));
        let (_, result) = bench.sent().unwrap();
        assert_eq!(result["status"], "failed");
        assert!(result["error"].as_str().unwrap().contains(why), "{result}");
        assert_eq!(result["error"], result["error_message"]);
        bench.answer(200, CONFIRMED);
    }
}

#[test]
fn a_command_expires_while_it_waits_and_not_once_it_runs() {
    let mut bench = Bench::of_team(None);
    let expiring = |id| Command { expires_in: Some(60), ..command(id, Priority::Normal) };
    bench.receive(vec![expiring("runs"), expiring("waits")]);
    bench.now = START.after(60_000);
    bench.complete("runs");
    let (_, result) = bench.sent().unwrap();
    assert_eq!((&result["command_id"], &result["status"]), (&json!("runs"), &json!("completed")));
    assert_eq!(bench.executed(), None);
    bench.answer(200, CONFIRMED);
    let (_, result) = bench.sent().unwrap();
    assert_eq!(result["command_id"], "waits");
    assert!(result["error"].as_str().unwrap().contains("60 s"), "{result}");
}

#[test]
fn what_cannot_be_read_is_answered_as_far_as_it_has_a_name() {
    let mut bench = Bench::of_team(None);
    bench.feed(Event::ReceivedUnreadable(vec![
        Unreadable { id: None, reason: "nothing".to_string() },
        Unreadable { id: Some(CommandId::from("b")), reason: "`command_type`".to_string() },
    ]));
    let (_, result) = bench.sent().unwrap();
    assert_eq!(result["command_id"], "b");
    assert!(result["error"].as_str().unwrap().contains("`command_type`"), "{result}");
}

#[test]
fn a_command_that_never_ends_does_not_keep_the_others_waiting_for_ever() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("stuck", Priority::High), command("next", Priority::High)]);
    bench.wait();
    assert_eq!(bench.now, START.after(600_000));
    assert_eq!(bench.sent().unwrap().1["status"], "failed");
    assert_eq!(bench.executed(), Some("next"));
    bench.complete("stuck");
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
}

#[test]
fn a_draining_satellite_begins_nothing_and_still_reports() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("a", Priority::High), command("b", Priority::High)]);
    bench.feed(Event::DrainRequested);
    bench.receive(vec![command("c", Priority::High)]);
    assert_eq!(bench.verdict, Verdict::Refused(Refusal::Draining));
    bench.complete("a");
    assert_eq!(bench.executed(), None);
    assert!(!bench.commands.is_idle());
    bench.answer(200, CONFIRMED);
    assert!(bench.commands.is_idle());
}

#[test]
fn a_result_that_is_too_long_is_replaced_by_a_note() {
    let mut bench = Bench::of_team(None);
    bench.receive(vec![command("a", Priority::High)]);
    let outcome = Outcome::completed(START, START, json!({"big": "x".repeat(300_000)}));
    bench.feed(Event::Completed { id: CommandId::from("a"), outcome });
    let (_, result) = bench.sent().unwrap();
    assert_eq!(result["status"], "completed");
    assert!(result["result"]["omitted"].as_str().unwrap().contains("262144 allowed"), "{result}");
}

#[test]
fn the_memory_of_results_and_the_queue_have_an_end() {
    let mut bench = Bench::of_team(None);
    let many = |from: usize, to: usize| -> Vec<Command> {
        (from..to).map(|one| command(&one.to_string(), Priority::Normal)).collect()
    };
    bench.receive(many(0, 1_100));
    assert_eq!(bench.verdict, Verdict::Refused(Refusal::LimitReached));
    assert_eq!(bench.commands.waiting.len(), 999);
    let mut done = 0;
    while let Some(id) = bench.executed().map(ToString::to_string) {
        bench.complete(&id);
        done += 1;
    }
    assert_eq!(done, 1_000);
    bench.receive(many(1_100, 1_101));
    bench.complete("1100");
    let forgotten =
        |effect: &Effect| matches!(effect, Effect::Log(line) if line.msg.contains("dropped"));
    assert!(bench.out.iter().any(forgotten));
    assert_eq!(bench.commands.known(&CommandId::from("0")), Known::New);
    assert_eq!(bench.commands.known(&CommandId::from("1100")), Known::Reporting);
}

proptest! {
    /// Deliveries, losses and repetitions in any order: each command runs at most once at a time
    /// and once in all, and whatever ended is confirmed in the end with one and the same result.
    #[test]
    fn each_command_runs_once_and_has_one_result(
        steps in proptest::collection::vec((0u8..6, 0usize..6), 1..120),
        seed in any::<u64>(),
    ) {
        let mut bench = Bench::of_team(None);
        bench.commands.random = Random::new(seed);
        let mut runs: BTreeMap<String, u32> = BTreeMap::new();
        let mut confirmed: BTreeMap<String, Value> = BTreeMap::new();
        let mut in_flight: Option<(RequestKey, Value)> = None;
        let calm = (0..400usize).map(|round| (if round % 2 == 0 { 1 } else { 2 }, 0));
        for (step, which) in steps.into_iter().chain(calm) {
            match step {
                0 => {
                    let id = ["a", "b", "c", "d", "e", "f"][which];
                    let priority = if which % 2 == 0 { Priority::High } else { Priority::Low };
                    bench.receive(vec![command(id, priority)]);
                }
                1 => match bench.commands.executing().map(ToString::to_string) {
                    Some(id) => { bench.complete(&id); }
                    None => { bench.feed(Event::Tick); }
                },
                2..=4 => {
                    let Some((request, result)) = in_flight.take() else { continue };
                    let arrives = step != 3;
                    if arrives {
                        let id = result["command_id"].as_str().unwrap().to_string();
                        let known = confirmed.entry(id).or_insert_with(|| result.clone());
                        prop_assert_eq!(&*known, &result);
                    }
                    let answer = if step == 2 {
                        Ok(HttpAnswer { status: 200, ..HttpAnswer::default() })
                    } else {
                        Err(HttpFailure::TimedOut)
                    };
                    bench.feed(Event::Answered { request, answer });
                }
                _ => {
                    bench.now = bench.now.after(1_000);
                    bench.feed(Event::Tick);
                }
            }
            let mut note = |bench: &Bench| {
                if let Some(id) = bench.executed() {
                    *runs.entry(id.to_string()).or_default() += 1;
                }
                if let Some(sent) = bench.sent() {
                    assert!(in_flight.is_none(), "two results in flight");
                    in_flight = Some(sent);
                }
            };
            note(&bench);
            // A paused result is due at once, now and then past a command's time-out.
            if bench.sent().is_none() && bench.commands.results.due().is_some() {
                bench.now = bench.now.after(300_000);
                bench.feed(Event::Tick);
                note(&bench);
            }
        }
        prop_assert!(runs.values().all(|count| *count == 1), "{runs:?}");
        prop_assert!(bench.commands.is_idle());
        prop_assert!(confirmed.keys().eq(runs.keys()));
    }
}
