mod crashes;
mod list;
mod model;
mod pace;
mod properties;
mod queue;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::{Effect, Event, Kept, Outbox};
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure};
use crate::id::SatelliteId;
use crate::journal;
use crate::limits::Settings;
use crate::log::Level;
use crate::machine::{Machine, Verdict};
use crate::random::Random;
use crate::request::RequestKey;
use crate::secret::Secret;
use crate::time::{IsoTime, Timestamp};
use crate::wire::event::{EventData, ServerStopped};

const START: Timestamp = Timestamp(1_769_850_900_000);
const TAKEN: &str = r#"{"success":true,"processed":1,"failed":0,"event_ids":["x"]}"#;

/// An outbox, the time, and what came of the last event.
struct Bench {
    outbox: Outbox,
    now: Timestamp,
    out: Vec<Effect>,
    verdict: Verdict,
    capacity: usize,
    journal: Vec<u8>,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        let settings = Settings { event_queue_max: capacity, ..Settings::default() };
        Bench {
            outbox: Outbox::new(&settings, Random::new(3)),
            now: START,
            out: Vec::new(),
            verdict: Verdict::Handled,
            capacity,
            journal: Vec::new(),
        }
    }

    fn paired() -> Self {
        let mut bench = Bench::new(10_000);
        bench.feed(Event::Paired(credentials()));
        bench
    }

    fn feed(&mut self, event: Event) -> &[Effect] {
        self.out.clear();
        self.verdict = self.outbox.handle(self.now, event, &mut self.out);
        self.sync();
        &self.out
    }

    /// Has the disk do what it is asked for.
    fn sync(&mut self) {
        for effect in self.out.clone() {
            if let Effect::Journal { entry, ticket } = effect {
                journal::encode(&entry, &mut self.journal);
                if let Some(ticket) = ticket {
                    let stored = Event::Stored { ticket, kept: Kept::Synced };
                    self.outbox.handle(self.now, stored, &mut self.out);
                }
            }
        }
    }

    /// What the journal tells a new daemon.
    fn restart(&mut self, boot: &str) {
        let found = journal::recover(&self.journal, self.now, || "evt_hole".into());
        let settings = Settings { event_queue_max: self.capacity, ..Settings::default() };
        let random = Random::new(self.now.0);
        let (outbox, altered) = Outbox::restored(self.now, &found, boot, true, &settings, random);
        self.outbox = outbox;
        if altered {
            self.journal.clear();
            for entry in self.outbox.remembered() {
                journal::encode(&entry, &mut self.journal);
            }
        }
        self.feed(Event::Paired(credentials()));
    }

    fn emit(&mut self, name: &str) {
        let at = self.now;
        self.feed(Event::Emitted { data: stopped(name), at });
    }

    /// What the last event sent, if anything: its request, and the events with their numbers.
    fn sent(&self) -> Option<(RequestKey, Vec<Value>)> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Send { request, http } => {
                assert_eq!(http.path, "/api/satellites/sat_1/events");
                let body: Value = serde_json::from_slice(http.body.as_ref()?).ok()?;
                Some((*request, body["events"].as_array()?.clone()))
            }
            Effect::Log(_) | Effect::Journal { .. } => None,
        })
    }

    /// The names of the events that the last event sent.
    fn names(&self) -> Vec<String> {
        let (_, events) = self.sent().expect("a batch was sent");
        events.iter().map(|event| event["data"]["server_name"].to_string()).collect()
    }

    fn answer(&mut self, status: u16, body: &str) -> &[Effect] {
        let answer = HttpAnswer { status, body: body.as_bytes().to_vec(), ..HttpAnswer::default() };
        self.reply(Ok(answer))
    }

    fn reply(&mut self, answer: Result<HttpAnswer, HttpFailure>) -> &[Effect] {
        let (request, _) = self.sent().expect("a batch was sent");
        self.feed(Event::Answered { request, answer })
    }

    fn wait(&mut self) -> u64 {
        let deadline = self.outbox.next_deadline().expect("the outbox waits for a time");
        let waited = deadline.at.since(self.now);
        self.now = deadline.at;
        self.feed(Event::Tick);
        waited
    }
}

fn stopped(name: &str) -> EventData {
    EventData::ServerStopped(ServerStopped {
        server_id: "i1".into(),
        server_name: name.to_string(),
        team_id: "t1".into(),
        user_id: None,
        process_id: None,
        reason: "test".to_string(),
    })
}

fn credentials() -> Credentials {
    Credentials {
        api_key: Secret::new("key"),
        satellite_id: SatelliteId::from("sat_1"),
        satellite_name: "edge-satellite-01".to_string(),
        team_id: None,
        backend_url: None,
        registered_at: IsoTime(START),
        last_verified: IsoTime(START),
    }
}

#[test]
fn the_first_waiting_event_opens_a_window_in_which_others_join_it() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.now = START.after(2_900);
    bench.emit("b");
    bench.wait();
    assert_eq!(bench.now, START.after(3_000));
    let (_, events) = bench.sent().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["type"], "mcp.server.stopped");
    assert_eq!(events[0]["timestamp"], START.to_iso());
    assert_eq!((&events[0]["seq"], &events[1]["seq"]), (&json!(1), &json!(2)));
    assert!(events[0]["id"].as_str().unwrap().starts_with("evt_"));
    assert_ne!(events[0]["id"], events[1]["id"]);
    bench.answer(200, TAKEN);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.outbox.next_deadline(), None);
}

#[test]
fn all_that_waits_goes_out_in_batches_one_after_the_other() {
    let mut bench = Bench::paired();
    for number in 0..45 {
        bench.emit(&number.to_string());
    }
    bench.wait();
    let mut sizes = Vec::new();
    while let Some((_, events)) = bench.sent() {
        sizes.push(events.len());
        assert_eq!(bench.outbox.next_deadline(), None, "one in flight");
        bench.answer(200, TAKEN);
    }
    assert_eq!(sizes, [20, 20, 5]);
}

#[test]
fn before_the_pairing_events_are_kept_and_no_time_is_waited_for() {
    let mut bench = Bench::new(100);
    bench.emit("a");
    assert_eq!(bench.outbox.next_deadline(), None);
    bench.now = START.after(60_000);
    bench.feed(Event::Paired(credentials()));
    assert_eq!(bench.wait(), 0);
    assert_eq!(bench.names(), ["\"a\""]);
}

#[test]
fn an_event_the_backend_cannot_use_is_reported_once_and_never_sent_again() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.emit("b");
    bench.wait();
    bench.answer(
        200,
        r#"{"success":true,"processed":0,"failed":2,"event_ids":[],"failures":[
            {"index":0,"type":"mcp.server.stopped","error":"Unknown event type: mcp.server.stopped"},
            {"index":1,"type":"mcp.server.stopped","error":"no such installation"}]}"#,
    );
    let levels: Vec<Level> = bench
        .out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Log(line) => Some(line.level),
            Effect::Send { .. } | Effect::Journal { .. } => None,
        })
        .collect();
    assert_eq!(levels, [Level::Debug, Level::Warn], "an older Backend knows fewer types");
    assert!(bench.outbox.is_empty());
}

#[test]
fn one_bad_event_is_isolated_and_the_others_get_through() {
    for bad in 0..20 {
        let mut bench = Bench::paired();
        for number in 0..20 {
            bench.emit(&number.to_string());
        }
        bench.wait();
        let poison = alloc::format!("\"{bad}\"");
        let mut stored = Vec::new();
        let mut requests = 0;
        while !bench.outbox.is_empty() {
            let names = bench.names();
            requests += 1;
            assert!(requests <= 11, "{requests} requests to find number {bad}");
            if names.contains(&poison) {
                bench.answer(400, r#"{"success":false,"error":"validation failed"}"#);
            } else {
                stored.extend(names);
                bench.answer(200, TAKEN);
            }
            if bench.sent().is_none() && !bench.outbox.is_empty() {
                bench.wait();
            }
        }
        let expected: Vec<String> =
            (0..20).filter(|one| *one != bad).map(|one| alloc::format!("\"{one}\"")).collect();
        assert_eq!(stored, expected);
    }
}

#[test]
fn a_backend_that_refuses_everything_is_not_hammered() {
    let mut bench = Bench::paired();
    for number in 0..10 {
        bench.emit(&number.to_string());
    }
    bench.wait();
    let (mut requests, mut waits) = (0, 0);
    while !bench.outbox.is_empty() {
        requests += 1;
        bench.answer(400, "");
        if bench.sent().is_none() && !bench.outbox.is_empty() {
            bench.wait();
            waits += 1;
        }
    }
    assert_eq!(waits, 9, "a pause after each event given up");
    assert!(requests < 50, "{requests}");
}

#[test]
fn too_many_requests_are_answered_by_longer_and_longer_waits() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.wait();
    for expected in [3_000, 6_000, 12_000, 24_000, 48_000, 48_000, 48_000] {
        bench.answer(429, "");
        assert_eq!(bench.wait(), expected);
    }
    let (request, _) = bench.sent().unwrap();
    let busy =
        HttpAnswer { status: 429, retry_after: Some("120".to_string()), ..HttpAnswer::default() };
    bench.feed(Event::Answered { request, answer: Ok(busy) });
    assert_eq!(bench.wait(), 120_000, "the Backend may ask for more");
    bench.answer(200, TAKEN);
    bench.emit("b");
    bench.wait();
    bench.answer(429, "");
    assert_eq!(bench.wait(), 3_000, "a success starts the row anew");
}

#[test]
fn no_other_failure_loses_an_event() {
    for status in [301, 401, 403, 404, 500, 502, 503] {
        let mut bench = Bench::paired();
        bench.emit("a");
        bench.wait();
        bench.answer(status, "");
        assert_eq!(bench.outbox.view().waiting, 1, "{status}");
        assert!((2_000..=4_000).contains(&bench.wait()), "{status}");
        assert_eq!(bench.names(), ["\"a\""]);
    }
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.wait();
    let id = bench.sent().unwrap().1[0]["id"].clone();
    bench.reply(Err(HttpFailure::TimedOut));
    bench.wait();
    assert_eq!(bench.sent().unwrap().1[0]["id"], id, "so that the Backend knows it again");
    bench.answer(200, "<html>welcome to the captive portal</html>");
    assert!(!bench.outbox.is_empty());
}

#[test]
fn a_flush_sends_at_once_whatever_was_waited_for() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.feed(Event::FlushRequested);
    assert_eq!(bench.names(), ["\"a\""]);
    bench.emit("b");
    assert!(bench.sent().is_none(), "one in flight");
    let request = RequestKey { channel: crate::request::Channel::Events, number: 1 };
    let taken = HttpAnswer { status: 200, body: TAKEN.into(), ..HttpAnswer::default() };
    bench.feed(Event::Answered { request, answer: Ok(taken) });
    assert_eq!(bench.names(), ["\"b\""]);
    bench.answer(200, TAKEN);
    bench.emit("c");
    assert_eq!(bench.names(), ["\"c\""], "nothing waits for company any more");
}

#[test]
fn what_had_to_be_dropped_is_told_in_its_place() {
    let mut bench = Bench::new(5);
    for number in 1..=9 {
        bench.emit(&number.to_string());
    }
    assert_eq!(bench.outbox.view().dropped, 5);
    assert_eq!(bench.outbox.view().waiting, 5);
    bench.feed(Event::Paired(credentials()));
    bench.wait();
    let (_, events) = bench.sent().unwrap();
    assert_eq!(events[0]["type"], "satellite.events.gap");
    assert_eq!(
        events[0]["data"],
        json!({"from_seq": 1, "to_seq": 5, "count": 5, "reason": "queue_full"})
    );
    let numbers: Vec<&Value> = events.iter().map(|event| &event["seq"]).collect();
    assert_eq!(numbers, [5, 6, 7, 8, 9], "the sequence has no hole and no repetition");
}

#[test]
fn events_in_flight_are_not_dropped() {
    let mut bench = Bench::new(4);
    bench.feed(Event::Paired(credentials()));
    for number in 1..=3 {
        bench.emit(&number.to_string());
    }
    bench.wait();
    let (request, first) = bench.sent().unwrap();
    assert_eq!(first.len(), 3);
    for number in 4..=8 {
        bench.emit(&number.to_string());
    }
    let taken = HttpAnswer { status: 200, body: TAKEN.into(), ..HttpAnswer::default() };
    bench.feed(Event::Answered { request, answer: Ok(taken) });
    let (_, events) = bench.sent().unwrap();
    assert_eq!(events.last().unwrap()["data"]["count"], 5);
    assert_eq!(events.last().unwrap()["data"]["from_seq"], 4);
}

#[test]
fn large_events_go_in_smaller_batches() {
    let mut bench = Bench::paired();
    let large = "x".repeat(200 * 1024);
    for _ in 0..5 {
        bench.emit(&large);
    }
    bench.emit(&"y".repeat(900 * 1024));
    bench.wait();
    let mut sizes = Vec::new();
    while let Some((_, events)) = bench.sent() {
        sizes.push(events.len());
        bench.answer(200, TAKEN);
    }
    assert_eq!(sizes, [2, 2, 1, 1]);
}

#[test]
fn a_late_answer_and_an_early_tick_change_nothing() {
    let mut bench = Bench::paired();
    bench.emit("a");
    bench.feed(Event::Tick);
    assert_eq!(bench.verdict, Verdict::Ignored("nothing is due"));
    let request = RequestKey { channel: crate::request::Channel::Events, number: 9 };
    bench.feed(Event::Answered { request, answer: Err(HttpFailure::TimedOut) });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
}
