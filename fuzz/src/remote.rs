//! The peer of a remote: whatever a server answers, each call has one outcome, and none that the
//! server may have acted on is sent again unless it may be.

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::Machine;
use satellite_core::http::HttpFailure;
use satellite_core::random::Random;
use satellite_core::relay::{Call, CallId};
use satellite_core::remote::{
    AccessToken, Effect, Event, ExchangeId, Failure, Fault, Head, Method, Peer, RemoteSpec, Request,
};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use satellite_core::view::Transport;
use serde_json::{Value, json};

/// Most lines of a script that are played.
const LINES_MAX: usize = 400;

/// Plays a script, a line at a time. Its first letter says what happens:
///
/// `c` a call, `r` one that may be repeated, `x` the last one is taken back, `g` the oldest
/// exchange is answered as it should be, `h` the newest gets a head (status, then what stands in
/// its headers), `d` and a piece of body (`~` is a line end, `#` the request's id), `e` and ends, `f` the
/// newest fails, `t` a token, `w` time passes, `l` `p` `R` `T` `C` relist, probe, reconnect,
/// the token is dropped, close.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let transport = if data.first() == Some(&b's') { Transport::Sse } else { Transport::Http };
    let endpoint = |host: &str| format!("https://{host}.example/mcp");
    let spec = RemoteSpec {
        transport,
        endpoints: vec![endpoint("a"), endpoint("b")],
        headers: Vec::new(),
        query: Vec::new(),
        named_query: Vec::new(),
        requires_oauth: data.first() == Some(&b'o'),
        call_timeout_ms: 60_000,
        handshake_timeout_ms: 30_000,
    };
    let mut world = World::new(Peer::new(spec, Random::new(1)));
    world.event(Event::Opened);
    for line in data.split(|byte| *byte == b'\n').take(LINES_MAX) {
        world.play(line);
    }
    world.event(Event::Close);
    assert!(world.waiting.is_empty(), "{:?} have no outcome", world.waiting);
    world.pass(120_000);
    assert!(world.peer.next_deadline().is_none());
    assert!(world.open.is_empty(), "{:?}", world.open);
}

#[derive(Debug)]
struct Open {
    exchange: ExchangeId,
    method: Method,
    message: Value,
    has_head: bool,
}

struct World {
    peer: Peer,
    now: Timestamp,
    open: Vec<Open>,
    /// Calls without an outcome.
    waiting: BTreeSet<CallId>,
    calls: u64,
    /// Requests that the server may have acted on.
    may_have_run: BTreeSet<u64>,
    repeatable: BTreeMap<u64, bool>,
    fetching: bool,
    tokens: u64,
}

impl World {
    fn new(peer: Peer) -> Self {
        World {
            peer,
            now: Timestamp(1_000_000),
            open: Vec::new(),
            waiting: BTreeSet::new(),
            calls: 0,
            may_have_run: BTreeSet::new(),
            repeatable: BTreeMap::new(),
            fetching: false,
            tokens: 0,
        }
    }

    fn event(&mut self, event: Event) {
        let mut out = Vec::new();
        self.peer.handle(self.now, event, &mut out);
        for effect in out {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Exchange { exchange, request } => self.sent(exchange, &request),
            Effect::Abort { exchange } => {
                let before = self.open.len();
                self.open.retain(|it| it.exchange != exchange);
                assert!(self.open.len() < before, "{exchange:?} is over already");
            }
            Effect::FetchToken { .. } => {
                assert!(!self.fetching, "two tokens at once");
                self.fetching = true;
            }
            Effect::Answer { call, .. } => {
                assert!(self.waiting.remove(&call), "{call:?} has two outcomes");
            }
            Effect::NotifyCall { call, .. } => {
                assert!(self.waiting.contains(&call), "{call:?} is over");
            }
            Effect::NotifyAll { .. } | Effect::Report(_) => {}
        }
    }

    fn sent(&mut self, exchange: ExchangeId, request: &Request) {
        let body = request.body.as_ref().map(|body| serde_json::from_slice(body));
        let message: Value = body.map_or(Value::Null, |body| body.expect("the peer sends JSON"));
        if let (Some(id), "tools/call") = (message["id"].as_u64(), rpc(&message)) {
            let repeatable = message["params"]["r"] == json!(true);
            self.repeatable.insert(id, repeatable);
            assert!(repeatable || !self.may_have_run.contains(&id), "{id} is sent twice");
        }
        self.open.push(Open { exchange, method: request.method, message, has_head: false });
    }

    fn play(&mut self, line: &[u8]) {
        let Some((letter, rest)) = line.split_first() else { return };
        let number = rest.iter().filter(|it| it.is_ascii_digit()).take(5);
        let number = number.fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit - b'0'));
        match letter {
            b'c' | b'r' => self.call(*letter == b'r'),
            b'x' => self.event(Event::Cancelled { call: CallId(self.calls), reason: None }),
            b'g' => self.good(),
            b'h' => self.head(u16::try_from(number).unwrap_or(200), rest),
            b'd' => self.piece(rest),
            b'e' => self.end(),
            b'f' => self.fail(number),
            b't' => self.token(number),
            b'w' => self.pass(number),
            b'l' => self.event(Event::Relist),
            b'p' => self.event(Event::Probed),
            b'T' => self.event(Event::TokenDropped),
            b'R' => self.event(Event::Reconnect),
            b'C' => self.event(Event::Close),
            _ => {}
        }
    }

    fn call(&mut self, repeatable: bool) {
        self.calls += 1;
        let id = CallId(self.calls);
        self.waiting.insert(id);
        let params = json!({"r": repeatable, "_meta": {"progressToken": "p"}}).to_string();
        let params = serde_json::value::RawValue::from_string(params).ok();
        let method = String::from("tools/call");
        self.event(Event::Called(Call { id, method, params, timeout_ms: 20_000, repeatable }));
    }

    fn ran(&mut self, at: usize) {
        if let Some(id) = self.open[at].message["id"].as_u64() {
            self.may_have_run.insert(id);
        }
    }

    fn head(&mut self, status: u16, rest: &[u8]) {
        let Some(at) = self.open.iter().rposition(|it| !it.has_head) else { return };
        self.open[at].has_head = true;
        // 503 is a refusal where it names a time to come back.
        if matches!(status, 200..300 | 408 | 500..600) && status != 503 {
            self.ran(at);
        }
        let space = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let kind = rest[space..].trim_ascii();
        let kind: &[u8] = match kind.first() {
            Some(b'j') => b"application/json",
            Some(b's') => b"text/event-stream",
            _ => kind,
        };
        let mut headers =
            vec![("content-type", kind), ("retry-after", kind), ("www-authenticate", kind)];
        if status.is_multiple_of(2) {
            headers.push(("mcp-session-id", b"s"));
        }
        // One that is no id counts as none.
        headers.push(("mcp-session-id", rest));
        let exchange = self.open[at].exchange;
        self.event(Event::Head { exchange, head: Head::new(status, headers) });
    }

    fn piece(&mut self, rest: &[u8]) {
        let Some(found) = self.open.iter().rev().find(|it| it.has_head) else { return };
        let (exchange, id) = (found.exchange, found.message["id"].to_string());
        let mut bytes = Vec::new();
        for byte in rest {
            match byte {
                b'~' => bytes.push(b'\n'),
                b'#' => bytes.extend_from_slice(id.as_bytes()),
                _ => bytes.push(*byte),
            }
        }
        self.event(Event::Chunk { exchange, bytes });
    }

    fn end(&mut self) {
        if let Some(at) = self.open.iter().rposition(|it| it.has_head) {
            let Open { exchange, .. } = self.open.remove(at);
            self.event(Event::Ended { exchange });
        }
    }

    fn fail(&mut self, kind: u64) {
        let Some(at) = self.open.len().checked_sub(1) else { return };
        let text = || String::from("x");
        let failure = match kind % 6 {
            0 => HttpFailure::Refused(text()),
            1 => HttpFailure::Reset(text()),
            2 => HttpFailure::Cut(text()),
            3 => HttpFailure::TimedOut,
            4 => HttpFailure::Tls(text()),
            _ => HttpFailure::TooLarge { limit: 1 },
        };
        if self.open[at].has_head || !failure.has_no_side_effects() {
            self.ran(at);
        }
        let Open { exchange, .. } = self.open.remove(at);
        self.event(Event::Failed { exchange, failure });
    }

    fn token(&mut self, number: u64) {
        if !core::mem::take(&mut self.fetching) {
            return;
        }
        self.tokens += 1;
        let token = AccessToken {
            id: self.tokens,
            token_type: String::from("Bearer"),
            token: Secret::new("t"),
            expires_at: (number > 0).then(|| self.now.after(number)),
        };
        let failure = Failure::new(Fault::AuthorisationNeeded, "sign in");
        self.event(Event::Token(if number == 9 { Err(failure) } else { Ok(token) }));
    }

    fn good(&mut self) {
        let Some(at) = self.open.iter().position(|it| !it.has_head) else { return };
        self.ran(at);
        let Open { exchange, method, message, .. } = self.open.remove(at);
        let id = &message["id"];
        let (status, result) = match (method, rpc(&message)) {
            (Method::Post, "initialize") => {
                let lists = json!({"tools": {}});
                (200, json!({"protocolVersion": "2025-06-18", "capabilities": lists}))
            }
            (Method::Post, "tools/list") => (200, json!({"tools": []})),
            (Method::Post, _) if !id.is_null() => (200, json!({})),
            (Method::Post, _) => (202, Value::Null),
            (Method::Get | Method::Delete, _) => (405, Value::Null),
        };
        let kind = [("content-type", &b"application/json"[..])];
        // Whatever the peer makes of the head, what it gives up is gone.
        self.open.push(Open { exchange, method, message: message.clone(), has_head: true });
        self.event(Event::Head { exchange, head: Head::new(status, kind) });
        let text = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        self.event(Event::Chunk { exchange, bytes: text.into_bytes() });
        let before = self.open.len();
        self.open.retain(|it| it.exchange != exchange);
        if self.open.len() < before {
            self.event(Event::Ended { exchange });
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        let end = self.now.after(milliseconds);
        while let Some(next) = self.peer.next_deadline().filter(|next| next.at <= end) {
            self.now = self.now.max(next.at);
            self.event(Event::Tick);
        }
        self.now = end;
    }
}

fn rpc(message: &Value) -> &str {
    message["method"].as_str().unwrap_or("")
}
