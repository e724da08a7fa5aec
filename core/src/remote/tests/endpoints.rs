//! Several endpoints: who gets a message, and what becomes of it when one of them is gone.

use alloc::collections::BTreeMap;

use super::*;
use crate::limits::BREAKER_FAILURES_MAX;

const TWO: [&str; 2] = ["https://a.example/mcp", "https://b.example/mcp"];

fn host(sent: &Sent) -> &'static str {
    if sent.url.starts_with("https://a.") { "a" } else { "b" }
}

fn called(bench: &mut Bench) -> Vec<Sent> {
    bench.take(|sent| sent.rpc() == "tools/call")
}

#[test]
fn messages_without_a_session_go_where_there_is_least_to_do() {
    let mut bench = Bench::ready_with(spec(&TWO), None);
    for id in 0..10 {
        bench.call(id, false);
    }
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let sent = called(&mut bench);
    for sent in &sent {
        *counts.entry(host(sent)).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("a", 5), ("b", 5)]));
    let busy = host(&sent[0]);
    for sent in sent.iter().filter(|it| host(it) != busy) {
        bench.result(sent);
    }
    for id in 10..15 {
        bench.call(id, false);
    }
    assert!(called(&mut bench).iter().all(|it| host(it) != busy));
}

#[test]
fn a_session_stays_where_it_lives() {
    let mut bench = Bench::ready_with(spec(&TWO), Some("s"));
    for id in 0..20 {
        bench.call(id, false);
    }
    let sent = called(&mut bench);
    assert_eq!(sent.len(), 20);
    assert!(sent.iter().all(|it| host(it) == host(&sent[0])));
}

/// Answers whatever is asked of the endpoint `alive`, and fails what is asked of any other, until
/// nothing is asked for a while. What was sent of calls, in order.
fn serve(
    bench: &mut Bench,
    alive: &str,
    session: Option<&str>,
    fail: fn(&Sent) -> HttpFailure,
) -> Vec<(&'static str, u64)> {
    let mut of_calls = vec![];
    for _ in 0..200 {
        for sent in bench.requests() {
            if sent.rpc() == "tools/call" {
                of_calls.push((host(&sent), sent.body["id"].as_u64().unwrap()));
            }
            if host(&sent) != alive {
                let failure = fail(&sent);
                bench.fail(&sent, failure);
            } else if sent.rpc() == "initialize" {
                let body = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": {
                    "protocolVersion": "2025-06-18", "capabilities": {}}});
                let mut headers = JSON.to_vec();
                if let Some(session) = session {
                    headers.push(("mcp-session-id", session.as_bytes()));
                }
                bench.answer(&sent, 200, &headers, &body.to_string());
            } else if sent.method == Method::Get {
                bench.answer(&sent, 405, &[], "");
            } else if sent.body["id"].is_null() {
                bench.answer(&sent, 202, &[], "");
            } else {
                if sent.rpc() == "tools/call" {
                    assert_eq!(sent.header("mcp-session-id"), session);
                }
                bench.result(&sent);
            }
        }
        bench.after(20);
    }
    of_calls
}

fn always_reset(_: &Sent) -> HttpFailure {
    reset()
}

fn refused_or_reset(sent: &Sent) -> HttpFailure {
    if sent.body["id"].as_u64().is_some_and(|id| id % 2 == 1) { reset() } else { refused() }
}

#[test]
fn no_repeatable_call_fails_with_one_endpoint_gone() {
    for session in [None, Some("s")] {
        let mut bench = Bench::ready_with(spec(&TWO), session);
        for id in 0..64 {
            bench.call(id, true);
        }
        serve(&mut bench, "b", session, refused_or_reset);
        let outcomes = bench.outcomes();
        assert_eq!(outcomes.len(), 64);
        let failed: Vec<_> =
            outcomes.iter().filter(|(_, it)| !matches!(it, CallOutcome::Result(_))).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

#[test]
fn a_call_without_hints_is_lost_with_its_endpoint_or_goes_elsewhere_but_is_never_repeated() {
    for session in [None, Some("s")] {
        let mut bench = Bench::ready_with(spec(&TWO), session);
        for id in 0..64 {
            bench.call(id, false);
        }
        let sent = serve(&mut bench, "b", session, refused_or_reset);
        // One that was refused did not arrive; one that was reset may have run.
        let outcomes = bench.outcomes();
        assert_eq!(outcomes.len(), 64);
        let (mut lost, mut moved) = (0, 0);
        for (id, outcome) in outcomes {
            match outcome {
                CallOutcome::OutcomeUnknown { .. } => lost += 1,
                CallOutcome::Result(_) => moved += 1,
                other => panic!("{id}: {other:?}"),
            }
        }
        assert!(lost > 0 && moved > lost / 2, "{lost} {moved}");
        let mut arrived: BTreeMap<u64, u32> = BTreeMap::new();
        for (host, id) in sent {
            *arrived.entry(id).or_default() += u32::from(host == "b" || id % 2 == 1);
        }
        assert!(arrived.values().all(|times| *times == 1), "{arrived:?}");
        // The server as a whole goes on.
        assert_eq!(bench.faults(), []);
    }
}

#[test]
fn a_session_moves_to_an_endpoint_that_failed_earlier_and_may_be_back() {
    let mut bench = Bench::ready_with(spec(&TWO), Some("s"));
    let mut id = 0;
    let mut alive = "b";
    for round in 0..6 {
        for _ in 0..64 {
            id += 1;
            bench.call(id, true);
        }
        // Nothing was sent to the other endpoint since it failed: that it is back is not known.
        let sent = serve(&mut bench, alive, Some("s"), always_reset);
        assert!(sent.len() <= 2 * 64, "{round}: {}", sent.len());
        let outcomes = bench.outcomes();
        assert_eq!(outcomes.len(), 64, "{round}");
        let failed = outcomes.iter().find(|(_, it)| !matches!(it, CallOutcome::Result(_)));
        assert!(failed.is_none(), "{round}: {failed:?}");
        assert_eq!(bench.faults(), [], "{round}");
        alive = if alive == "a" { "b" } else { "a" };
    }
}

#[test]
fn a_server_all_of_whose_endpoints_are_gone_is_unreachable() {
    for session in [None, Some("s")] {
        let mut bench = Bench::ready_with(spec(&TWO), session);
        bench.call(1, true);
        serve(&mut bench, "none", session, always_reset);
        assert!(matches!(bench.outcome(), CallOutcome::OutcomeUnknown { .. }));
        assert_eq!(bench.faults().first(), Some(&Fault::Unreachable));
    }
}

#[test]
fn an_endpoint_that_is_back_is_tried_by_one_call_and_gets_its_share_slowly() {
    let mut bench = Bench::ready_with(spec(&TWO), None);
    let mut id = 0;
    let mut failures = 0;
    while failures < BREAKER_FAILURES_MAX {
        id += 1;
        bench.call(id, true);
        for sent in called(&mut bench) {
            if host(&sent) == "a" {
                failures += 1;
                bench.fail(&sent, refused());
            } else {
                bench.result(&sent);
            }
        }
        for sent in called(&mut bench) {
            bench.result(&sent);
        }
        assert!(id < 500, "the endpoint is never used");
    }
    let used = |bench: &mut Bench, id: &mut u64| {
        for _ in 0..40 {
            *id += 1;
            bench.call(*id, true);
        }
        let sent = called(bench);
        let count = sent.iter().filter(|it| host(it) == "a").count();
        for sent in &sent {
            bench.result(sent);
        }
        count
    };
    assert_eq!(used(&mut bench, &mut id), 0, "it rests");
    bench.after(2_000);
    assert_eq!(used(&mut bench, &mut id), 1, "one call tries it");
    let first = used(&mut bench, &mut id);
    bench.after(10_000);
    let later = used(&mut bench, &mut id);
    bench.after(30_000);
    assert!(first < later && first < 10, "{first} {later}");
    assert_eq!(used(&mut bench, &mut id), 20);
}

#[test]
fn a_call_that_is_lost_says_nothing_of_the_server_while_another_endpoint_may_be_back() {
    let fails = [always_reset as fn(&Sent) -> HttpFailure, refused_or_reset, |_| refused()];
    for (session, fail, repeatable) in [None, Some("s")]
        .into_iter()
        .flat_map(|session| fails.map(|fail| (session, fail)))
        .flat_map(|(session, fail)| [0, 1, 32, 64].map(|some| (session, fail, some)))
    {
        let mut bench = Bench::ready_with(spec(&TWO), session);
        let (mut id, mut alive) = (0, "b");
        for round in 0..6 {
            for at in 0..64 {
                id += 1;
                bench.call(id, at < repeatable);
            }
            serve(&mut bench, alive, session, fail);
            // Clients that come while the server moves are served as well.
            bench.call(id + 1, false);
            bench.call(id + 2, true);
            id += 2;
            serve(&mut bench, alive, session, fail);
            assert_eq!(bench.outcomes().len(), 66, "{round}");
            assert_eq!(bench.faults(), [], "{session:?} {repeatable} {round}");
            alive = if alive == "a" { "b" } else { "a" };
        }
    }
}
