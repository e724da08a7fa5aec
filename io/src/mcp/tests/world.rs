//! A surface with one instance, a Backend that knows two tokens, and a client that writes HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use satellite_core::backend::instance_token;
use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::id::{Incarnation, InstallationId, InstanceKey, SatelliteId, TeamId, UserId};
use satellite_core::relay::{Relay, RelaySettings, Report};
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::view::{
    HealthStatus, InstanceAddress, InstanceStatus, InstanceView, Inventory, PlacesView,
    SatelliteIdentity, ServerNames, Tool, Transport, View,
};
use serde_json::{Value, json, value::RawValue};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::entropy::Kernel;
use crate::mcp::introspection::Exchanged;
use crate::mcp::{BackendExchange, SurfaceOptions, SurfaceState, Users, bind, router, serve};
use crate::relay_task;
use crate::relays::{RelayHandle, Relays, relay_channel};
use crate::settings::SurfaceSettings;

pub(super) const INSTANCE_TOKEN: &str =
    "ds_inst_0000000000000000000000000000000000000000000000000000000000000001";
pub(super) const OTHER_TOKEN: &str =
    "ds_inst_0000000000000000000000000000000000000000000000000000000000000002";

/// A Backend that knows `good` (user u, team t) and `other` (user o).
#[derive(Debug, Default)]
pub(super) struct FakeBackend {
    pub(super) asked: AtomicUsize,
    pub(super) is_away: Mutex<bool>,
}

impl BackendExchange for FakeBackend {
    fn exchange(&self, request: HttpRequest) -> Exchanged<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let is_away = *self.is_away.lock().unwrap();
        Box::pin(async move {
            if is_away {
                return Err(HttpFailure::Refused("127.0.0.1:1".into()));
            }
            let body: Value =
                serde_json::from_slice(request.body.as_deref().unwrap_or(b"{}")).unwrap();
            let user = match body["token"].as_str() {
                Some("good") => "u",
                Some("other") => "o",
                _ => return Ok(answer(&json!({"active": false}))),
            };
            Ok(answer(&json!({
                "active": true, "sub": user, "team_id": "t", "exp": 4_000_000,
                "scope": "mcp:read mcp:tools:execute", "aud": ["deploystack:team:t"],
            })))
        })
    }
}

fn answer(body: &Value) -> HttpAnswer {
    HttpAnswer { status: 200, body: body.to_string().into_bytes(), ..HttpAnswer::default() }
}

pub(super) struct World {
    pub(super) port: u16,
    pub(super) backend: Arc<FakeBackend>,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) wanted: mpsc::UnboundedReceiver<satellite_core::control::Event>,
    /// The lines the server was sent.
    pub(super) lines: mpsc::UnboundedReceiver<Value>,
    /// Text the server is to write.
    pub(super) say: mpsc::UnboundedSender<String>,
    /// Reports about clients that have been received and not looked at.
    pub(super) reports: VecDeque<satellite_core::usage::Report>,
    pub(super) control: mpsc::UnboundedSender<satellite_core::control::Event>,
    pub(super) clock: Clock,
    /// What the surface remembers of users.
    pub(super) users: Users,
}

fn credentials() -> Credentials {
    Credentials {
        api_key: Secret::new("key"),
        satellite_id: SatelliteId::new("sat_1"),
        satellite_name: "satellite".into(),
        team_id: Some(TeamId::new("t")),
        backend_url: None,
        registered_at: IsoTime(Timestamp(0)),
        last_verified: IsoTime(Timestamp(0)),
    }
}

pub(super) fn key(installation: &str) -> InstanceKey {
    InstanceKey {
        team: TeamId::new("t"),
        installation: InstallationId::new(installation),
        user: UserId::new("u"),
    }
}

pub(super) fn instance(installation: &str, path: &str, token: &str) -> InstanceView {
    let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
    InstanceView {
        key: key(installation),
        instance_id: None,
        names: Arc::new(ServerNames {
            process: "p".into(),
            server: "Files".into(),
            slug: installation.into(),
            team_slug: "t".into(),
            installation: "Files".into(),
        }),
        transport: Transport::Stdio,
        call_timeout_ms: satellite_core::limits::CALL_TIMEOUT_MS,
        status: InstanceStatus::Online,
        status_message: None,
        process: None,
        dormant_since: None,
        frozen_since: None,
        waits_since: None,
        ready: Some(Incarnation(1)),
        inventory: Arc::new(Inventory {
            initialize: Some(raw(
                r#"{"capabilities":{"tools":{}},"serverInfo":{"name":"files","version":"1"}}"#,
            )),
            tools: vec![Tool {
                name: "read".into(),
                description: "reads".into(),
                repeatable: false,
                raw: raw(r#"{"name":"read","inputSchema":{"type":"object"}}"#),
            }],
            ..Inventory::default()
        }),
        disabled_tools: Arc::default(),
        address: Some(InstanceAddress {
            path: path.into(),
            token_hash: instance_token::hash(token),
        }),
        request_logging: true,
        redaction: Arc::default(),
        message_count: 0,
        error_count: 0,
        last_activity: Timestamp(0),
        health: HealthStatus::Unknown,
        health_at: None,
        restarts: 0,
    }
}

/// The server: it hands every line to the test, answers `initialize` and empty lists by itself,
/// and writes what it is told.
async fn scripted(
    relays: &Relays,
    key: InstanceKey,
) -> (mpsc::UnboundedReceiver<Value>, mpsc::UnboundedSender<String>) {
    let (stdin, input) = tokio::io::duplex(1 << 16);
    let (output, stdout) = tokio::io::duplex(1 << 16);
    let (handle, inbox): (RelayHandle, _) = relay_channel();
    relays.insert(key, Incarnation(1), handle);
    let clock = Clock::starting_at(Timestamp(1_000));
    let machine = Relay::new(RelaySettings::default());
    let (listed, mut is_listed) = mpsc::unbounded_channel();
    tokio::spawn(relay_task::run(
        machine,
        stdin,
        stdout,
        inbox,
        std::future::pending(),
        move |report| {
            if let Report::Listed(_) = report {
                let _ = listed.send(());
            }
        },
        clock,
    ));
    let (lines, seen) = mpsc::unbounded_channel();
    let (say, told) = mpsc::unbounded_channel();
    tokio::spawn(converse(input, output, lines, told));
    is_listed.recv().await.unwrap();
    (seen, say)
}

async fn converse(
    input: DuplexStream,
    mut output: DuplexStream,
    lines: mpsc::UnboundedSender<Value>,
    mut told: mpsc::UnboundedReceiver<String>,
) {
    let mut input = BufReader::new(input).lines();
    loop {
        let text = tokio::select! {
            line = input.next_line() => {
                let Ok(Some(line)) = line else { return };
                let message: Value = serde_json::from_str(&line).unwrap();
                let id = &message["id"];
                match message["method"].as_str() {
                    Some("initialize") => json!({"jsonrpc": "2.0", "id": id, "result": {
                        "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                        "serverInfo": {"name": "files", "version": "1"}}}).to_string(),
                    Some("tools/list") => json!({"jsonrpc": "2.0", "id": id, "result": {
                        "tools": []}}).to_string(),
                    Some("notifications/initialized") => continue,
                    _ => {
                        if lines.send(message).is_err() { return }
                        continue;
                    }
                }
            }
            text = told.recv() => match text { Some(text) => text, None => return },
        };
        if output.write_all(format!("{text}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

impl World {
    pub(super) async fn start() -> World {
        let relays = Relays::default();
        let (lines, say) = scripted(&relays, key("files")).await;
        let mut view = View {
            satellite: Some(SatelliteIdentity {
                id: SatelliteId::new("s"),
                name: "satellite".into(),
                team: Some(TeamId::new("t")),
            }),
            ..View::default()
        };
        for instance in [
            instance("files", "calm-otter", INSTANCE_TOKEN),
            instance("other", "wild-fox", OTHER_TOKEN),
        ] {
            let path = instance.address.as_ref().unwrap().path.clone();
            view.paths.insert(path, instance.key.clone());
            view.instances.insert(instance.key.clone(), Arc::new(instance));
        }
        let (view, seen) = watch::channel(Arc::new(view));
        let (control, wanted) = mpsc::unbounded_channel();
        let (_, credentials) = watch::channel(Some(credentials()));
        let backend = Arc::new(FakeBackend::default());
        let bound = bind("127.0.0.1", 0).await.unwrap();
        let port = bound.address().unwrap().port();
        let clock = Clock::starting_at(Timestamp(1_000));
        let inbox = control.clone();
        let users = Users::new(credentials, control.clone(), clock, Arc::new(Kernel));
        let state = SurfaceState {
            view: seen,
            control,
            relays,
            backend: Arc::clone(&backend) as Arc<dyn BackendExchange>,
            users: users.clone(),
            clock,
            options: SurfaceOptions {
                base_url: format!("http://localhost:{port}"),
                backend_url: "http://localhost:3000".into(),
                backend_public_url: "https://cloud.example.com".into(),
                shown: SurfaceSettings {
                    allowed_hosts: ["sat.example.com".into()].into(),
                    resource_documentation: "https://docs.example.com/".into(),
                    show_uptime: true,
                    show_version: true,
                    debug_route: false,
                    metrics_token: Some(Secret::new("metrics-token")),
                },
            },
        };
        tokio::spawn(serve(bound, router(state), std::future::pending()));
        World {
            port,
            backend,
            view,
            wanted,
            lines,
            say,
            reports: VecDeque::new(),
            control: inbox,
            clock,
            users,
        }
    }

    /// Changes the published state of the instance `files`.
    pub(super) fn change(&self, change: impl FnOnce(&mut InstanceView)) {
        let mut view = View::clone(&self.view.borrow());
        let slot = view.instances.get_mut(&key("files")).unwrap();
        let mut instance = InstanceView::clone(slot);
        change(&mut instance);
        *slot = Arc::new(instance);
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn change_places(&self, places: PlacesView) {
        let view = View { places, ..View::clone(&self.view.borrow()) };
        self.view.send_replace(Arc::new(view));
    }

    /// Sends a request and reads its response's head.
    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        open(self.port, method, path, headers, body).await
    }

    /// Sends a message to the instance's router and reads the whole answer.
    pub(super) async fn post(&self, session: &str, body: &str) -> (u16, Value) {
        let headers = [bearer(), ("mcp-session-id", session)];
        self.open("POST", ONE, &headers, body.as_bytes()).await.json().await
    }

    /// A session at the instance's router.
    pub(super) async fn session(&self) -> String {
        self.session_at(ONE, bearer()).await
    }

    pub(super) async fn session_at(&self, path: &str, bearer: (&str, &str)) -> String {
        self.session_of(path, bearer, "2025-11-25").await
    }

    pub(super) async fn session_of(
        &self,
        path: &str,
        bearer: (&str, &str),
        revision: &str,
    ) -> String {
        let body = initialize(revision);
        let reply = self.open("POST", path, &[bearer], body.as_bytes()).await;
        assert_eq!(reply.status, 200);
        reply.headers["mcp-session-id"].clone()
    }

    /// Sends a message to the instance's router; returns once the server has it. The answer comes
    /// through the handle.
    pub(super) async fn call_with(
        &mut self,
        session: &str,
        body: &str,
    ) -> (JoinHandle<(u16, Value)>, Value) {
        self.call_at(ONE, bearer(), session, body).await
    }

    /// The same at any path.
    pub(super) async fn call_at(
        &mut self,
        path: &'static str,
        bearer: (&'static str, &str),
        session: &str,
        body: &str,
    ) -> (JoinHandle<(u16, Value)>, Value) {
        let (port, session, body) = (self.port, String::from(session), String::from(body));
        let token = String::from(bearer.1);
        let reply = tokio::spawn(async move {
            let headers = [(bearer.0, token.as_str()), ("mcp-session-id", session.as_str())];
            open(port, "POST", path, &headers, body.as_bytes()).await.json().await
        });
        let line = self.lines.recv().await.unwrap();
        (reply, line)
    }

    pub(super) fn answer(&self, call: &Value, result: &Value) {
        let id = &call["id"];
        self.say.send(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()).unwrap();
    }
}

pub(super) const ONE: &str = "/i/calm-otter/mcp";

pub(super) fn bearer() -> (&'static str, &'static str) {
    (
        "authorization",
        "Bearer ds_inst_0000000000000000000000000000000000000000000000000000000000000001",
    )
}

pub(super) fn user(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

pub(super) fn initialize(revision: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {},
        "clientInfo": {"name": "c", "version": "1"}}})
    .to_string()
}

pub(super) fn call_of(id: u64, tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": {}}})
    .to_string()
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    stream: BufReader<TcpStream>,
}

impl Reply {
    pub(super) async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().into()
    }

    /// The body, read whole by its announced length.
    pub(super) async fn text(mut self) -> String {
        let length = self.headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    pub(super) async fn json(self) -> (u16, Value) {
        let status = self.status;
        let text = self.text().await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The next message of a stream of events; nothing at its end.
    pub(super) async fn event(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.unwrap() == 0 || line.trim_end() == "0" {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// Sends a request and reads its response's head.
pub(super) async fn open(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let mut all: BTreeMap<&str, String> = BTreeMap::from([
        ("host", format!("localhost:{}", port)),
        ("content-type", "application/json".into()),
        ("accept", "application/json, text/event-stream".into()),
        ("content-length", body.len().to_string()),
    ]);
    all.extend(headers.iter().map(|(name, value)| (*name, String::from(*value))));
    for (name, value) in all.iter().filter(|(_, value)| !value.is_empty()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A body that is refused early may not be read to its end.
    let _ = stream.write_all(body).await;
    let mut reply = Reply { status: 0, headers: BTreeMap::new(), stream };
    let first = reply.line().await;
    reply.status = first.split(' ').nth(1).unwrap().parse().unwrap();
    loop {
        let line = reply.line().await;
        let Some((name, value)) = line.split_once(": ") else { break };
        reply.headers.insert(name.to_ascii_lowercase(), value.into());
    }
    reply
}
