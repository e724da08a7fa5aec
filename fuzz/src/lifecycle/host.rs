//! What stands around a control machine, and what it must never do to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use satellite_core::control::{Control, Effect, Event, Record, Start};
use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::journal::mark;
use satellite_core::limits::Settings;
use satellite_core::process::{Ended, SpawnFailure, StderrLine};
use satellite_core::relay::{Activity, Report};
use satellite_core::request::{Channel, RequestKey};
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::view::Inventory;
use satellite_core::{Machine, Verdict};
use serde_json::json;

use super::script::{Script, configuration, poll};

/// A secret of the configuration, which stands in nothing that is shown.
pub(crate) const SECRET: &str = "a-credential-of-a-user";
const API_KEY: &str = "deploystack_satellite_api_global_0123456789";
/// Effects of one event: a configuration of a few servers asks for tens.
const EFFECTS_MAX: usize = 1_000;
/// Ticks at one moment after which nothing may be due any more.
const TICKS_MAX: usize = 100;

/// One of an instance's processes.
#[derive(Clone, Copy, PartialEq)]
enum Child {
    Starting,
    Running,
    Ending,
}

/// A host, with one control machine after another: it may be killed, and starts again with what it
/// wrote.
///
/// After each event: an instance has one process, requests of a kind come one at a time, effects
/// are bounded, what is due is done when told the time, and no secret is shown.
pub(crate) struct Host {
    control: Control,
    now: Timestamp,
    open: Vec<RequestKey>,
    answered: Vec<RequestKey>,
    records: VecDeque<&'static str>,
    children: BTreeMap<InstanceKey, (Incarnation, Child)>,
    gone: Vec<(InstanceKey, Incarnation)>,
    journal: Vec<u8>,
    stored: Option<Vec<u8>>,
    paired: bool,
    ended: bool,
}

impl Host {
    pub(crate) fn start(script: &mut Script<'_>) -> Self {
        let mut host = Host {
            control: control(0),
            now: Timestamp(1_769_850_900_000),
            open: Vec::new(),
            answered: Vec::new(),
            records: VecDeque::new(),
            children: BTreeMap::new(),
            gone: Vec::new(),
            journal: Vec::new(),
            stored: None,
            paired: script.choice(8) != 0,
            ended: false,
        };
        host.boot(script);
        host
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Another life of the daemon, after whatever ended the one before.
    fn boot(&mut self, script: &mut Script<'_>) {
        self.control = control(u64::from(script.byte()));
        self.open.clear();
        self.answered.clear();
        self.records.clear();
        self.children.clear();
        self.gone.clear();
        let token = "deploystack_satellite_global_eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
        self.event(Event::Started(Start {
            credentials: self.paired.then(credentials),
            registration_token: Some(Secret::new(token)),
            configuration: self.stored.clone(),
            journal: self.journal.clone(),
            ..Start::default()
        }));
    }

    pub(crate) fn step(&mut self, script: &mut Script<'_>) {
        match script.choice(16) {
            0..=3 => self.answer(script),
            4 => self.wait(script),
            5 => self.record(script),
            6 | 7 => self.child_starts(script),
            8 => self.child_reports(script),
            9 => self.child_ends(script),
            10 => self.heartbeat(script),
            11 => self.late(script),
            12 => {
                let key = key(script);
                self.event(Event::Wanted { key });
            }
            13 => {
                let Some((key, incarnation)) = self.child(script) else { return };
                let text = String::from_utf8_lossy(&script.raw()).into_owned();
                let lines = vec![StderrLine { text, truncated: false }];
                let dropped = u64::from(script.byte());
                let dropped_over_ms = u64::from(script.byte());
                self.event(Event::Stderr { key, incarnation, lines, dropped, dropped_over_ms });
            }
            14 if script.choice(8) == 7 => self.event(Event::ShutdownRequested),
            15 if script.choice(4) == 3 => {
                // Killed: what was appended last may be torn.
                let kept = self.journal.len() - script.choice(64).min(self.journal.len());
                self.journal.truncate(kept);
                self.boot(script);
            }
            _ => self.event(Event::Tick),
        }
    }

    /// Whatever was left open, the machine can be told to end, and does so within its budget.
    pub(crate) fn finish(mut self) {
        for _ in 0..4 {
            self.event(Event::ShutdownRequested);
            self.now = self.now.after(60_000);
            self.tick();
            if self.ended {
                return;
            }
        }
        panic!("a shutdown never ends");
    }

    fn event(&mut self, event: Event) {
        if self.ended {
            return;
        }
        let mut out = Vec::new();
        let verdict = self.control.handle(self.now, event, &mut out);
        assert!(out.len() <= EFFECTS_MAX, "{} effects of one event", out.len());
        if matches!(verdict, Verdict::Ignored("unanswered")) {
            panic!("an event was left unanswered");
        }
        for effect in out {
            if self.ended {
                break;
            }
            self.perform(effect);
        }
        let view = self.control.view();
        for (key, instance) in &view.instances {
            let Some(incarnation) = instance.ready else { continue };
            let child = self.children.get(key).map(|(present, _)| *present);
            assert_eq!(child, Some(incarnation), "{key} is ready without its process");
        }
        let waiting = view.outbox.waiting;
        assert!(waiting <= view.outbox.capacity + 100, "{waiting} events wait");
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { request, http } => {
                let same = self.open.iter().filter(|open| open.channel == request.channel).count();
                assert_eq!(same, 0, "two requests of {:?}", request.channel);
                assert!(!http.path.contains(API_KEY), "a key in a path");
                self.open.push(request);
            }
            Effect::Spawn { key, incarnation, .. } => {
                let before = self.children.insert(key.clone(), (incarnation, Child::Starting));
                assert!(before.is_none(), "{key} gets a second process");
            }
            Effect::Terminate { key, incarnation, .. } => {
                let child = self.children.get_mut(&key).expect("what is ended was started");
                assert_eq!(child.0, incarnation);
                assert!(child.1 != Child::Ending, "{key} is ended twice");
                if child.1 == Child::Running {
                    child.1 = Child::Ending;
                }
            }
            Effect::Persist(record) => {
                self.records.push_back(record.name());
                match record {
                    Record::Credentials(_) => self.paired = true,
                    Record::Unpaired => self.paired = false,
                    Record::Configuration(raw) => self.stored = Some(raw),
                    Record::Journal { bytes, .. } => self.journal.extend(bytes),
                    Record::JournalRewrite(bytes) => self.journal = bytes,
                    Record::JournalMark(numbers) => {
                        let mark = mark(numbers).into_iter().flatten();
                        self.journal.iter_mut().zip(mark).for_each(|(place, byte)| *place = byte);
                    }
                }
                let shown = String::from_utf8_lossy(&self.journal);
                assert!(!shown.contains(SECRET) && !shown.contains(API_KEY), "a secret is kept");
            }
            Effect::Log(line) => {
                let shown = format!("{line:?}");
                assert!(!shown.contains(SECRET) && !shown.contains(API_KEY), "{shown}");
            }
            Effect::Exit(exit) => {
                assert!(matches!(exit.code, 0 | 75) || !exit.error.is_empty());
                self.ended = true;
            }
            _ => {}
        }
    }

    /// Tells the time until nothing is due.
    fn tick(&mut self) {
        for _ in 0..TICKS_MAX {
            let due = self.control.next_deadline().is_some_and(|next| next.at <= self.now);
            if self.ended || !due {
                return;
            }
            self.event(Event::Tick);
        }
        let deadline = self.control.next_deadline();
        panic!("told the time {TICKS_MAX} times, it still wants it: {deadline:?}");
    }

    fn wait(&mut self, script: &mut Script<'_>) {
        let wait = match script.choice(4) {
            0 => u64::from(script.byte()),
            1 => u64::from(script.byte()) * 100,
            2 => u64::from(script.byte()) * 10_000,
            _ => {
                let due = self.control.next_deadline();
                due.map_or(0, |next| next.at.since(self.now))
            }
        };
        self.now = self.now.after(wait);
        self.tick();
    }

    fn answer(&mut self, script: &mut Script<'_>) {
        if self.open.is_empty() {
            return self.wait(script);
        }
        let request = self.open.remove(script.choice(self.open.len()));
        self.answered.push(request);
        let answer = outcome(request.channel, script);
        self.event(Event::Answered { request, answer });
    }

    /// An answer that has been given before, or to what was never asked.
    fn late(&mut self, script: &mut Script<'_>) {
        if let Some((key, incarnation)) = self.gone.last().cloned()
            && script.choice(2) == 0
        {
            return self.event(Event::Exited { key, incarnation, ended: Ended::default() });
        }
        let Some(request) = self.answered.last().copied() else { return };
        let answer = outcome(request.channel, script);
        self.event(Event::Answered { request, answer });
    }

    fn record(&mut self, script: &mut Script<'_>) {
        let Some(record) = self.records.pop_front() else { return };
        let outcome = if script.choice(4) == 3 { Err(String::from("disk full")) } else { Ok(()) };
        self.event(Event::Persisted { record, outcome });
    }

    fn child(&self, script: &mut Script<'_>) -> Option<(InstanceKey, Incarnation)> {
        let at = script.choice(self.children.len());
        self.children.iter().nth(at).map(|(key, (incarnation, _))| (key.clone(), *incarnation))
    }

    fn child_starts(&mut self, script: &mut Script<'_>) {
        let starting = self.children.iter().find(|(_, (_, child))| *child == Child::Starting);
        let Some((key, incarnation)) = starting.map(|(key, it)| (key.clone(), it.0)) else {
            return;
        };
        if script.choice(6) == 5 {
            self.children.remove(&key);
            let failure = SpawnFailure {
                step: String::from("exec"),
                error: String::from("no such file"),
                retryable: script.choice(2) == 0,
            };
            return self.event(Event::SpawnFailed { key, incarnation, failure });
        }
        if let Some(child) = self.children.get_mut(&key) {
            child.1 = Child::Running;
        }
        self.event(Event::Spawned { key: key.clone(), incarnation, pid: 7 });
        if script.choice(4) != 3 {
            let report = Report::Initialized;
            self.event(Event::Relay { key: key.clone(), incarnation, report });
            let report = Report::Listed(Arc::new(Inventory::default()));
            self.event(Event::Relay { key, incarnation, report });
        }
    }

    fn child_reports(&mut self, script: &mut Script<'_>) {
        let Some((key, incarnation)) = self.child(script) else { return };
        // Whose relay reports has been started, whether or not that was told yet.
        if let Some((_, child)) = self.children.get_mut(&key)
            && *child == Child::Starting
        {
            *child = Child::Running;
        }
        let report = match script.choice(8) {
            0 => Report::Initialized,
            1 => Report::Listed(Arc::new(Inventory::default())),
            2 => Report::Unusable { step: "initialize", reason: String::from("garbage") },
            3 => Report::Closed { reason: String::from("end of stream") },
            4 => Report::Probe { answered: script.choice(2) == 0 },
            5 => Report::Violation { what: "garbage", count: u64::from(script.byte()) },
            6 => Report::ListsStale { step: "tools/list", reason: String::from("late") },
            _ => Report::Activity(Activity {
                messages: u64::from(script.byte()),
                in_flight: script.choice(2),
                ..Activity::default()
            }),
        };
        self.event(Event::Relay { key, incarnation, report });
    }

    fn child_ends(&mut self, script: &mut Script<'_>) {
        let Some((key, incarnation)) = self.child(script) else { return };
        if self.children.get(&key).is_some_and(|(_, child)| *child == Child::Starting) {
            return self.child_starts(script);
        }
        self.children.remove(&key);
        self.gone.push((key.clone(), incarnation));
        let ended = Ended {
            code: (script.choice(2) == 0).then_some(1),
            signal: (script.choice(3) == 0).then(|| String::from("SIGKILL")),
            limit: None,
            last_stderr: vec![String::from("out of tea")],
        };
        self.event(Event::Exited { key, incarnation, ended });
    }

    fn heartbeat(&mut self, script: &mut Script<'_>) {
        let answer = outcome(Channel::Heartbeat, script);
        self.event(Event::HeartbeatAnswered { answer });
    }
}

fn control(seed: u64) -> Control {
    let settings = Settings {
        name: String::from("edge-satellite-01"),
        processes_max: 3,
        event_queue_max: 40,
        ..Settings::default()
    };
    Control::new(settings, seed)
}

fn credentials() -> Credentials {
    Credentials {
        api_key: Secret::new(API_KEY),
        satellite_id: "sat_1".into(),
        satellite_name: String::from("edge-satellite-01"),
        team_id: Some("t".into()),
        backend_url: None,
        registered_at: IsoTime(Timestamp(0)),
        last_verified: IsoTime(Timestamp(0)),
    }
}

fn key(script: &mut Script<'_>) -> InstanceKey {
    InstanceKey {
        team: "t".into(),
        installation: format!("i{}", script.choice(3)).into(),
        user: format!("u{}", script.choice(2)).into(),
    }
}

/// What a Backend says, or the way to it does, mostly well.
fn outcome(channel: Channel, script: &mut Script<'_>) -> Result<HttpAnswer, HttpFailure> {
    let good = match channel {
        Channel::Poll => poll(script),
        Channel::Configuration => configuration(script),
        Channel::Pairing => json!({"success": true, "satellite": {
            "id": "sat_1", "name": "edge-satellite-01", "satellite_type": "global",
            "team_id": null, "status": "inactive", "api_key": API_KEY,
        }}),
        Channel::Heartbeat if script.choice(2) == 0 => {
            json!({"success": true, "capabilities": ["poll-wait", "command-lease", "event-id"]})
        }
        _ => json!({"success": true, "processed": 100, "failed": 0}),
    };
    let (status, body) = match script.choice(16) {
        0 => return Err(HttpFailure::TimedOut),
        1 => return Err(HttpFailure::Refused(String::from("nobody listens"))),
        2 => (503, Vec::new()),
        3 => (429, Vec::new()),
        4 => (400, br#"{"error":"validation"}"#.to_vec()),
        5 => (401, br#"{"error":"Unauthorized"}"#.to_vec()),
        6 if script.choice(16) == 15 => (401, br#"{"error":"api_key_revoked"}"#.to_vec()),
        7 => (404, Vec::new()),
        8 => (200, script.raw()),
        _ => (200, good.to_string().into_bytes()),
    };
    Ok(HttpAnswer {
        status,
        body,
        retry_after: (script.choice(8) == 7).then(|| String::from("17")),
        ..HttpAnswer::default()
    })
}
