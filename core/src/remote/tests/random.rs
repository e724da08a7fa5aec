//! Arbitrary servers: whatever becomes of the exchanges, each call has one outcome, and none that
//! may have run is sent again unless it may be.

use alloc::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::relay::CallId;

#[derive(Clone, Debug)]
enum Step {
    Call { call: u64, repeatable: bool, timeout_ms: u64 },
    Cancel(u64),
    Head { which: usize, status: u16, kind: usize, session: bool },
    Answer { which: usize, kind: usize },
    Bytes { which: usize, bytes: Vec<u8> },
    End(usize),
    Fail { which: usize, kind: usize },
    Good(usize),
    Token(bool),
    Pass(u64),
    Relist,
    TokenDropped,
    Probe,
    Reconnect,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop::sample::select(vec![
        200_u16, 202, 204, 301, 400, 401, 403, 404, 405, 408, 429, 500, 502, 503,
    ]);
    prop_oneof![
        8 => (0_u64..30, any::<bool>(), 0_u64..20_000)
            .prop_map(|(call, repeatable, timeout_ms)| Step::Call { call, repeatable, timeout_ms }),
        1 => (0_u64..30).prop_map(Step::Cancel),
        4 => (0_usize..12, status, 0_usize..5, any::<bool>()).prop_map(
            |(which, status, kind, session)| Step::Head { which, status, kind, session }),
        4 => (0_usize..12, 0_usize..6).prop_map(|(which, kind)| Step::Answer { which, kind }),
        1 => (0_usize..12, prop::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(which, bytes)| Step::Bytes { which, bytes }),
        3 => (0_usize..12).prop_map(Step::End),
        3 => (0_usize..12, 0_usize..9).prop_map(|(which, kind)| Step::Fail { which, kind }),
        12 => (0_usize..4).prop_map(Step::Good),
        2 => any::<bool>().prop_map(Step::Token),
        4 => (0_u64..6_000).prop_map(Step::Pass),
        1 => Just(Step::Relist),
        1 => Just(Step::TokenDropped),
        1 => Just(Step::Probe),
        1 => Just(Step::Reconnect),
    ]
}

fn failure(kind: usize) -> HttpFailure {
    let text = || "x".to_string();
    match kind {
        0 => HttpFailure::Refused(text()),
        1 => HttpFailure::Unresolved(text()),
        2 => HttpFailure::Tls(text()),
        3 => HttpFailure::TimedOut,
        4 => HttpFailure::Reset(text()),
        5 => HttpFailure::Cut(text()),
        6 => HttpFailure::TooLarge { limit: 1 },
        7 => HttpFailure::ConnectTimedOut,
        _ => HttpFailure::Other(text()),
    }
}

/// The world below the peer.
struct Server {
    open: Vec<Sent>,
    headed: BTreeSet<ExchangeId>,
    /// Calls by their request, and whether each may be repeated.
    repeatable: BTreeMap<u64, bool>,
    /// Requests that the server may have acted on.
    may_have_run: BTreeSet<u64>,
    fetching: bool,
}

impl Server {
    /// Looks at what the peer has asked for since.
    fn see(&mut self, bench: &mut Bench) {
        for effect in core::mem::take(&mut bench.out) {
            match &effect {
                Effect::Exchange { exchange, request } => {
                    let sent = Sent::of(*exchange, request);
                    if sent.rpc() == "tools/call" {
                        let id = sent.body["id"].as_u64().expect("an id");
                        let repeatable = sent.body["params"]["r"] == json!(true);
                        self.repeatable.insert(id, repeatable);
                        assert!(
                            repeatable || !self.may_have_run.contains(&id),
                            "{id} may have run, and is sent again"
                        );
                    }
                    if sent.rpc() == "initialize" {
                        let is_open = |it: &Sent| !self.headed.contains(&it.exchange);
                        let other =
                            self.open.iter().any(|it| it.rpc() == "initialize" && is_open(it));
                        assert!(!other, "two handshakes at once");
                    }
                    self.open.push(sent);
                }
                Effect::Abort { exchange } => {
                    let before = self.open.len();
                    self.open.retain(|it| it.exchange != *exchange);
                    assert!(self.open.len() < before, "an exchange that is over is given up");
                }
                Effect::FetchToken { .. } => {
                    assert!(!self.fetching, "two tokens are fetched at once");
                    self.fetching = true;
                }
                _ => bench.out.push(effect),
            }
        }
    }

    fn pick(&self, which: usize) -> Option<&Sent> {
        self.open.get(which % self.open.len().max(1))
    }

    fn ran(&mut self, exchange: ExchangeId) {
        let sent = self.open.iter().find(|it| it.exchange == exchange);
        if let Some(id) = sent.and_then(|it| it.body["id"].as_u64()) {
            self.may_have_run.insert(id);
        }
    }

    fn end(&mut self, bench: &mut Bench, exchange: ExchangeId) {
        if self.headed.contains(&exchange) {
            self.open.retain(|it| it.exchange != exchange);
            bench.event(Event::Ended { exchange });
        }
    }

    fn head(
        &mut self,
        bench: &mut Bench,
        exchange: ExchangeId,
        status: u16,
        kind: usize,
        session: bool,
    ) {
        if !self.headed.insert(exchange) {
            return;
        }
        // 503 with a time to come back is a refusal.
        let is_refusal = status == 503 && kind > 3;
        if matches!(status, 200..300 | 408 | 500..600) && !is_refusal {
            self.ran(exchange);
        }
        let mut headers: Vec<(&str, &[u8])> = match kind {
            0 | 1 => JSON.to_vec(),
            2 => EVENTS.to_vec(),
            3 => vec![("content-type", b"text/html"), ("www-authenticate", b"Bearer")],
            _ => vec![("retry-after", b"2")],
        };
        if session {
            headers.push(("mcp-session-id", b"s"));
        }
        bench.event(Event::Head { exchange, head: Head::new(status, headers) });
    }

    /// Answers as a server should.
    fn good(&mut self, bench: &mut Bench, which: usize) {
        let Some(sent) = self.pick(which) else { return };
        let (exchange, rpc, id) = (sent.exchange, sent.rpc().to_string(), sent.body["id"].clone());
        let result = match rpc.as_str() {
            "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}),
            "tools/list" => json!({"tools": []}),
            "" | "notifications/initialized" | "notifications/cancelled" => {
                let status = if rpc.is_empty() { 405 } else { 202 };
                self.head(bench, exchange, status, 9, false);
                self.see(bench);
                return self.end(bench, exchange);
            }
            _ => json!({}),
        };
        self.head(bench, exchange, 200, 0, which == 1);
        let text = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        bench.event(Event::Chunk { exchange, bytes: text.into_bytes() });
        self.see(bench);
        self.end(bench, exchange);
    }
}

fn count(bench: &mut Bench, open: &mut BTreeMap<u64, i64>) {
    for (call, _) in bench.outcomes() {
        *open.entry(call).or_default() -= 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn each_call_has_exactly_one_outcome_and_none_runs_twice(
        steps in prop::collection::vec(step(), 0..150),
        oauth in any::<bool>(),
        endpoints in 1_usize..4,
        sse in prop::bool::weighted(0.2),
        closes in any::<prop::sample::Index>(),
    ) {
        let mut steps = steps;
        let at = closes.index(steps.len() + 1);
        steps.insert(at.max(steps.len() / 2), Step::Close);
        let urls = ["https://a.example/m", "https://b.example/m", "https://c.example/m"];
        let transport = if sse { Transport::Sse } else { Transport::Http };
        let spec = RemoteSpec { requires_oauth: oauth, transport, ..spec(&urls[..endpoints]) };
        let mut bench = Bench::with(spec);
        let mut server = Server {
            open: vec![],
            headed: BTreeSet::new(),
            repeatable: BTreeMap::new(),
            may_have_run: BTreeSet::new(),
            fetching: false,
        };
        let mut open: BTreeMap<u64, i64> = BTreeMap::new();
        let mut tokens = 0;
        bench.event(Event::Opened);
        for step in steps {
            server.see(&mut bench);
            match step {
                Step::Call { call, repeatable, timeout_ms } => {
                    *open.entry(call).or_default() += 1;
                    let params = json!({"r": repeatable, "_meta": {"progressToken": "p"}});
                    bench.event(Event::Called(Call {
                        id: CallId(call),
                        method: "tools/call".to_string(),
                        params: RawValue::from_string(params.to_string()).ok(),
                        timeout_ms,
                        repeatable,
                    }));
                }
                Step::Cancel(call) => {
                    bench.event(Event::Cancelled { call: CallId(call), reason: None });
                }
                Step::Head { which, status, kind, session } => {
                    let exchange = server.pick(which).map(|it| it.exchange);
                    if let Some(exchange) = exchange {
                        server.head(&mut bench, exchange, status, kind, session);
                    }
                }
                Step::Answer { which, kind } => {
                    let Some(sent) = server.pick(which) else { continue };
                    let (exchange, id) = (sent.exchange, sent.body["id"].clone());
                    let message = match kind {
                        0 => json!({"jsonrpc": "2.0", "id": id, "error": {"code": 1, "message": "no"}}),
                        1 => json!({"jsonrpc": "2.0", "id": 77, "result": {}}),
                        2 => json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
                        3 => json!({"jsonrpc": "2.0", "id": "s", "method": "ping"}),
                        4 => json!("/messages"),
                        _ => json!({"jsonrpc": "2.0", "id": id, "result": {
                            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}}),
                    };
                    let name = if kind == 4 { "endpoint" } else { "message" };
                    let text = match kind {
                        4 => format!("event: {name}\ndata: /messages\n\n"),
                        _ => format!("id: e{kind}\nevent: {name}\ndata: {message}\n\n"),
                    };
                    if server.headed.contains(&exchange) {
                        bench.event(Event::Chunk { exchange, bytes: text.into_bytes() });
                    }
                }
                Step::Bytes { which, bytes } => {
                    if let Some(exchange) = server.pick(which).map(|it| it.exchange) {
                        bench.event(Event::Chunk { exchange, bytes });
                    }
                }
                Step::End(which) => {
                    if let Some(exchange) = server.pick(which).map(|it| it.exchange) {
                        server.end(&mut bench, exchange);
                    }
                }
                Step::Fail { which, kind } => {
                    if let Some(exchange) = server.pick(which).map(|it| it.exchange) {
                        let failure = failure(kind);
                        if server.headed.contains(&exchange) || !failure.has_no_side_effects() {
                            server.ran(exchange);
                        }
                        server.open.retain(|it| it.exchange != exchange);
                        bench.event(Event::Failed { exchange, failure });
                    }
                }
                Step::Good(which) => server.good(&mut bench, which),
                Step::Token(is_good) => {
                    if core::mem::take(&mut server.fetching) {
                        tokens += 1;
                        let failure = Failure::new(Fault::AuthorisationNeeded, "sign in");
                        bench.event(if is_good { token(tokens) } else { Event::Token(Err(failure)) });
                    }
                }
                Step::Pass(milliseconds) => {
                    let end = bench.now.after(milliseconds);
                    while let Some(next) = bench.peer.next_deadline().filter(|it| it.at <= end) {
                        bench.now = bench.now.max(next.at);
                        bench.event(Event::Tick);
                        server.see(&mut bench);
                    }
                    bench.now = end;
                }
                Step::Relist => { bench.event(Event::Relist); }
                Step::TokenDropped => { bench.event(Event::TokenDropped); }
                Step::Probe => { bench.event(Event::Probed); }
                Step::Reconnect => { bench.event(Event::Reconnect); }
                Step::Close => { bench.event(Event::Close); }
            }
            count(&mut bench, &mut open);
            let waiting: i64 = open.values().sum();
            prop_assert!(open.values().all(|n| (0..=1).contains(n)), "{:?}", open);
            prop_assert_eq!(waiting, bench.peer.in_flight() as i64);
            prop_assert!(waiting == 0 || bench.peer.next_deadline().is_some());
        }
        server.see(&mut bench);
        count(&mut bench, &mut open);
        prop_assert!(open.values().all(|n| *n == 0), "{:?}", open);
        bench.after(60_000);
        server.see(&mut bench);
        prop_assert!(server.open.is_empty(), "{:?}", server.open);
        prop_assert_eq!(bench.peer.next_deadline(), None);
    }
}
