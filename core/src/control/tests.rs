//! The whole machine against a Backend of a few lines: what it asks, and what it does.

mod applying;
mod audit;
mod commands;
mod configuring;
mod frost;
mod measuring;
mod ordering;
mod remembering;
mod remotes;
mod turns;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

mod emissions;

use super::*;
use crate::control::Start;
use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::http::{HttpAnswer, HttpFailure};
use crate::id::{Incarnation, TeamId, UserId};
use crate::process::{Ended, SpawnFailure};
use crate::relay::Report;
use crate::request::{Channel, RequestKey};
use crate::secret::Secret;
use crate::time::{IsoTime, MINUTE, SECOND};
use crate::view::{InstanceStatus, Inventory, SatelliteStatus};

const NONE: &str = r#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#;

struct World {
    control: Control,
    now: Timestamp,
    asked: Vec<(RequestKey, String, String)>,
    spawned: Vec<(InstanceKey, Incarnation)>,
    terminated: Vec<Incarnation>,
    persisted: Vec<&'static str>,
    exit: Option<Exit>,
    journal: Vec<u8>,
    /// So much of the journal outlives a power cut, but for what a rewriting or a mark syncs.
    synced: usize,
    is_full: bool,
    is_read_only: bool,
    probes: Vec<(InstanceKey, Incarnation)>,
    connected: Vec<(InstanceKey, Incarnation)>,
    disconnected: Vec<(InstanceKey, Incarnation)>,
    renewed: Vec<(InstanceKey, Incarnation)>,
    relisted: Vec<(InstanceKey, Incarnation)>,
    untrusted: Vec<InstanceKey>,
    /// Whether each was to be frozen or thawed, in order.
    frost: Vec<(bool, InstanceKey, Incarnation)>,
    forgotten: Vec<(u64, UserId, Option<TeamId>)>,
    logs: Vec<LogLine>,
}

impl World {
    fn start(start: Start) -> World {
        World::start_at(Timestamp(1_769_850_900_000), start)
    }

    fn start_at(now: Timestamp, start: Start) -> World {
        World::start_on(now, start, false, Vec::new())
    }

    /// On a disk that holds `journal`, and may be full.
    fn start_on(now: Timestamp, start: Start, is_full: bool, journal: Vec<u8>) -> World {
        let settings = Settings { name: "edge-satellite-01".to_string(), ..Settings::default() };
        let mut world = World {
            control: Control::new(settings, 1),
            now,
            asked: Vec::new(),
            spawned: Vec::new(),
            terminated: Vec::new(),
            persisted: Vec::new(),
            exit: None,
            journal,
            synced: 0,
            is_full,
            is_read_only: false,
            probes: Vec::new(),
            connected: Vec::new(),
            disconnected: Vec::new(),
            renewed: Vec::new(),
            relisted: Vec::new(),
            untrusted: Vec::new(),
            frost: Vec::new(),
            forgotten: Vec::new(),
            logs: Vec::new(),
        };
        world.event(Event::Started(start));
        world
    }

    /// Paired earlier, with a Backend that has sent `servers`.
    fn configured(servers: &str) -> World {
        let mut world =
            World::start(Start { credentials: Some(credentials()), ..Start::default() });
        world.answer(Channel::Poll, 200, NONE);
        world.answer(Channel::Configuration, 200, &configuration(servers));
        world
    }

    /// The same with processes that are never idle.
    fn awake(servers: &str) -> World {
        let mut world =
            World::start(Start { credentials: Some(credentials()), ..Start::default() });
        world.control.settings.idle_timeout_ms = 0;
        world.answer(Channel::Poll, 200, NONE);
        world.answer(Channel::Configuration, 200, &configuration(servers));
        world
    }

    fn event(&mut self, event: Event) -> Verdict {
        let (mut out, mut answers) = (Vec::new(), Vec::new());
        let verdict = self.control.handle(self.now, event, &mut out);
        for effect in out {
            match effect {
                Effect::Send { request, http } => {
                    let body = String::from_utf8(http.body.unwrap_or_default()).unwrap();
                    self.asked.push((request, http.path, body));
                }
                Effect::Persist(record) => answers.push(self.persist(record)),
                Effect::Spawn { key, incarnation, .. } => self.spawned.push((key, incarnation)),
                Effect::Terminate { incarnation, .. } => self.terminated.push(incarnation),
                Effect::Exit(exit) => self.exit = Some(exit),
                Effect::Probe { key, incarnation } => self.probes.push((key, incarnation)),
                Effect::ForgetUser { request, user, team } => {
                    self.forgotten.push((request, user, team));
                }
                Effect::ForgetTokens { key } => self.untrusted.push(key),
                Effect::Log(line) => self.logs.push(line),
                Effect::Connect { key, incarnation, .. } => self.connected.push((key, incarnation)),
                Effect::Disconnect { key, incarnation } => {
                    self.disconnected.push((key, incarnation));
                }
                Effect::Freeze { key, incarnation } => self.frost.push((true, key, incarnation)),
                Effect::Thaw { key, incarnation } => self.frost.push((false, key, incarnation)),
                Effect::Reconnect { key, incarnation } => self.renewed.push((key, incarnation)),
                Effect::Relist { key, incarnation } => self.relisted.push((key, incarnation)),
            }
        }
        // Nothing follows an exit.
        for answer in answers {
            if self.exit.is_none() {
                self.event(answer);
            }
        }
        verdict
    }

    fn persist(&mut self, record: Record) -> Event {
        let name = record.name();
        let outcome = match record {
            Record::Journal { .. } | Record::JournalRewrite(_)
                if self.is_full || self.is_read_only =>
            {
                Err(String::from("disk full"))
            }
            Record::Journal { bytes, sync } => {
                self.journal.extend_from_slice(&bytes);
                self.synced = if sync { self.journal.len() } else { self.synced };
                Ok(())
            }
            Record::JournalRewrite(bytes) => {
                self.journal = bytes;
                Ok(())
            }
            Record::JournalMark(_) if self.is_read_only => Err(String::from("read-only")),
            Record::JournalMark(numbers) => match crate::journal::mark(numbers) {
                Some(mark) if self.journal.len() >= mark.len() => {
                    self.journal[..mark.len()].copy_from_slice(&mark);
                    Ok(())
                }
                _ => Err(String::from("no place for a mark")),
            },
            _ => {
                self.persisted.push(name);
                Ok(())
            }
        };
        Event::Persisted { record: name, outcome }
    }

    /// Answers the oldest open request of `channel` and returns its path and body.
    fn answer(&mut self, channel: Channel, status: u16, body: &str) -> (String, String) {
        let position = self.asked.iter().position(|(request, ..)| request.channel == channel);
        let (request, path, sent) = self.asked.remove(position.expect("nothing was asked"));
        let answer = HttpAnswer {
            status,
            body: body.as_bytes().to_vec(),
            elapsed_ms: 5,
            ..HttpAnswer::default()
        };
        self.event(Event::Answered { request, answer: Ok(answer) });
        (path, sent)
    }

    /// Takes the oldest open request of `channel`, and leaves it without an answer.
    fn unanswered(&mut self, channel: Channel) -> (String, String) {
        let position = self.asked.iter().position(|(request, ..)| request.channel == channel);
        let (_, path, sent) = self.asked.remove(position.expect("nothing was asked"));
        (path, sent)
    }

    fn later(&mut self, milliseconds: u64) {
        self.now = self.now.after(milliseconds);
        while self.exit.is_none()
            && self.control.next_deadline().is_some_and(|next| next.at <= self.now)
        {
            self.event(Event::Tick);
        }
    }

    /// Brings the process that was started last online.
    fn online(&mut self) {
        let (key, incarnation) = self.spawned.last().cloned().expect("nothing was started");
        self.event(Event::Spawned { key: key.clone(), incarnation, pid: 4711 });
        for report in [Report::Initialized, Report::Listed(Arc::new(Inventory::default()))] {
            self.event(Event::Relay { key: key.clone(), incarnation, report });
        }
    }

    fn exited(&mut self) {
        let (key, incarnation) = self.spawned.last().cloned().expect("nothing was started");
        self.event(Event::Exited { key, incarnation, ended: Ended::default() });
    }

    fn status(&self) -> Option<InstanceStatus> {
        self.control.view().instances.values().next().map(|instance| instance.status)
    }

    /// Files a command and lets the satellite receive it.
    fn command(&mut self, kind: &str, payload: &str) {
        self.later(5 * MINUTE);
        let body = format!(
            r#"{{"commands":[{{"id":"c{}","command_type":"{kind}","priority":"immediate",
            "payload":{payload}}}],"polling_mode":"immediate","next_poll_interval":2}}"#,
            self.now.0
        );
        self.answer(Channel::Poll, 200, &body);
    }

    /// The body of the result that is on its way.
    fn result(&mut self) -> serde_json::Value {
        let (_, body) = self.answer(Channel::Result, 200, r#"{"success":true,"message":"ok"}"#);
        serde_json::from_str(&body).unwrap()
    }
}

fn credentials() -> Credentials {
    Credentials {
        api_key: Secret::new("key"),
        satellite_id: "sat_1".into(),
        satellite_name: "edge-satellite-01".to_string(),
        team_id: None,
        backend_url: None,
        registered_at: IsoTime(Timestamp(0)),
        last_verified: IsoTime(Timestamp(0)),
    }
}

fn server(installation: &str, command: &str) -> String {
    format!(
        r#""files-t-u-{installation}":{{"installation_id":"{installation}","team_id":"t",
        "team_slug":"t","server_name":"Files","server_slug":"files","installation_name":"Files",
        "user_id":"u","user_slug":"u","transport_type":"stdio","enabled":true,
        "requires_oauth":false,"command":"{command}","args":[],"env":{{}}}}"#
    )
}

fn configuration(servers: &str) -> String {
    format!(r#"{{"mcp_servers":{{{servers}}},"satellite_config":{{}}}}"#)
}

#[test]
fn pairing_leads_to_polls_configuration_and_a_running_server() {
    let token = Secret::new("deploystack_satellite_global_eyJhbGciOiJIUzI1NiJ9.e30.c2ln");
    let mut world = World::start(Start { registration_token: Some(token), ..Start::default() });
    world.answer(Channel::Pairing, 200, r#"{"status":"ok"}"#);
    world.answer(
        Channel::Pairing,
        200,
        r#"{"success":true,"satellite":{"id":"sat_1","name":"edge-satellite-01",
        "satellite_type":"global","team_id":null,"status":"inactive","api_key":"key"}}"#,
    );
    assert_eq!(world.persisted, ["credentials"]);
    let (path, _) = world.answer(Channel::Poll, 200, NONE);
    assert!(path.starts_with("/api/satellites/global/sat_1/commands?"), "{path}");
    world.answer(Channel::Configuration, 200, &configuration(&server("i", "node")));
    assert_eq!(world.persisted.last(), Some(&"configuration"));
    world.online();
    assert_eq!(world.status(), Some(InstanceStatus::Online));
    assert_eq!(world.control.view().health.status, SatelliteStatus::Active);
}

#[test]
fn the_stored_configuration_serves_while_the_backend_is_away() {
    let mut world = World::start(Start {
        credentials: Some(credentials()),
        configuration: Some(configuration(&server("i", "node")).into_bytes()),
        ..Start::default()
    });
    world.online();
    for (request, ..) in core::mem::take(&mut world.asked) {
        let answer = Err(HttpFailure::Refused(String::from("nobody listens")));
        world.event(Event::Answered { request, answer });
    }
    let view = world.control.view();
    assert_eq!(world.status(), Some(InstanceStatus::Online));
    assert_eq!(view.health.status, SatelliteStatus::Degraded);
    assert!(!view.link.configuration_fresh);
}

#[test]
fn a_restart_command_brings_back_what_failed_for_good_and_says_so() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    for _ in 0..4 {
        world.exited();
        world.later(20 * SECOND);
        if world.status() != Some(InstanceStatus::PermanentlyFailed) {
            world.online();
        }
    }
    assert_eq!(world.status(), Some(InstanceStatus::PermanentlyFailed));
    world.command("restart", r#"{"installation_id":"i"}"#);
    world.online();
    let result = world.result();
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["result"]["instances"][0]["pid"], 4711);
    assert_eq!(world.status(), Some(InstanceStatus::Online));
}

#[test]
fn a_kill_command_ends_the_process_and_is_done_when_it_is_gone() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.command("kill", r#"{"installation_id":"i"}"#);
    assert!(!world.asked.iter().any(|(request, ..)| request.channel == Channel::Result));
    world.exited();
    assert_eq!(world.result()["status"], "completed");
    assert_eq!(world.status(), Some(InstanceStatus::Offline));
}

#[test]
fn a_command_for_what_does_not_run_here_fails_with_the_reason() {
    let mut world = World::configured(&server("i", "node"));
    world.command("restart", r#"{"installation_id":"other"}"#);
    let result = world.result();
    assert_eq!(result["status"], "failed");
    assert!(result["error"].as_str().unwrap().contains("other"), "{result}");
    assert_eq!(result["error"], result["error_message"]);
}

#[test]
fn a_configure_command_is_done_when_the_configuration_is_applied() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.command("configure", r#"{"event":"mcp_installation_created"}"#);
    let both = format!("{},{}", server("i", "node"), server("j", "python3"));
    world.answer(Channel::Configuration, 200, &configuration(&both));
    let result = world.result();
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["result"]["total_servers"], 2);
    assert_eq!(world.spawned.len(), 2, "the first is not started again");
}

#[test]
fn one_entry_that_cannot_run_harms_no_other() {
    let both = format!("{},{}", server("i", "node"), server("j", "rm"));
    let mut world = World::configured(&both);
    world.online();
    let view = world.control.view();
    let statuses: Vec<InstanceStatus> = view.instances.values().map(|i| i.status).collect();
    assert_eq!(statuses, [InstanceStatus::Online, InstanceStatus::Error]);
    assert_eq!(view.health.status, SatelliteStatus::Degraded);
}

#[test]
fn more_instances_than_places_start_one_after_another() {
    let mut world = World::configured("");
    world.control.settings.processes_max = 1;
    world.command("configure", "{}");
    let both = format!("{},{}", server("i", "node"), server("j", "node"));
    world.answer(Channel::Configuration, 200, &configuration(&both));
    assert_eq!(world.spawned.len(), 1);
    world.online();
    world.command("kill", r#"{"installation_id":"i"}"#);
    world.exited();
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_server_that_cannot_be_started_for_now_is_tried_again() {
    let mut world = World::configured(&server("i", "node"));
    let (key, incarnation) = world.spawned[0].clone();
    let failure = SpawnFailure {
        step: String::from("fork"),
        error: String::from("resource temporarily unavailable"),
        retryable: true,
    };
    world.event(Event::SpawnFailed { key, incarnation, failure });
    assert_eq!(world.status(), Some(InstanceStatus::Restarting));
    world.later(2 * SECOND);
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_shutdown_ends_processes_then_delivers_and_leaves() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.event(Event::ShutdownRequested);
    assert_eq!(world.terminated.len(), 1);
    assert!(world.exit.is_none());
    assert!(world.control.view().draining);
    world.exited();
    assert!(world.exit.is_none(), "events are still to be delivered");
    while world.exit.is_none() {
        world.answer(Channel::Events, 200, r#"{"success":true,"processed":20}"#);
    }
    assert_eq!(world.exit.map(|exit| exit.code), Some(0));
}

#[test]
fn a_shutdown_without_a_backend_does_not_wait_for_it() {
    let mut world = World::start(Start { credentials: Some(credentials()), ..Start::default() });
    let (request, ..) = world.asked.remove(0);
    world.event(Event::Answered { request, answer: Err(HttpFailure::TimedOut) });
    world.event(Event::ShutdownRequested);
    assert_eq!(world.exit.map(|exit| exit.code), Some(0));
}

#[test]
fn a_revoked_key_ends_the_daemon_and_its_processes() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.later(5 * MINUTE);
    world.answer(Channel::Poll, 401, r#"{"success":false,"error":"api_key_revoked"}"#);
    assert!(world.persisted.contains(&"unpaired"));
    assert_eq!(world.terminated.len(), 1);
    world.exited();
    assert_eq!(world.exit.map(|exit| exit.code), Some(4));
}
