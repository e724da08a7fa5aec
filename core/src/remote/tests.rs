mod endpoints;
mod failover;
mod legacy;
mod random;
mod retries;
mod sessions;
mod streamable;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::random::Random;
use crate::relay::Rejection;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::view::Transport;
use crate::{Machine, Verdict};

const JSON: &[(&str, &[u8])] = &[("content-type", b"application/json")];
const EVENTS: &[(&str, &[u8])] = &[("content-type", b"text/event-stream; charset=utf-8")];

/// A request that the peer sent and nobody has answered yet.
#[derive(Debug)]
struct Sent {
    exchange: ExchangeId,
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    /// The message, or `null`.
    body: Value,
}

impl Sent {
    fn of(exchange: ExchangeId, request: &Request) -> Self {
        let body = request.body.as_ref().map(|body| serde_json::from_slice(body));
        let header = |(name, value): &(String, Secret)| (name.clone(), value.expose().to_string());
        Sent {
            exchange,
            method: request.method,
            url: request.url.expose().to_string(),
            headers: request.headers.iter().map(header).collect(),
            body: body.map_or(Value::Null, |body| body.expect("JSON")),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or("")
    }
}

/// A peer with a clock and everything it has asked for.
struct Bench {
    peer: Peer,
    now: Timestamp,
    out: Vec<Effect>,
}

fn spec(endpoints: &[&str]) -> RemoteSpec {
    RemoteSpec {
        transport: Transport::Http,
        endpoints: endpoints.iter().map(ToString::to_string).collect(),
        headers: vec![("X-Key".to_string(), Secret::new("k1"))],
        query: vec![("api key".to_string(), Secret::new("q&1"))],
        named_query: Vec::new(),
        requires_oauth: false,
        call_timeout_ms: 60_000,
        handshake_timeout_ms: 30_000,
    }
}

impl Bench {
    fn with(spec: RemoteSpec) -> Self {
        let peer = Peer::new(spec, Random::new(7));
        Bench { peer, now: Timestamp(1_000_000), out: vec![] }
    }

    fn new() -> Self {
        Bench::with(spec(&["https://one.example/mcp"]))
    }

    /// A peer whose server has tools and is ready; with a session if `session` names one.
    fn ready(session: Option<&str>) -> Self {
        Bench::ready_with(spec(&["https://one.example/mcp"]), session)
    }

    fn ready_with(spec: RemoteSpec, session: Option<&str>) -> Self {
        let mut bench = Bench::with(spec);
        bench.event(Event::Opened);
        bench.greet(session);
        bench.out.clear();
        bench
    }

    /// Answers the handshake, the lists and the request for a stream.
    fn greet(&mut self, session: Option<&str>) {
        let asked = self.sent("initialize");
        let mut headers = JSON.to_vec();
        if let Some(session) = session {
            headers.push(("mcp-session-id", session.as_bytes()));
        }
        let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "s", "version": "1"}}});
        self.answer(&asked, 200, &headers, &greeting.to_string());
        let told = self.sent("notifications/initialized");
        self.answer(&told, 202, &[], "");
        for listening in self.take(|sent| sent.method == Method::Get) {
            self.answer(&listening, 405, &[], "");
        }
        let asked = self.sent("tools/list");
        let tools = json!({"jsonrpc": "2.0", "id": asked.body["id"],
            "result": {"tools": [{"name": "t", "inputSchema": {}}]}});
        self.answer(&asked, 200, JSON, &tools.to_string());
    }

    fn event(&mut self, event: Event) -> Verdict {
        self.peer.handle(self.now, event, &mut self.out)
    }

    fn after(&mut self, milliseconds: u64) {
        let end = self.now.after(milliseconds);
        while let Some(next) = self.peer.next_deadline().filter(|next| next.at <= end) {
            self.now = self.now.max(next.at);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    fn call(&mut self, id: u64, repeatable: bool) {
        self.event(Event::Called(Call {
            id: CallId(id),
            method: "tools/call".to_string(),
            params: RawValue::from_string(r#"{"name":"t","_meta":{"progressToken":"p"}}"#.into())
                .ok(),
            timeout_ms: 60_000,
            repeatable,
        }));
    }

    /// Takes the requests that `is_wanted`; the others stay in sight.
    fn take(&mut self, is_wanted: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let mut taken = vec![];
        for effect in core::mem::take(&mut self.out) {
            match &effect {
                Effect::Exchange { exchange, request } => {
                    let sent = Sent::of(*exchange, request);
                    if is_wanted(&sent) {
                        taken.push(sent);
                    } else {
                        self.out.push(effect);
                    }
                }
                _ => self.out.push(effect),
            }
        }
        taken
    }

    /// All requests since the last look.
    fn requests(&mut self) -> Vec<Sent> {
        self.take(|_| true)
    }

    /// The one request for `method`.
    fn sent(&mut self, method: &str) -> Sent {
        let mut sent = self.take(|sent| sent.rpc() == method);
        assert_eq!(sent.len(), 1, "{method}: {sent:?}");
        sent.remove(0)
    }

    fn head(&mut self, to: &Sent, status: u16, headers: &[(&str, &[u8])]) -> Verdict {
        let head = Head::new(status, headers.iter().copied());
        self.event(Event::Head { exchange: to.exchange, head })
    }

    fn chunk(&mut self, to: &Sent, text: &str) -> Verdict {
        self.event(Event::Chunk { exchange: to.exchange, bytes: text.as_bytes().to_vec() })
    }

    fn end(&mut self, to: &Sent) -> Verdict {
        self.event(Event::Ended { exchange: to.exchange })
    }

    fn fail(&mut self, to: &Sent, failure: HttpFailure) -> Verdict {
        self.event(Event::Failed { exchange: to.exchange, failure })
    }

    /// A whole answer.
    fn answer(&mut self, to: &Sent, status: u16, headers: &[(&str, &[u8])], body: &str) {
        self.head(to, status, headers);
        if !body.is_empty() {
            self.chunk(to, body);
        }
        self.end(to);
    }

    /// A result for a request.
    fn result(&mut self, to: &Sent) {
        let body = json!({"jsonrpc": "2.0", "id": to.body["id"], "result": {"content": []}});
        self.answer(to, 200, JSON, &body.to_string());
    }

    fn outcomes(&mut self) -> Vec<(u64, CallOutcome)> {
        let mut outcomes = vec![];
        let mut rest = vec![];
        for effect in core::mem::take(&mut self.out) {
            match effect {
                Effect::Answer { call, outcome } => outcomes.push((call.0, outcome)),
                other => rest.push(other),
            }
        }
        self.out = rest;
        outcomes
    }

    fn outcome(&mut self) -> CallOutcome {
        let mut outcomes = self.outcomes();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0).1
    }

    fn reports(&mut self) -> Vec<Report> {
        let mut reports = vec![];
        self.out.retain(|effect| match effect {
            Effect::Report(report) => {
                reports.push(report.clone());
                false
            }
            _ => true,
        });
        reports
    }

    /// The failures reported.
    fn faults(&mut self) -> Vec<Fault> {
        let faults = self.reports().into_iter().filter_map(|report| match report {
            Report::Failed(failure) => Some(failure.fault),
            _ => None,
        });
        faults.collect()
    }

    fn aborted(&self, exchange: ExchangeId) -> bool {
        self.out
            .iter()
            .any(|effect| matches!(effect, Effect::Abort { exchange: it } if *it == exchange))
    }
}

fn refused() -> HttpFailure {
    HttpFailure::Refused("nobody listens".to_string())
}

fn tokens(bench: &mut Bench) -> Vec<Option<u64>> {
    let mut asked = vec![];
    bench.out.retain(|effect| match effect {
        Effect::FetchToken { stale } => {
            asked.push(*stale);
            false
        }
        _ => true,
    });
    asked
}

fn token(id: u64) -> Event {
    Event::Token(Ok(AccessToken {
        id,
        token_type: "Bearer".to_string(),
        token: Secret::new(format!("t{id}")),
        expires_at: None,
    }))
}

fn reset() -> HttpFailure {
    HttpFailure::Reset("gone".to_string())
}

fn unreached(outcome: &CallOutcome) -> Option<Fault> {
    match outcome {
        CallOutcome::RejectedBeforeSend(Rejection::Unreached(failure)) => Some(failure.fault),
        _ => None,
    }
}
