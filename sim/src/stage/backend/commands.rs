//! Commands at the model Backend: handed out under a lease until a final result arrives.

use std::hash::Hasher;

use satellite_core::http::HttpAnswer;
use satellite_core::time::{MINUTE, SECOND, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ModelBackend, Reply, answer, refused};
use crate::trace::Digest;

/// How long a command that was handed out is not handed out again.
const LEASE_MS: u64 = MINUTE;
/// The same once the satellite has stored it.
const HELD_LEASE_MS: u64 = 15 * MINUTE;
/// Commands handed out at once.
const LIMIT: usize = 10;

/// A command's row.
#[derive(Clone, Debug)]
pub struct Command {
    /// As a poll delivers it.
    pub body: Value,
    /// Which satellite it is for.
    pub satellite: String,
    /// `pending`, `acknowledged`, `completed` or `failed`.
    pub status: String,
    /// How often a final result arrived.
    pub results: u64,
    /// What the first final result said.
    pub result: u64,
    /// A final result that said something else.
    pub contradiction: Option<String>,
    /// How often it was delivered.
    pub attempts: u64,
    /// Until when it is not delivered again.
    leased_until: Timestamp,
}

impl Command {
    /// Whether it has its result.
    pub fn is_final(&self) -> bool {
        self.results > 0
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    /// What it asks for.
    pub fn kind(&self) -> &str {
        self.body["command_type"].as_str().unwrap_or_default()
    }

    fn is_ready(&self, now: Timestamp, satellite: &str) -> bool {
        !self.is_final() && self.leased_until <= now && self.satellite == satellite
    }
}

impl ModelBackend {
    /// Puts a command in a satellite's queue; says where.
    pub fn command(&mut self, satellite: &str, kind: &str, payload: &Value) -> usize {
        self.command_with(satellite, json!({"command_type": kind, "payload": payload}))
    }

    /// The same with every key of its body given, but for its id.
    pub fn command_with(&mut self, satellite: &str, mut body: Value) -> usize {
        let place = self.commands.len();
        body["id"] = Value::from(format!("cmd_{place}"));
        body["correlation_id"] = Value::from(format!("corr_{place}"));
        if body["priority"].is_null() {
            body["priority"] = Value::from("immediate");
        }
        self.commands.push(Command {
            body,
            satellite: satellite.to_string(),
            status: String::from("pending"),
            results: 0,
            result: 0,
            contradiction: None,
            attempts: 0,
            leased_until: Timestamp(0),
        });
        place
    }

    /// Whether a command waits for a satellite.
    pub fn has_pending(&self, now: Timestamp, id: &str) -> bool {
        !self.in_maintenance && self.open().any(|command| command.is_ready(now, id))
    }

    /// Commands of late that ended a second time in another way.
    pub fn contradicted(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().rev().take(50).filter(|command| command.contradiction.is_some())
    }

    fn open(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().skip(self.first_open)
    }

    /// Answers a poll with the commands that wait.
    pub fn deliver(&mut self, now: Timestamp, id: &str) -> Reply {
        if self.in_maintenance {
            return Reply::Now(answer(
                200,
                &json!({"commands": [], "polling_mode": "slow", "next_poll_interval": 300,
                    "maintenance": true}),
            ));
        }
        if self.has_pending(now, id) {
            return self.write(|backend| backend.hand_out(now, id));
        }
        let quiet = &br#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#[..];
        Reply::Now(HttpAnswer { status: 200, body: quiet.to_vec(), ..HttpAnswer::default() })
    }

    fn hand_out(&mut self, now: Timestamp, id: &str) -> HttpAnswer {
        let has_lease = self.grants.contains("command-lease");
        let ready = self.commands.iter_mut().skip(self.first_open);
        let mut delivered = Vec::new();
        for command in ready.filter(|command| command.is_ready(now, id)).take(LIMIT) {
            command.attempts += 1;
            command.leased_until = now.after(LEASE_MS);
            if has_lease {
                command.body["attempt"] = Value::from(command.attempts);
                command.body["lease_seconds"] = Value::from(LEASE_MS / SECOND);
            }
            delivered.push(command.body.clone());
        }
        let next = json!({"commands": delivered, "polling_mode": "immediate",
            "next_poll_interval": 2});
        answer(200, &next)
    }

    pub(super) fn result(&mut self, now: Timestamp, id: &str, body: &[u8]) -> HttpAnswer {
        #[derive(Deserialize)]
        struct Report {
            command_id: String,
            status: String,
        }
        let Ok(report) = serde_json::from_slice::<Report>(body) else {
            return refused(400, "bad_result");
        };
        let place = report.command_id.strip_prefix("cmd_").and_then(|rest| rest.parse().ok());
        let command = place.and_then(|place: usize| self.commands.get_mut(place));
        let Some(command) = command.filter(|command| command.satellite == id) else {
            return refused(404, "unknown_command");
        };
        if matches!(report.status.as_str(), "completed" | "failed") {
            let mut digest = Digest::default();
            digest.write(body);
            command.results += 1;
            if command.results == 1 {
                command.result = digest.finish();
                command.status = report.status;
            } else if command.result != digest.finish() {
                command.contradiction = Some(String::from_utf8_lossy(body).into_owned());
            }
        } else if !command.is_final() {
            command.status = report.status;
            command.leased_until = now.after(HELD_LEASE_MS);
        }
        while self.commands.get(self.first_open).is_some_and(Command::is_final) {
            self.first_open += 1;
        }
        answer(200, &json!({"success": true, "message": "ok"}))
    }
}
