//! A model of the Backend: naive on purpose, it knows the wire and keeps what arrived.

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::http::{HttpAnswer, HttpRequest, Method};
use satellite_core::time::Timestamp;
use serde_json::{Value, json};

/// What the Backend does with a request.
#[derive(Debug)]
pub enum Reply {
    /// It answers.
    Now(HttpAnswer),
    /// It holds a poll until there is a command, or until this moment.
    Held(Timestamp),
}

/// A satellite's row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The API key that is valid.
    pub api_key: String,
    /// How often it was registered.
    pub registrations: u64,
    /// When its heartbeats arrived.
    pub heartbeats: Vec<Timestamp>,
    /// When its polls arrived.
    pub polls: Vec<Timestamp>,
}

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
    /// How often it was delivered.
    pub attempts: u64,
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
    /// Grows with each change of the configuration.
    pub version: u64,
    /// Stored events by satellite and event id, with their data.
    pub events: BTreeMap<(String, String), Value>,
    /// Events that had no id of their own, as they arrived.
    pub unnamed_events: Vec<Value>,
    /// Deliveries of events that were already stored.
    pub repeated_events: u64,
    /// Whether it listens.
    pub is_down: bool,
    /// A status every request gets instead of its answer, and the `Retry-After` with it.
    pub trouble: Option<(u16, Option<u64>)>,
    /// Capabilities it grants.
    pub grants: BTreeSet<&'static str>,
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer { status, body: body.to_string().into_bytes(), ..HttpAnswer::default() }
}

fn refused(status: u16, error: &str) -> HttpAnswer {
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
        let body: Value =
            serde_json::from_slice(request.body.as_deref().unwrap_or(b"null")).unwrap_or_default();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let reply = match (request.method, segments.as_slice()) {
            (Method::Get, ["api", "health"]) => answer(200, &json!({"status": "ok"})),
            (Method::Post, ["api", "satellites", "register"]) => self.register(request, &body),
            (Method::Get, ["api", "satellites", "global", id, "commands"]) => {
                return self.poll(now, request, id, query);
            }
            (method, ["api", "satellites", id, what]) => {
                if !self.may(request, id) {
                    return Reply::Now(refused(401, "invalid_api_key"));
                }
                match (method, *what) {
                    (Method::Post, "heartbeat") => self.heartbeat(now, id),
                    (Method::Get, "config") => self.config(request),
                    (Method::Post, "events") => self.store_events(id, &body),
                    (Method::Post, "command-result") => self.result(id, &body),
                    _ => refused(404, "not_found"),
                }
            }
            _ => refused(404, "not_found"),
        };
        Reply::Now(reply)
    }

    /// Whether a request carries the key of the satellite in its path.
    fn may(&self, request: &HttpRequest, id: &str) -> bool {
        let key = request.bearer.as_ref().map(|bearer| bearer.expose());
        self.satellites.get(id).is_some_and(|row| key == Some(row.api_key.as_str()))
    }

    fn register(&mut self, request: &HttpRequest, body: &Value) -> HttpAnswer {
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
        row.api_key = format!("deploystack_satellite_api_global_{:0>32}", row.registrations);
        answer(
            200,
            &json!({"success": true, "message": "registered", "satellite": {
                "id": id, "name": row.name, "satellite_type": "global", "team_id": null,
                "status": "inactive", "api_key": row.api_key}}),
        )
    }

    fn heartbeat(&mut self, now: Timestamp, id: &str) -> HttpAnswer {
        if let Some(row) = self.satellites.get_mut(id) {
            row.heartbeats.push(now);
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
            answer(
                200,
                &json!({"mcp_servers": self.servers, "satellite_config": {}, "version": self.version}),
            )
        };
        reply.etag = Some(etag);
        reply
    }

    fn poll(&mut self, now: Timestamp, request: &HttpRequest, id: &str, query: &str) -> Reply {
        if !self.may(request, id) {
            return Reply::Now(refused(401, "invalid_api_key"));
        }
        if let Some(row) = self.satellites.get_mut(id) {
            row.polls.push(now);
        }
        let wait =
            query.split('&').find_map(|pair| pair.strip_prefix("wait=")?.parse::<u64>().ok());
        match wait.filter(|wait| *wait > 0 && !self.has_pending(id)) {
            Some(wait) => Reply::Held(now.after(wait * 1_000)),
            None => Reply::Now(self.deliver(id)),
        }
    }

    /// Whether a command waits for a satellite.
    pub fn has_pending(&self, id: &str) -> bool {
        self.commands.iter().any(|command| command.satellite == id && command.status == "pending")
    }

    /// The commands that wait, as the answer to a poll. They stay pending until acknowledged.
    pub fn deliver(&mut self, id: &str) -> HttpAnswer {
        let mut delivered = Vec::new();
        let waiting =
            self.commands.iter_mut().filter(|c| c.satellite == id && c.status == "pending");
        for command in waiting.take(10) {
            command.attempts += 1;
            delivered.push(command.body.clone());
        }
        let (mode, next) = if delivered.is_empty() { ("slow", 60) } else { ("immediate", 2) };
        answer(
            200,
            &json!({"commands": delivered, "polling_mode": mode, "next_poll_interval": next}),
        )
    }

    fn result(&mut self, id: &str, body: &Value) -> HttpAnswer {
        let status = body["status"].as_str().unwrap_or_default();
        let command = self
            .commands
            .iter_mut()
            .find(|command| command.satellite == id && command.body["id"] == body["command_id"]);
        let Some(command) = command else { return refused(404, "unknown_command") };
        let is_final = matches!(status, "completed" | "failed");
        if is_final {
            command.results += 1;
        }
        if is_final || !matches!(command.status.as_str(), "completed" | "failed") {
            command.status = status.to_string();
        }
        answer(200, &json!({"success": true, "message": "ok"}))
    }

    fn store_events(&mut self, id: &str, body: &Value) -> HttpAnswer {
        let events = body["events"].as_array().cloned().unwrap_or_default();
        if events.is_empty() || events.len() > 100 {
            return refused(400, "bad_batch");
        }
        let mut ids = Vec::new();
        for event in events {
            match event["id"].as_str() {
                Some(event_id) => {
                    ids.push(event_id.to_string());
                    let key = (id.to_string(), event_id.to_string());
                    if self.events.insert(key, event).is_some() {
                        self.repeated_events += 1;
                    }
                }
                None => self.unnamed_events.push(event),
            }
        }
        answer(
            200,
            &json!({"success": true, "processed": ids.len(), "failed": 0, "event_ids": ids}),
        )
    }

    /// Puts a command in a satellite's queue.
    pub fn command(&mut self, satellite: &str, kind: &str, payload: &Value) {
        let id = format!("cmd_{}", self.commands.len());
        self.commands.push(Command {
            body: json!({"id": id, "command_type": kind, "priority": "immediate", "payload": payload}),
            satellite: satellite.to_string(),
            status: String::from("pending"),
            results: 0,
            attempts: 0,
        });
    }

    /// Adds a stdio server whose process behaves as `behaviour` says, or changes it.
    pub fn serve(&mut self, slug: &str, behaviour: &str) {
        self.version += 1;
        let installation = format!("i-{slug}");
        self.servers.insert(
            format!("{slug}-acme-u1-{installation}"),
            json!({"installation_id": installation, "instance_id": format!("inst-{slug}"),
                "team_id": "t1", "team_slug": "acme", "server_name": slug, "server_slug": slug,
                "installation_name": slug, "transport_type": "stdio", "enabled": true,
                "user_id": "u1", "user_slug": "u1", "instance_status": "provisioning",
                "requires_oauth": false, "source": "manual", "command": "node",
                "args": [behaviour], "env": {}}),
        );
    }

    /// Removes a server.
    pub fn remove(&mut self, slug: &str) {
        self.version += 1;
        self.servers.remove(&format!("{slug}-acme-u1-i-{slug}"));
    }

    /// Stored events of one type.
    pub fn events_of(&self, kind: &str) -> usize {
        let named = self.events.values().filter(|event| event["type"] == kind).count();
        named + self.unnamed_events.iter().filter(|event| event["type"] == kind).count()
    }
}
