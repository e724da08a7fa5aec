//! A model of the Backend: naive on purpose, it knows the wire and keeps what arrived.

mod commands;
mod events;
mod servers;

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::http::{HttpAnswer, HttpRequest, Method};
use satellite_core::time::Timestamp;
use serde_json::{Value, json};

pub use commands::Command;
pub use events::{Ledger, Stored};
pub use servers::Change;

use super::SECRET;

/// What the Backend does with a request.
#[derive(Debug)]
pub enum Reply {
    /// It answers.
    Now(HttpAnswer),
    /// It holds a poll until there is a command, or until this moment.
    Held(Timestamp),
    /// It ends without an answer.
    Died,
}

/// When the Backend ends, as seen from its next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// Before it: nothing of the request is kept.
    BeforeWrite,
    /// After it: everything is kept, nobody hears of it.
    AfterWrite,
}

/// A satellite's row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The API key that is valid.
    pub api_key: String,
    /// Why none is, if its pairing was ended here.
    pub void: Option<&'static str>,
    /// How often it was registered.
    pub registrations: u64,
    /// How many of its heartbeats arrived.
    pub heartbeats: u64,
    /// Its events.
    pub ledger: Ledger,
}

/// The model.
#[derive(Debug, Default)]
pub struct ModelBackend {
    /// Registration tokens, and whether they are used up.
    pub tokens: BTreeMap<String, bool>,
    /// Satellites by id.
    pub satellites: BTreeMap<String, Row>,
    /// Commands in order of creation.
    pub commands: Vec<Command>,
    /// `mcp_servers` of every configuration.
    pub servers: BTreeMap<String, Value>,
    /// How many processes its satellites may have, if it says so.
    pub processes_max: Option<u64>,
    /// Grows with each change of the configuration.
    pub version: u64,
    /// Distinct events stored, by type.
    pub kinds: BTreeMap<String, u64>,
    /// Whether it is away.
    pub is_down: bool,
    /// Whether it hands out no commands.
    pub in_maintenance: bool,
    /// A status every request gets instead of its answer, and the `Retry-After` with it.
    pub trouble: Option<(u16, Option<u64>)>,
    /// Capabilities it grants.
    pub grants: BTreeSet<&'static str>,
    /// Whether it knows the scope-aware path of polls.
    pub is_flat: bool,
    /// Requests that wrote something.
    pub writes: u64,
    /// Whether the next write is its last.
    pub doom: Option<Doom>,
    /// The write of this number is its last.
    pub doom_at: Option<(u64, Doom)>,
    /// All commands before this one have ended.
    first_open: usize,
    /// Events stored since they were last looked at.
    pub fresh: Vec<Stored>,
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer { status, body: body.to_string().into_bytes(), ..HttpAnswer::default() }
}

/// A refusal, as the wire spells it.
pub fn refused(status: u16, error: &str) -> HttpAnswer {
    answer(status, &json!({"success": false, "error": error, "message": error}))
}

impl ModelBackend {
    /// What it makes of a request that arrives at `now`.
    pub fn receive(&mut self, now: Timestamp, request: &HttpRequest) -> Reply {
        if let Some((status, retry_after)) = self.trouble {
            let mut reply = refused(status, "trouble");
            reply.retry_after = retry_after.map(|seconds| seconds.to_string());
            return Reply::Now(reply);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut segments = path.split('/').skip(2);
        let route = [(); 4].map(|()| segments.next().unwrap_or_default());
        let body = request.body.as_deref().unwrap_or(b"null");
        match (request.method, route) {
            (Method::Get, ["health", "", ..]) => Reply::Now(answer(200, &json!({"status": "ok"}))),
            (Method::Post, ["satellites", "register", "", _]) => {
                self.write(|backend| backend.register(request, body))
            }
            (Method::Get, ["satellites", "global", id, "commands"]) if !self.is_flat => {
                self.poll(now, request, id, query)
            }
            (Method::Get, ["satellites", id, "commands", ""]) if id != "global" => {
                self.poll(now, request, id, query)
            }
            (_, ["satellites", id, _, ""]) if !self.may(request, id) => {
                Reply::Now(self.turned_away(id))
            }
            (Method::Get, ["satellites", _, "config", ""]) => Reply::Now(self.config(request)),
            (Method::Post, ["satellites", id, what, ""]) => match what {
                "heartbeat" => self.write(|backend| backend.heartbeat(id)),
                "events" => self.write(|backend| backend.store_events(id, body)),
                "command-result" => self.write(|backend| backend.result(now, id, body)),
                _ => Reply::Now(refused(404, "not_found")),
            },
            _ => Reply::Now(refused(404, "not_found")),
        }
    }

    /// Carries out a write, unless the Backend ends first; its end may also keep the answer back.
    fn write(&mut self, change: impl FnOnce(&mut ModelBackend) -> HttpAnswer) -> Reply {
        self.writes += 1;
        let mut doom = self.doom.take();
        if let Some((at, planned)) = self.doom_at
            && at == self.writes
        {
            self.doom_at = None;
            doom = Some(planned);
        }
        if doom == Some(Doom::BeforeWrite) {
            return Reply::Died;
        }
        let reply = change(self);
        if doom.is_some() { Reply::Died } else { Reply::Now(reply) }
    }

    /// Whether a request carries the key of the satellite in its path.
    fn may(&self, request: &HttpRequest, id: &str) -> bool {
        let key = request.bearer.as_ref().map(|bearer| bearer.expose());
        let row = self.satellites.get(id);
        row.is_some_and(|row| row.void.is_none() && key == Some(row.api_key.as_str()))
    }

    /// What somebody hears who comes with another key.
    fn turned_away(&self, id: &str) -> HttpAnswer {
        let void = self.satellites.get(id).and_then(|row| row.void);
        refused(401, void.unwrap_or("invalid_api_key"))
    }

    /// Ends the pairing of the satellite of this name.
    pub fn end_pairing(&mut self, name: &str, why: &'static str) {
        if let Some(row) = self.satellites.values_mut().find(|row| row.name == name) {
            row.void = Some(why);
        }
    }

    fn register(&mut self, request: &HttpRequest, body: &[u8]) -> HttpAnswer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = request.bearer.as_ref().map(|bearer| bearer.expose()).unwrap_or_default();
        match self.tokens.get_mut(token) {
            Some(used) if !*used => *used = true,
            _ => return refused(401, "invalid_registration_token"),
        }
        let name = body["name"].as_str().unwrap_or_default().to_string();
        let known = self.satellites.iter().find(|(_, row)| row.name == name);
        let id =
            known.map_or_else(|| format!("sat_{}", self.satellites.len()), |(id, _)| id.clone());
        let row = self.satellites.entry(id.clone()).or_default();
        row.name = name;
        row.registrations += 1;
        row.void = None;
        row.api_key = format!(
            "deploystack_satellite_api_global_{SECRET}{:0>26}{}",
            id.trim_start_matches("sat_"),
            row.registrations
        );
        answer(
            200,
            &json!({"success": true, "message": "registered", "satellite": {
                "id": id, "name": row.name, "satellite_type": "global", "team_id": null,
                "status": "inactive", "api_key": row.api_key}}),
        )
    }

    fn heartbeat(&mut self, id: &str) -> HttpAnswer {
        if let Some(row) = self.satellites.get_mut(id) {
            row.heartbeats += 1;
        }
        answer(200, &json!({"success": true, "message": "ok", "capabilities": self.grants}))
    }

    fn config(&self, request: &HttpRequest) -> HttpAnswer {
        let etag = format!("\"{}\"", self.version);
        let known =
            request.headers.iter().any(|(name, value)| name == "if-none-match" && *value == etag);
        let mut reply = if known {
            HttpAnswer { status: 304, ..HttpAnswer::default() }
        } else {
            let satellite = match self.processes_max {
                Some(most) => json!({"resource_limits": {"max_processes": most}}),
                None => json!({}),
            };
            answer(
                200,
                &json!({"mcp_servers": self.servers, "satellite_config": satellite,
                    "version": self.version}),
            )
        };
        reply.etag = Some(etag);
        reply
    }

    fn poll(&mut self, now: Timestamp, request: &HttpRequest, id: &str, query: &str) -> Reply {
        if !self.may(request, id) {
            return Reply::Now(self.turned_away(id));
        }
        let wait =
            query.split('&').find_map(|pair| pair.strip_prefix("wait=")?.parse::<u64>().ok());
        match wait.filter(|wait| *wait > 0 && !self.has_pending(now, id)) {
            Some(wait) => Reply::Held(now.after(wait * 1_000)),
            None => self.deliver(now, id),
        }
    }

    /// Distinct events of one type that were stored.
    pub fn events_of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// The satellite of a name.
    pub fn named(&self, name: &str) -> Option<(&str, &Row)> {
        let found = self.satellites.iter().find(|(_, row)| row.name == name);
        found.map(|(id, row)| (id.as_str(), row))
    }
}
