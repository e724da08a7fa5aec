//! The older transport: found out, spoken, and lost.

use super::*;

fn stream(bench: &mut Bench) -> Sent {
    let mut found = bench.take(|sent| sent.method == Method::Get);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn say(bench: &mut Bench, stream: &Sent, message: &Value) {
    bench.chunk(stream, &format!("event: message\ndata: {message}\n\n"));
}

/// Opens the stream and ends the handshake.
fn open(bench: &mut Bench) -> Sent {
    let stream = stream(bench);
    bench.head(&stream, 200, EVENTS);
    bench.chunk(&stream, "event: endpoint\ndata: /messages?sessionId=a1\n\n");
    let asked = bench.sent("initialize");
    assert_eq!(asked.url, "https://one.example/messages?sessionId=a1&api%20key=q%261");
    bench.answer(&asked, 202, &[], "");
    say(
        bench,
        &stream,
        &json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}}),
    );
    let told = bench.sent("notifications/initialized");
    bench.answer(&told, 202, &[], "");
    let asked = bench.sent("tools/list");
    bench.answer(&asked, 202, &[], "");
    say(
        bench,
        &stream,
        &json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {"tools": []}}),
    );
    stream
}

fn found_out() -> (Bench, Sent) {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let asked = bench.sent("initialize");
    bench.answer(&asked, 405, &[], "");
    let stream = open(&mut bench);
    (bench, stream)
}

#[test]
fn a_server_that_refuses_the_newer_form_is_spoken_to_in_the_older() {
    let (mut bench, stream) = found_out();
    assert!(bench.reports().iter().any(|it| matches!(it, Report::Listed(_))));
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    // The answer may come before the message was even accepted.
    say(
        &mut bench,
        &stream,
        &json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": asked.body["id"], "progress": 1}}),
    );
    assert!(bench.out.iter().any(|it| matches!(it, Effect::NotifyCall { .. })));
    say(&mut bench, &stream, &json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {}}));
    bench.answer(&asked, 202, &[], "");
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    assert!(bench.faults().is_empty());
}

#[test]
fn a_server_configured_for_the_older_form_is_never_posted_to_first() {
    let mut bench =
        Bench::with(RemoteSpec { transport: Transport::Sse, ..spec(&["https://one.example/sse"]) });
    bench.event(Event::Opened);
    open(&mut bench);
    assert!(bench.reports().iter().any(|it| matches!(it, Report::Listed(_))));
}

#[test]
fn messages_are_posted_to_the_servers_own_origin_only() {
    for named in
        ["https://two.example/m", "http://one.example/m", "//two.example/m", "file:///x", ""]
    {
        let mut bench = Bench::with(RemoteSpec {
            transport: Transport::Sse,
            ..spec(&["https://one.example/sse"])
        });
        bench.event(Event::Opened);
        let stream = stream(&mut bench);
        bench.head(&stream, 200, EVENTS);
        bench.chunk(&stream, &format!("event: endpoint\ndata: {named}\n\n"));
        let posted = bench.requests();
        if named.is_empty() {
            // An event without data names nothing.
            assert!(posted.is_empty());
        } else {
            assert!(posted.is_empty(), "{named}: {posted:?}");
            assert_eq!(bench.faults(), [Fault::Broken], "{named}");
        }
    }
}

#[test]
fn a_server_that_speaks_neither_form_is_known_by_what_it_said_first() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let asked = bench.sent("initialize");
    bench.answer(&asked, 404, &[], "");
    let stream = stream(&mut bench);
    bench.answer(&stream, 405, &[], "");
    let reports = bench.reports();
    let failed = reports.iter().find_map(|it| match it {
        Report::Failed(failure) => Some(failure),
        _ => None,
    });
    let failed = failed.expect("a failure");
    assert_eq!(failed.fault, Fault::Broken);
    assert!(failed.message.contains("status 404"), "{failed:?}");
    bench.event(Event::Reconnect);
    bench.sent("initialize");
}

#[test]
fn with_the_stream_go_the_calls_that_may_not_be_repeated() {
    let (mut bench, stream) = found_out();
    bench.out.clear();
    for (call, repeatable) in [(1, false), (2, true)] {
        bench.call(call, repeatable);
        let asked = bench.sent("tools/call");
        bench.answer(&asked, 202, &[], "");
    }
    bench.fail(&stream, HttpFailure::Cut("gone".into()));
    let outcomes = bench.outcomes();
    assert_eq!(outcomes.len(), 1);
    assert!(matches!(outcomes[0], (1, CallOutcome::OutcomeUnknown { .. })), "{outcomes:?}");
    bench.after(700);
    let stream = open(&mut bench);
    let asked = bench.sent("tools/call");
    bench.answer(&asked, 202, &[], "");
    say(&mut bench, &stream, &json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {}}));
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
}

#[test]
fn a_stream_that_carries_calls_outlives_a_reconnection() {
    let (mut bench, stream) = found_out();
    bench.out.clear();
    bench.call(1, false);
    let asked = bench.sent("tools/call");
    bench.answer(&asked, 202, &[], "");
    bench.event(Event::Reconnect);
    let lists = bench.sent("tools/list");
    bench.answer(&lists, 202, &[], "");
    for (sent, result) in [(&lists, json!({"tools": []})), (&asked, json!({}))] {
        let answer = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": result});
        say(&mut bench, &stream, &answer);
    }
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    let reports = bench.reports();
    let initialized = reports.iter().position(|it| matches!(it, Report::Initialized));
    let listed = reports.iter().position(|it| matches!(it, Report::Listed(_)));
    assert!(initialized.is_some() && initialized < listed, "{reports:?}");
}
