//! Real exchanges with a scripted server on loopback, through the client of egress.

mod bad_input;
mod good;
mod legacy;
mod reach;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode};
use satellite_core::id::InstanceKey;
use satellite_core::random::Random;
use satellite_core::relay::{CallOutcome, Rejection, Report};
use satellite_core::remote::{AccessToken, Failure, Fault, Peer, RemoteSpec};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use satellite_core::view::Transport;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::egress::{EgressClient, EgressOptions};
use crate::relays::{NewCall, PendingCall, RelayHandle, relay_channel};

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that the server saw.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: String,
    headers: HeaderMap,
    message: Value,
}

impl Seen {
    fn rpc(&self) -> &str {
        self.message["method"].as_str().unwrap_or("")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a server does with a request; `None` where it does as it should.
type Script = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

enum Reply {
    Now(Response),
    Never,
}

#[derive(Clone)]
struct Server {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn serve(
    State(server): State<Server>,
    method: Method,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let seen = Seen { method, uri: uri.to_string(), headers, message };
    server.seen.lock().unwrap().push(seen.clone());
    match (server.script)(&seen) {
        Some(Reply::Now(response)) => response,
        Some(Reply::Never) => std::future::pending().await,
        None => good(&seen),
    }
}

/// What a server should do.
fn good(seen: &Seen) -> Response {
    let result = match (seen.method.as_str(), seen.rpc()) {
        ("POST", "initialize") => json!({"protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}),
        ("POST", "tools/list") => json!({"tools": [{"name": "a:b", "inputSchema": {}}]}),
        ("POST", "") | ("POST", "notifications/initialized" | "notifications/cancelled") => {
            return StatusCode::ACCEPTED.into_response();
        }
        ("POST", _) => json!({"content": [], "was": seen.message["params"]}),
        ("DELETE", _) => return StatusCode::OK.into_response(),
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    let mut response = answer(seen, &result);
    if seen.rpc() == "initialize" {
        response.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
    }
    response
}

fn rpc(seen: &Seen, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": seen.message["id"], "result": result}).to_string()
}

fn answer(seen: &Seen, result: &Value) -> Response {
    typed("application/json", rpc(seen, result))
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    ([("content-type", kind)], body.into()).into_response()
}

fn pieces(kind: &'static str, pieces: Vec<Result<Bytes, std::io::Error>>) -> Response {
    typed(kind, Body::from_stream(stream::iter(pieces)))
}

/// A peer and the server it talks to.
struct World {
    handle: RelayHandle,
    reports: mpsc::UnboundedReceiver<Report>,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

/// Tokens of a user, one after the other.
#[derive(Clone, Default)]
struct Tokens(Arc<Mutex<Vec<Option<u64>>>>);

impl TokenSource for Tokens {
    async fn token(&self, _key: &InstanceKey, stale: Option<u64>) -> Result<AccessToken, Failure> {
        self.0.lock().unwrap().push(stale);
        let id = stale.map_or(1, |stale| stale + 1);
        let token = Secret::new(format!("t{id}"));
        Ok(AccessToken { id, token_type: "Bearer".into(), token, expires_at: None })
    }
}

async fn listen(script: Script) -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::default();
    let server = Server { script, seen: Arc::clone(&seen) };
    let app = Router::new().fallback(serve).with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

fn spec(address: SocketAddr) -> RemoteSpec {
    RemoteSpec {
        transport: Transport::Http,
        endpoints: vec![format!("http://{address}/mcp")],
        headers: vec![("X-Team".into(), Secret::new("blue"))],
        query: vec![("key".into(), Secret::new("a b"))],
        named_query: Vec::new(),
        requires_oauth: false,
        call_timeout_ms: 60_000,
        handshake_timeout_ms: 10_000,
    }
}

impl World {
    async fn start(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> World {
        let (address, seen) = listen(Arc::new(script)).await;
        World::with(spec(address), seen, Tokens::default())
    }

    /// A world whose server has told its tools.
    async fn ready(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> World {
        let mut world = World::start(script).await;
        world.listed().await;
        world
    }

    fn with(spec: RemoteSpec, seen: Arc<Mutex<Vec<Seen>>>, tokens: Tokens) -> World {
        World::through(crate::egress::tests::options(), spec, seen, tokens)
    }

    fn through(
        options: EgressOptions,
        spec: RemoteSpec,
        seen: Arc<Mutex<Vec<Seen>>>,
        tokens: Tokens,
    ) -> World {
        let client = EgressClient::new(options).unwrap();
        let (handle, inbox) = relay_channel();
        let (told, reports) = mpsc::unbounded_channel();
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() };
        let report = move |report| drop(told.send(report));
        let peer = Peer::new(spec, Random::new(1));
        let clock = Clock::starting_at(Timestamp(1_000_000));
        let task = tokio::spawn(run(peer, client, tokens, key, inbox, report, clock));
        World { handle, reports, seen, task }
    }

    async fn report<T>(&mut self, mut wanted: impl FnMut(&Report) -> Option<T>) -> T {
        let found = async {
            loop {
                let report = self.reports.recv().await.expect("the task ended");
                if let Some(found) = wanted(&report) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("no such report")
    }

    async fn listed(&mut self) -> usize {
        self.report(|report| match report {
            Report::Listed(inventory) => Some(inventory.tools.len()),
            _ => None,
        })
        .await
    }

    async fn failed(&mut self) -> Fault {
        self.failure().await.fault
    }

    async fn failure(&mut self) -> Failure {
        self.report(|report| match report {
            Report::Failed(failure) => Some(failure.clone()),
            _ => None,
        })
        .await
    }

    fn begin(&self, timeout_ms: u64, repeatable: bool) -> PendingCall {
        let params = r#"{"name":"a:b","arguments":{"n":1.0},"_meta":{"progressToken":"mine"}}"#;
        self.handle.call(NewCall {
            method: "tools/call".into(),
            params: RawValue::from_string(params.into()).ok(),
            timeout_ms,
            progress: true,
            repeatable,
        })
    }

    async fn call(&self) -> CallOutcome {
        timeout(PATIENCE, self.begin(30_000, false).outcome()).await.expect("no outcome")
    }

    fn seen(&self, rpc: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.rpc() == rpc).cloned().collect()
    }

    async fn sees(&self, what: impl Fn(&Seen) -> bool) -> Seen {
        let found = async {
            loop {
                let found = self.seen.lock().unwrap().iter().find(|seen| what(seen)).cloned();
                match found {
                    Some(found) => return found,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the server never saw it")
    }
}

/// A script for one method.
fn on(
    method: &'static str,
    reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static {
    move |seen| (seen.rpc() == method).then(|| reply(seen))
}

fn unreached(outcome: &CallOutcome) -> Option<Fault> {
    refusal(outcome).map(|failure| failure.fault)
}

/// Why a call was never sent.
fn refusal(outcome: &CallOutcome) -> Option<&Failure> {
    match outcome {
        CallOutcome::RejectedBeforeSend(Rejection::Unreached(failure)) => Some(failure),
        _ => None,
    }
}
