//! Sessions: kept, forgotten by the server, begun anew, ended; and streams taken up again.

use super::*;

fn calls(bench: &mut Bench) -> Vec<Sent> {
    bench.take(|sent| sent.rpc() == "tools/call")
}

#[test]
fn a_forgotten_session_is_begun_anew_once_for_all_calls() {
    let mut bench = Bench::ready(Some("s1"));
    for id in 0..64 {
        bench.call(id, false);
    }
    for sent in calls(&mut bench) {
        assert_eq!(sent.header("mcp-session-id"), Some("s1"));
        bench.answer(&sent, 404, &[], "");
    }
    bench.greet(Some("s2"));
    let again = calls(&mut bench);
    assert_eq!(again.len(), 64);
    for sent in &again {
        assert_eq!(sent.header("mcp-session-id"), Some("s2"));
        bench.result(sent);
    }
    let outcomes = bench.outcomes();
    assert!(outcomes.iter().all(|(_, it)| matches!(it, CallOutcome::Result(_))), "{outcomes:?}");
    let reports = bench.reports();
    assert!(!reports.iter().any(|it| matches!(it, Report::Initialized)), "nobody asked for it");
    assert!(reports.iter().any(|it| matches!(it, Report::Listed(_))), "its tools may be others");
}

#[test]
fn a_session_that_is_not_known_under_status_400_is_begun_anew_once() {
    let refused = |bench: &mut Bench, sent: &Sent, code: i64| {
        let body = json!({"jsonrpc": "2.0", "id": sent.body["id"],
            "error": {"code": code, "message": "no"}});
        bench.answer(sent, 400, JSON, &body.to_string());
    };
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, false);
    let sent = bench.sent("tools/call");
    refused(&mut bench, &sent, -32_000);
    bench.greet(Some("s2"));
    let sent = bench.sent("tools/call");
    assert_eq!(sent.header("mcp-session-id"), Some("s2"));
    bench.result(&sent);
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));

    // One that is refused for another reason is answered so.
    bench.call(2, false);
    let sent = bench.sent("tools/call");
    refused(&mut bench, &sent, -32_602);
    assert!(matches!(bench.outcome(), CallOutcome::Error(_)));
    assert!(bench.take(|sent| sent.rpc() == "initialize").is_empty());
    bench.call(3, false);
    let sent = bench.sent("tools/call");
    refused(&mut bench, &sent, -32_000);
    bench.greet(Some("s3"));
    let sent = bench.sent("tools/call");
    refused(&mut bench, &sent, -32_000);
    assert!(matches!(bench.outcome(), CallOutcome::Error(_)));
}

#[test]
fn a_server_that_forgets_every_session_is_asked_twice() {
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, true);
    let sent = bench.sent("tools/call");
    bench.answer(&sent, 404, &[], "");
    bench.greet(Some("s2"));
    let sent = bench.sent("tools/call");
    bench.answer(&sent, 404, &[], "");
    assert_eq!(unreached(&bench.outcome()), Some(Fault::Broken));
    assert!(calls(&mut bench).is_empty());
}

#[test]
fn without_a_session_404_is_a_wrong_address() {
    let mut bench = Bench::ready(None);
    bench.call(1, true);
    let sent = bench.sent("tools/call");
    bench.answer(&sent, 404, &[], "");
    assert_eq!(unreached(&bench.outcome()), Some(Fault::Broken));
    assert!(bench.requests().is_empty());
}

#[test]
fn a_reconnection_asks_for_everything_and_calls_wait_for_it() {
    let mut bench = Bench::ready(Some("s1"));
    bench.event(Event::Reconnect);
    assert_eq!(bench.event(Event::Reconnect), Verdict::Ignored("under way already"));
    bench.call(1, false);
    let goodbye = bench.take(|sent| sent.method == Method::Delete);
    assert_eq!(goodbye[0].header("mcp-session-id"), Some("s1"));
    bench.greet(Some("s2"));
    let reports: Vec<Report> = bench.reports();
    let initialized = reports.iter().position(|it| matches!(it, Report::Initialized));
    let listed = reports.iter().position(|it| matches!(it, Report::Listed(_)));
    assert!(initialized.is_some() && initialized < listed, "{reports:?}");
    let sent = bench.sent("tools/call");
    assert_eq!(sent.header("mcp-session-id"), Some("s2"));
}

#[test]
fn lists_that_are_wanted_while_a_session_is_begun_anew_are_asked_for_once() {
    let mut bench = Bench::ready(Some("s1"));
    bench.event(Event::Reconnect);
    assert_eq!(bench.event(Event::Relist), Verdict::Handled);
    // It greets, and finds one question for the lists.
    bench.greet(Some("s2"));
    let listed = |it: &Report| matches!(it, Report::Listed(_));
    assert_eq!(bench.reports().iter().filter(|it| listed(it)).count(), 1);
    bench.after(60_000);
    assert!(bench.take(|sent| sent.rpc() == "tools/list").is_empty());
}

#[test]
fn a_reconnection_begins_anew_where_the_lists_of_the_one_before_were_given_up() {
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, false);
    let sent = bench.sent("tools/call");
    bench.answer(&sent, 404, &[], "");
    let asked = bench.sent("initialize");
    let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}});
    bench.answer(&asked, 200, JSON, &greeting.to_string());
    // Nothing comes of the notice that follows, and the lists wait for it in vain.
    let notice = bench.sent("notifications/initialized");
    bench.after(29_000);
    assert!(!bench.aborted(notice.exchange));
    bench.after(2_000);
    assert!(bench.reports().iter().any(|it| matches!(it, Report::ListsStale { .. })));
    bench.requests();

    assert_eq!(bench.event(Event::Reconnect), Verdict::Handled);
    bench.greet(Some("s2"));
    assert!(bench.reports().iter().any(|it| matches!(it, Report::Listed(_))));
    assert_eq!(bench.event(Event::Reconnect), Verdict::Handled, "the last one is over");
}

#[test]
fn a_failed_reconnection_loses_nothing() {
    let mut bench = Bench::ready(None);
    bench.event(Event::Reconnect);
    for _ in 0..4 {
        let sent = bench.sent("initialize");
        bench.fail(&sent, refused());
        bench.after(2_600);
    }
    assert_eq!(bench.faults(), [Fault::Unreachable]);
    // A call is still tried, and brings the session back.
    bench.call(1, false);
    bench.greet(None);
    let sent = bench.sent("tools/call");
    bench.result(&sent);
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
}

#[test]
fn a_call_that_is_greeted_again_after_a_failure_is_the_discovery() {
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, false);
    let sent = bench.sent("tools/call");
    bench.fail(&sent, reset());
    bench.reports();
    bench.call(2, false);
    let sent = bench.sent("tools/call");
    bench.answer(&sent, 404, &[], "");
    let asked = bench.sent("initialize");
    let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}});
    bench.answer(&asked, 200, JSON, &greeting.to_string());
    let reports = bench.reports();
    let is_told =
        matches!(reports[..], [Report::Reached { discovers: true, .. }, .., Report::Initialized]);
    assert!(is_told, "{reports:?}");
    let told = bench.sent("notifications/initialized");
    bench.answer(&told, 202, &[], "");
    // Whoever asks for a discovery gets the one that is under way.
    assert_eq!(bench.event(Event::Reconnect), Verdict::Handled);
    let asked = bench.sent("tools/list");
    let tools = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {"tools": []}});
    bench.answer(&asked, 200, JSON, &tools.to_string());
    let reports = bench.reports();
    let listed = reports.iter().filter(|it| matches!(it, Report::Listed(_))).count();
    assert_eq!(listed, 1, "{reports:?}");
    let left = bench.take(|sent| matches!(sent.rpc(), "initialize" | "tools/list"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_server_that_was_never_reached_can_be_reached_later() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    for _ in 0..4 {
        let sent = bench.sent("initialize");
        bench.fail(&sent, refused());
        bench.after(2_600);
    }
    assert_eq!(bench.faults(), [Fault::Unreachable]);
    bench.event(Event::Reconnect);
    bench.greet(Some("s"));
    let reports = bench.reports();
    assert!(reports.iter().any(|it| matches!(it, Report::Initialized)), "{reports:?}");
    assert!(reports.iter().any(|it| matches!(it, Report::Listed(_))), "{reports:?}");
}

#[test]
fn closing_ends_every_call_and_says_goodbye() {
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, true);
    let sent = bench.sent("tools/call");
    bench.call(2, false);
    let unsent = bench.sent("tools/call");
    bench.fail(&unsent, refused());
    bench.event(Event::Close);
    let outcomes = bench.outcomes();
    let of = |call| outcomes.iter().find(|(it, _)| *it == call).map(|(_, outcome)| outcome);
    assert!(matches!(of(1), Some(CallOutcome::OutcomeUnknown { .. })));
    assert!(matches!(of(2), Some(CallOutcome::RejectedBeforeSend(Rejection::Closed { .. }))));
    assert!(bench.aborted(sent.exchange));
    let goodbye = bench.requests();
    assert_eq!(goodbye.len(), 1);
    assert_eq!(
        (goodbye[0].method, goodbye[0].header("mcp-session-id")),
        (Method::Delete, Some("s1"))
    );
    assert!(matches!(bench.reports().last(), Some(Report::Closed { .. })));
    bench.call(3, true);
    assert!(matches!(bench.outcome(), CallOutcome::RejectedBeforeSend(Rejection::Closed { .. })));
    assert_eq!(bench.event(Event::Close), Verdict::Ignored("closed already"));
}

#[test]
fn a_broken_stream_is_taken_up_behind_its_last_event() {
    let mut bench = Bench::ready(Some("s1"));
    bench.call(1, false);
    let sent = bench.sent("tools/call");
    bench.head(&sent, 200, EVENTS);
    bench.chunk(&sent, "id: e-7\nretry: 2000\ndata:\n\n");
    bench.fail(&sent, HttpFailure::Cut("gone".into()));
    bench.after(1_900);
    assert!(bench.requests().is_empty());
    bench.after(1_000);
    let rest = bench.requests().remove(0);
    assert_eq!((rest.method, rest.header("last-event-id")), (Method::Get, Some("e-7")));
    assert_eq!(rest.header("mcp-session-id"), Some("s1"));
    bench.head(&rest, 200, EVENTS);
    let answer = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": {}});
    bench.chunk(&rest, &format!("id: e-8\ndata: {answer}\n\n"));
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
}

#[test]
fn a_stream_that_cannot_be_taken_up_leaves_the_outcome_unknown() {
    for refusal in [Err(405), Ok(refused()), Ok(HttpFailure::Tls("no".into()))] {
        let mut bench = Bench::ready(Some("s1"));
        bench.call(1, false);
        let sent = bench.sent("tools/call");
        bench.head(&sent, 200, EVENTS);
        bench.chunk(&sent, "id: e-7\ndata:\n\n");
        bench.end(&sent);
        for _ in 0..10 {
            bench.after(1_500);
            for rest in bench.take(|sent| sent.header("last-event-id") == Some("e-7")) {
                match &refusal {
                    Err(status) => bench.answer(&rest, *status, &[], ""),
                    Ok(failure) => {
                        bench.fail(&rest, failure.clone());
                    }
                }
            }
        }
        assert!(matches!(bench.outcome(), CallOutcome::OutcomeUnknown { .. }));
        assert!(calls(&mut bench).is_empty());
    }
}

#[test]
fn a_server_that_knows_no_session_at_all_is_not_greeted_again_and_again() {
    let mut bench = Bench::ready(Some("s1"));
    bench.event(Event::Relist);
    let mut handshakes = 0;
    for _ in 0..50 {
        for sent in bench.requests() {
            if sent.rpc() == "initialize" {
                handshakes += 1;
                let greeting = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": {
                    "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}});
                let mut headers = JSON.to_vec();
                headers.push(("mcp-session-id", b"s2"));
                bench.answer(&sent, 200, &headers, &greeting.to_string());
            } else {
                bench.answer(&sent, 404, &[], "");
            }
        }
        bench.after(1_000);
    }
    assert_eq!(handshakes, 1);
    assert_eq!(bench.faults(), [Fault::Broken]);
}

#[test]
fn a_stream_that_is_not_found_is_no_lost_session() {
    let mut bench = Bench::new();
    bench.event(Event::Opened);
    let asked = bench.sent("initialize");
    let greeting = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": {
        "protocolVersion": "2025-11-25", "capabilities": {}}});
    let mut headers = JSON.to_vec();
    headers.push(("mcp-session-id", b"s1"));
    bench.answer(&asked, 200, &headers, &greeting.to_string());
    let told = bench.sent("notifications/initialized");
    bench.answer(&told, 202, &[], "");
    let listening = bench.requests().remove(0);
    bench.answer(&listening, 404, &[], "");
    bench.after(100_000);
    assert!(bench.requests().is_empty());
}
