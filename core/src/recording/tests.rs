//! A daemon whose every secret is a canary, recorded, looked through and replayed.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::Machine;
use crate::control::{Control, Effect, Record, Start};
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure};
use crate::id::{Incarnation, InstanceKey};
use crate::journal::{self, Entry};
use crate::process::{Ended, SpawnFailure, StderrLine};
use crate::relay::Report;
use crate::request::Channel;
use crate::secret::Secret;
use crate::time::{IsoTime, SECOND};
use crate::view::{Inventory, Resource, Tool};

/// In every secret of these tests.
const CANARY: &str = "CaNaRy";

const CONFIGURATION: &str = r#"{"mcp_servers":{
  "files-t-u1-inst_1":{"installation_id":"inst_1","team_id":"team_1","user_id":"u1",
    "server_slug":"files","transport_type":"stdio","command":"npx",
    "args":["-y","--key=CaNaRy-argument-1","CaNaRy-argument-2"],
    "env":{"TEAM":"team_1","MODE":"normal","ON":"1","KEY":"CaNaRy-env","EMPTY":""}},
  "docs-t-u1-inst_2":{"installation_id":"inst_2","team_id":"team_1","user_id":"u1",
    "server_slug":"docs","transport_type":"stdio","command":"node","args":["CaNaRy-argument-2"],
    "env":{"KEY":"CaNaRy-env","ESCAPED":"CaNaRy-\"quoted\"\n-CaNaRy"}},
  "remote-t-u1-inst_3":{"installation_id":"inst_3","team_id":"team_1","user_id":"u1",
    "server_slug":"remote","transport_type":"http",
    "url":"https://me:CaNaRy-user@mcp.example.com/s/CaNaRy-in-the-path/mcp?key=CaNaRy-query",
    "headers":{"Authorization":"Bearer CaNaRy-header"},
    "url_query_params":{"k":"CaNaRy-parameter"}},
  "rejected":{"env":{"N":7654321}}},
  "satellite_config":{},"version":3}"#;

/// A daemon that is recorded: the machine, and everything it asks for at once.
struct Daemon {
    control: Control,
    recorder: Recorder,
    recording: Vec<u8>,
    now: Timestamp,
    asked: Vec<crate::request::RequestKey>,
    spawned: Vec<(InstanceKey, Incarnation)>,
}

impl Daemon {
    fn begin(max_bytes: u64) -> Daemon {
        let settings = Settings {
            name: "edge-satellite-01".to_string(),
            backend_url: Some("https://op:CaNaRy-operator@backend.example.com".to_string()),
            ..Settings::default()
        };
        let now = Timestamp(1_769_850_900_000);
        let (recorder, recording) = Recorder::begin(&settings, 7, "0.1.0", now, max_bytes);
        let control = Control::new(settings, 7);
        Daemon { control, recorder, recording, now, asked: vec![], spawned: vec![] }
    }

    fn event(&mut self, event: Event) {
        let (heard, mut effects) = (event.clone(), Vec::new());
        let verdict = self.control.handle(self.now, event, &mut effects);
        let line = self.recorder.step(self.now, &heard, verdict, &effects);
        self.recording.extend(line);
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { request, .. } => self.asked.push(request),
                Effect::Spawn { key, incarnation, .. } => self.spawned.push((key, incarnation)),
                Effect::Persist(record) => answers.push(record.name()),
                _ => {}
            }
        }
        for record in answers {
            self.event(Event::Persisted { record, outcome: Ok(()) });
        }
    }

    fn answer(&mut self, channel: Channel, status: u16, body: &str) {
        let at = self.asked.iter().position(|request| request.channel == channel);
        let request = self.asked.remove(at.expect("it was asked"));
        let body = body.as_bytes().to_vec();
        let answer = Ok(HttpAnswer { status, body, elapsed_ms: 5, ..HttpAnswer::default() });
        self.event(Event::Answered { request, answer });
    }

    fn later(&mut self, milliseconds: u64) {
        self.now = self.now.after(milliseconds);
        while self.control.next_deadline().is_some_and(|next| next.at <= self.now) {
            self.event(Event::Tick);
        }
    }

    fn lines(&self) -> usize {
        self.recording.split(|byte| *byte == b'\n').count() - 1
    }
}

fn canary(what: &str) -> String {
    [CANARY, "-", what].concat()
}

fn started() -> Start {
    let mut stored = Vec::new();
    let command = r#"{"id":"c0","command_type":"configure",
        "payload":{"env":{"K":"CaNaRy-journal"},"note":"its key is CaNaRy-key"}}"#;
    let command = serde_json::from_str(command).expect("a command");
    journal::encode(&Entry::Received { command, at: Timestamp(5) }, &mut stored);
    stored.extend_from_slice(b"CaNaRy in a torn line");
    Start {
        credentials: Some(Credentials {
            api_key: Secret::new(canary("key")),
            satellite_id: "sat_1".into(),
            satellite_name: "edge-satellite-01".to_string(),
            team_id: Some("team_1".into()),
            backend_url: Some("https://op:CaNaRy-operator@backend.example.com".to_string()),
            registered_at: IsoTime(Timestamp(0)),
            last_verified: IsoTime(Timestamp(0)),
        }),
        registration_token: Some(Secret::new(canary("registration"))),
        configuration: Some(CONFIGURATION.as_bytes().to_vec()),
        journal: stored,
        boot: "boot-1".to_string(),
    }
}

/// A daemon's day: everything that can happen, with a canary wherever somebody may put one.
fn recorded() -> Daemon {
    let mut daemon = Daemon::begin(u64::MAX);
    daemon.event(Event::Started(started()));
    let poll = r#"{"commands":[{"id":"c1","command_type":"configure","priority":"immediate",
        "payload":{"token":"CaNaRy-payload","note":"\u0043aNaRy-key"}}],"polling_mode":"normal"}"#;
    daemon.later(SECOND);
    daemon.answer(Channel::Poll, 200, poll);
    daemon.answer(Channel::Configuration, 200, CONFIGURATION);
    daemon.later(SECOND);
    assert_eq!(daemon.spawned.len(), 2, "both stdio servers are started");
    let (key, incarnation) = daemon.spawned[0].clone();
    daemon.event(Event::Spawned { key: key.clone(), incarnation, pid: 4711 });
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.into()).expect("JSON");
    let tool = Tool {
        name: "read".to_string(),
        description: "reads with CaNaRy-env".to_string(),
        repeatable: true,
        raw: raw(r#"{"name":"read","description":"with CaNaRy-env"}"#),
    };
    let resource = Resource {
        uri: "file:///CaNaRy-env".to_string(),
        name: String::new(),
        description: String::new(),
        mime_type: None,
        raw: raw(r#"{"uri":"file:///CaNaRy-env"}"#),
    };
    let inventory =
        Inventory { tools: vec![tool], resources: vec![resource], ..Inventory::default() };
    let line = |text: &str| StderrLine { text: text.into(), truncated: false };
    for report in [
        Report::Initialized,
        Report::Listed(Arc::new(inventory)),
        Report::Violation { what: "an answer to nothing", count: 1 },
        Report::ListsStale { step: "tools/list", reason: "CaNaRy-argument-2 failed".into() },
        Report::Activity(crate::relay::Activity { messages: 3, ..Default::default() }),
        Report::Probe { answered: true },
        Report::Reached { round_trip_ms: 12, discovers: true },
        Report::Failed(crate::remote::Failure::new(
            crate::remote::Fault::Broken,
            "CaNaRy-env is no server",
        )),
    ] {
        daemon.event(Event::Relay { key: key.clone(), incarnation, report });
    }
    let lines = vec![line("key CaNaRy-env"), line("and Q2FOYVJ5LWVudg== in base64")];
    daemon.event(Event::Stderr {
        key: key.clone(),
        incarnation,
        lines,
        dropped: 2,
        dropped_over_ms: 900,
    });
    let ended = Ended {
        code: None,
        signal: Some("SIGSEGV".into()),
        limit: None,
        last_stderr: vec!["CaNaRy-argument-1".into()],
    };
    daemon.event(Event::Exited { key: key.clone(), incarnation, ended });
    let (second, other) = daemon.spawned[1].clone();
    let failure = SpawnFailure {
        step: "exec".into(),
        error: "CaNaRy-\"quoted\" is no file".into(),
        retryable: false,
    };
    daemon.event(Event::SpawnFailed { key: second, incarnation: other, failure });
    daemon.event(Event::Wanted { key });
    daemon.event(Event::Used { reports: Arc::default(), lost: 1 });
    let refused = Err(HttpFailure::Refused("https://op:CaNaRy-operator@backend: refused".into()));
    daemon.event(Event::HeartbeatAnswered { answer: refused });
    daemon.event(Event::Persisted {
        record: Record::Unpaired.name(),
        outcome: Err("CaNaRy-operator has no room".into()),
    });
    for _ in 0..20 {
        daemon.later(10 * SECOND);
        if daemon.asked.iter().any(|request| request.channel == Channel::Poll) {
            daemon.answer(Channel::Poll, 503, "the key CaNaRy-key is not known; CaNaRy-query");
        }
    }
    daemon.event(Event::ShutdownRequested);
    let end = daemon.recorder.end("the daemon ended");
    daemon.recording.extend(end);
    daemon
}

#[test]
fn no_secret_is_in_a_recording_and_its_decisions_are_the_daemons() {
    let daemon = recorded();
    let text = String::from_utf8(daemon.recording.clone()).expect("a recording is text");
    for hidden in [CANARY, "aNaRy", "Q2FOYVJ5", "7654321"] {
        let found = text.lines().find(|line| line.contains(hidden));
        assert_eq!(found, None, "{hidden}");
    }
    let outcome = Replay::run(&daemon.recording, None);
    assert_eq!(outcome.fault, None);
    assert_eq!(outcome.apart, None, "the daemon decided as the recording says");
    assert_eq!(outcome.steps as usize, daemon.lines() - 2);
    assert_eq!(outcome.end.as_deref(), Some("the daemon ended"));
    // What is no secret can be read.
    for shown in ["team_1", "edge-satellite-01", "normal", "SIGSEGV", "backend.example.com"] {
        assert!(text.contains(shown), "{shown}");
    }
}

#[test]
fn a_handle_is_as_long_as_its_secret_and_equal_secrets_have_one() {
    let mut handles = Handles::default();
    let (first, second) = (handles.of("first secret"), handles.of("another one!"));
    assert_eq!(first.len(), "first secret".len());
    assert_ne!(first, second);
    assert_eq!(handles.of("first secret"), first);
    assert_eq!(handles.of(&first), first, "a handle stands for itself");
    assert_eq!(handles.of(""), "");
}

#[test]
fn everything_but_secrets_is_left_as_it_is_to_the_byte() {
    let mut handles = Handles::default();
    let body =
        "{ \"a\" : [1.50, -2e3, null],\"name\":\"x\\u0041\",\n \"env\":{\"K\":\"v\"},\"z\":{}}";
    let clean = String::from_utf8(handles.body(body.as_bytes())).expect("text");
    assert_eq!(clean, body.replace("\"v\"", "\"~0\""));
    assert_eq!(handles.body(b"\xff no text"), b"\xff no text");
}

#[test]
fn a_recording_that_is_cut_is_replayed_as_far_as_it_is_whole() {
    let daemon = recorded();
    let whole = Replay::run(&daemon.recording, None).steps;
    for cut in (1..daemon.recording.len()).step_by(997) {
        let outcome = Replay::run(&daemon.recording[..cut], None);
        match outcome.fault {
            None => assert!(outcome.is_torn || outcome.steps <= whole),
            Some(fault) => assert!(fault.to_string().contains("no whole line"), "{fault}"),
        }
    }
    assert_eq!(Replay::run(&daemon.recording, Some(3)).steps, 3);
}

#[test]
fn damage_is_named_with_its_line() {
    let daemon = recorded();
    let lines: Vec<&[u8]> = daemon.recording.split_inclusive(|byte| *byte == b'\n').collect();
    let fault = |lines: &[&[u8]]| Replay::run(&lines.concat(), None).fault.map(|it| it.to_string());
    let mut flipped = lines[4].to_vec();
    flipped[30] ^= 1;
    let with = |line: &[u8]| fault(&[&lines[..4], &[line], &lines[5..]].concat());
    let expect = |found: Option<String>, words: &str| {
        let found = found.expect("a fault");
        assert!(found.contains(words), "{found}");
    };
    expect(with(&flipped), "line 5: it is damaged: its checksum does not fit");
    expect(with(b"garbage\n"), "line 5: it is damaged: it has no checksum");
    expect(with(b"\xff\xfe\n"), "line 5: it is damaged: it is no text");
    expect(with(b""), "line 5: steps are missing or out of order");
    expect(fault(&lines[1..]), "line 1: the recording's first line is missing");
    expect(fault(&[&lines[..3], &lines[..1]].concat()), "line 4: another recording begins here");
    let sealed = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        line::write(&value)
    };
    let unknown = sealed(r#"{"step":4,"at":1,"event":{"dreamt":{}},"decided":{}}"#);
    expect(with(&unknown), "line 5: this program does not know what it says");
    let newer = sealed(r#"{"recording":2,"version":"9.0.0"}"#);
    expect(fault(&[&newer]), "line 1: it is a recording of format 2");
    expect(fault(&[]), "this is no recording");
    let end = lines[lines.len() - 1];
    expect(fault(&[&lines[..4], &[end]].concat()), "steps are missing before the end");
    expect(fault(&[&lines[..], &lines[3..4]].concat()), "something follows the recording's end");
}

#[test]
fn another_decision_is_shown_from_both_sides() {
    let text = String::from_utf8(recorded().recording).expect("text");
    let mut lines = text.lines();
    let header = lines.next().expect("a header").rsplit_once(",\"sum\"").expect("a sum").0;
    let mut header: serde_json::Value =
        serde_json::from_str(&[header, "}"].concat()).expect("JSON");
    header["settings"]["name"] = "another-satellite".into();
    header["seed"] = 8.into();
    let mut other = line::write(&header);
    for line in lines {
        other.extend_from_slice(line.as_bytes());
        other.push(b'\n');
    }
    let Some(Fault::Parted(parted)) = Replay::run(&other, None).fault else {
        panic!("another seed decides otherwise")
    };
    let shown = Fault::Parted(parted).to_string();
    assert!(shown.contains("recorded: ") && shown.contains("replayed: "), "{shown}");
}

#[test]
fn a_decision_that_a_secret_took_part_in_is_marked() {
    let mut daemon = Daemon::begin(u64::MAX);
    daemon.event(Event::Started(started()));
    let made_up = [Effect::Log(crate::log::LogLine::new(crate::log::Level::Info, "CaNaRy-key"))];
    let line = daemon.recorder.step(daemon.now, &Event::Tick, Verdict::Moved, &made_up);
    daemon.recording.extend(&line);
    assert!(!String::from_utf8_lossy(&line).contains(CANARY));
    let outcome = Replay::run(&daemon.recording, None);
    assert_eq!(outcome.fault, None);
    assert!(outcome.apart.is_some());
}

#[test]
fn a_recording_ends_at_its_bound_and_says_so() {
    let mut daemon = Daemon::begin(64 * 1024);
    daemon.event(Event::Started(started()));
    for _ in 0..2_000 {
        daemon.event(Event::Tick);
    }
    assert!(daemon.recorder.has_ended());
    assert!(daemon.recording.len() <= 64 * 1024);
    let outcome = Replay::run(&daemon.recording, None);
    assert_eq!(outcome.fault, None);
    assert_eq!(outcome.end.as_deref(), Some("the bound of 65536 bytes is reached"));
}
