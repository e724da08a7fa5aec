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

#[test]
fn no_repeatable_call_fails_with_one_endpoint_gone() {
    for session in [None, Some("s")] {
        let mut bench = Bench::ready_with(spec(&TWO), session);
        let mut outcomes = vec![];
        for id in 0..64 {
            bench.call(id, true);
        }
        for _ in 0..200 {
            for sent in bench.requests() {
                let is_initialize = sent.rpc() == "initialize";
                match host(&sent) {
                    "a" if id_is_odd(&sent) => {
                        bench.fail(&sent, reset());
                    }
                    "a" => {
                        bench.fail(&sent, refused());
                    }
                    _ if is_initialize => {
                        let body = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": {
                            "protocolVersion": "2025-06-18", "capabilities": {}}});
                        let mut headers = JSON.to_vec();
                        if let Some(session) = session {
                            headers.push(("mcp-session-id", session.as_bytes()));
                        }
                        bench.answer(&sent, 200, &headers, &body.to_string());
                    }
                    _ if sent.method == Method::Get => bench.answer(&sent, 405, &[], ""),
                    _ if sent.rpc() == "notifications/initialized" => {
                        bench.answer(&sent, 202, &[], "")
                    }
                    _ => bench.result(&sent),
                }
            }
            bench.after(20);
            outcomes.extend(bench.outcomes());
        }
        assert_eq!(outcomes.len(), 64);
        let failed: Vec<_> =
            outcomes.iter().filter(|(_, it)| !matches!(it, CallOutcome::Result(_))).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

fn id_is_odd(sent: &Sent) -> bool {
    sent.body["id"].as_u64().is_some_and(|id| id % 2 == 1)
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
