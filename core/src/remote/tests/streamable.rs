//! Streamable HTTP as servers speak it: well, badly, and not at all.

use super::*;
use crate::limits::{MESSAGE_MAX_BYTES, REMOTE_EXCHANGES_MAX};

#[test]
fn a_handshake_goes_by_the_specification() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let asked = bench.sent("initialize");
    assert_eq!(asked.url, "https://one.example/mcp?api%20key=q%261");
    assert_eq!(asked.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(asked.header("x-key"), Some("k1"));
    assert_eq!(
        (asked.header("mcp-session-id"), asked.header("mcp-protocol-version")),
        (None, None)
    );
    let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}});
    let mut headers = JSON.to_vec();
    headers.push(("mcp-session-id", b"s-1"));
    bench.answer(&asked, 200, &headers, &greeting.to_string());
    let told = bench.sent("notifications/initialized");
    assert_eq!(told.header("mcp-session-id"), Some("s-1"));
    assert_eq!(told.header("mcp-protocol-version"), Some("2025-06-18"));
    assert!(bench.requests().is_empty(), "nothing is asked before the server knows");
    bench.answer(&told, 202, &[], "");
    let requests = bench.requests();
    let methods: Vec<(Method, &str)> = requests.iter().map(|it| (it.method, it.rpc())).collect();
    assert_eq!(methods, [(Method::Get, ""), (Method::Post, "tools/list")]);
    assert_eq!(requests[0].header("accept"), Some("text/event-stream"));
    assert!(requests.iter().all(|it| it.header("mcp-session-id") == Some("s-1")));
    let told = bench.reports();
    assert!(told.iter().any(|it| matches!(it, Report::Initialized)), "{told:?}");
    assert!(told.iter().any(|it| matches!(it, Report::Reached { .. })), "{told:?}");
}

#[test]
fn an_answer_comes_as_json_however_it_is_set() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    assert_eq!(asked.body["params"]["_meta"]["progressToken"], asked.body["id"]);
    bench.head(&asked, 200, JSON);
    let text = format!(
        "{{\r\n \"jsonrpc\":\"2.0\",\n\"id\":{},\"result\":{{\"x\":1}}}}\n",
        asked.body["id"]
    );
    for piece in text.as_bytes().chunks(3) {
        bench.event(Event::Chunk { exchange: asked.exchange, bytes: piece.to_vec() });
    }
    assert!(bench.outcomes().is_empty());
    bench.end(&asked);
    assert!(matches!(bench.outcome(), CallOutcome::Result(result) if result.get() == r#"{"x":1}"#));
    assert_eq!(bench.peer.exchanges(), 0);
}

#[test]
fn notifications_on_the_stream_of_a_call_belong_to_it() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    let id = &asked.body["id"];
    bench.head(&asked, 200, EVENTS);
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": id, "progress": 1}}),
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}),
        json!({"jsonrpc": "2.0", "id": "srv-1", "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": id, "result": {}}),
    ] {
        bench.chunk(&asked, &format!("event: message\ndata: {message}\n\n"));
    }
    let notes: Vec<u64> = bench
        .out
        .iter()
        .filter_map(|effect| match effect {
            Effect::NotifyCall { call, .. } => Some(call.0),
            _ => None,
        })
        .collect();
    assert_eq!(notes, [1, 1]);
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    let pong = bench.requests();
    assert_eq!(pong[0].body, json!({"jsonrpc": "2.0", "id": "srv-1", "result": {}}));
}

#[test]
fn a_stream_that_goes_on_after_its_answer_is_given_up_soon() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    bench.head(&asked, 200, EVENTS);
    let answer = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {}});
    bench.chunk(&asked, &format!("data: {answer}\n\n"));
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    // A second answer is late, and nobody's.
    bench.chunk(&asked, &format!("data: {answer}\n\n"));
    assert!(bench.outcomes().is_empty());
    bench.after(1_100);
    assert!(bench.aborted(asked.exchange));
    assert_eq!(bench.chunk(&asked, "data: x\n\n"), Verdict::Ignored("late"));
}

#[test]
fn comments_without_end_do_not_extend_a_call() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    bench.head(&asked, 200, EVENTS);
    for _ in 0..70 {
        bench.chunk(&asked, ": still here\n\n");
        bench.after(1_000);
    }
    assert!(matches!(bench.outcome(), CallOutcome::TimedOut { after_ms: 60_000 }));
    let told = bench.sent("notifications/cancelled");
    assert_eq!(told.body["params"]["requestId"], asked.body["id"]);
    assert!(bench.aborted(asked.exchange));
}

#[test]
fn a_cancelled_call_is_cancelled_by_a_message_of_its_own() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    bench.head(&asked, 200, EVENTS);
    bench.event(Event::Cancelled { call: CallId(1), reason: Some("enough".to_string()) });
    assert!(matches!(bench.outcome(), CallOutcome::Cancelled));
    let told = bench.sent("notifications/cancelled");
    assert_eq!(told.body["params"], json!({"requestId": asked.body["id"], "reason": "enough"}));
    assert!(bench.aborted(asked.exchange));
}

#[test]
fn what_is_no_answer_to_the_call_leaves_its_outcome_unknown() {
    let html: &[(&str, &[u8])] = &[("content-type", b"text/html")];
    for (headers, body) in [
        (html, "<html>"),
        (JSON, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
        (JSON, r#"{"jsonrpc":"2.0","id":"#),
        (JSON, ""),
        (&[], ""),
        (EVENTS, ""),
        (EVENTS, "data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n"),
    ] {
        let mut bench = Bench::ready(None);
        bench.call(1, false);
        let asked = bench.sent("tools/call");
        bench.answer(&asked, 200, headers, body);
        assert!(matches!(bench.outcome(), CallOutcome::OutcomeUnknown { .. }), "{body}");
        assert_eq!(bench.faults().len(), 1, "{body}");
        bench.after(10_000);
        assert!(bench.requests().iter().all(|it| it.rpc() != "tools/call"), "{body}");
    }
}

#[test]
fn an_answer_beyond_the_bound_is_refused_and_one_of_10_mib_passes() {
    let mut bench = Bench::ready(None);
    for (id, headers) in [(1, JSON), (2, EVENTS)] {
        bench.call(id, false);
        let asked = bench.sent("tools/call");
        bench.head(&asked, 200, headers);
        let data = if headers == JSON { "" } else { "data: " };
        let text = "x".repeat(10 * 1024 * 1024);
        let body = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {"text": text}});
        bench.chunk(&asked, &format!("{data}{body}\n\n"));
        bench.end(&asked);
        assert!(
            matches!(bench.outcome(), CallOutcome::Result(result) if result.get().len() > text.len())
        );
    }
    for (id, headers) in [(3, JSON), (4, EVENTS)] {
        bench.call(id, true);
        let asked = bench.sent("tools/call");
        bench.head(&asked, 200, headers);
        for _ in 0..=MESSAGE_MAX_BYTES / (1024 * 1024) {
            bench.chunk(&asked, &"x".repeat(1024 * 1024));
        }
        assert!(bench.aborted(asked.exchange));
        assert!(matches!(bench.outcome(), CallOutcome::OutcomeUnknown { .. }));
        assert_eq!(bench.faults(), if id == 3 { vec![Fault::Broken] } else { vec![] });
    }
}

#[test]
fn a_refusal_may_hold_the_answer() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    let error = json!({"jsonrpc": "2.0", "id": asked.body["id"],
        "error": {"code": -32602, "message": "no"}});
    bench.answer(&asked, 400, JSON, &error.to_string());
    assert!(matches!(bench.outcome(), CallOutcome::Error(_)));
    bench.call(2, false);
    let asked = bench.sent("tools/call");
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}});
    bench.answer(&asked, 400, JSON, &error.to_string());
    assert_eq!(unreached(&bench.outcome()), Some(Fault::Broken));
}

#[test]
fn the_servers_own_stream_is_read_and_asked_for_again() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let asked = bench.sent("initialize");
    let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2025-11-25", "capabilities": {}}});
    bench.answer(&asked, 200, JSON, &greeting.to_string());
    let told = bench.sent("notifications/initialized");
    bench.answer(&told, 202, &[], "");
    let mut listening = bench.requests().remove(0);
    assert_eq!((listening.method, listening.header("last-event-id")), (Method::Get, None));
    bench.head(&listening, 200, EVENTS);
    bench
        .chunk(&listening, "id: e1\nretry: 3000\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n");
    assert!(bench.out.iter().any(|it| matches!(it, Effect::NotifyAll { .. })));
    for _ in 0..3 {
        bench.end(&listening);
        bench.after(2_900);
        assert!(bench.requests().is_empty());
        bench.after(60_000);
        listening = bench.requests().remove(0);
        assert_eq!(listening.header("last-event-id"), Some("e1"));
        bench.head(&listening, 200, EVENTS);
    }
    assert!(bench.faults().is_empty());
}

#[test]
fn calls_beyond_the_bound_of_exchanges_wait_for_their_turn() {
    let mut bench = Bench::ready(None);
    for id in 0..300 {
        bench.call(id, false);
    }
    let sent = bench.take(|sent| sent.rpc() == "tools/call");
    assert_eq!(sent.len(), REMOTE_EXCHANGES_MAX);
    for sent in &sent {
        bench.result(sent);
    }
    let rest = bench.take(|sent| sent.rpc() == "tools/call");
    assert_eq!(rest.len(), 300 - REMOTE_EXCHANGES_MAX);
    assert_eq!(bench.outcomes().len(), REMOTE_EXCHANGES_MAX);
}
