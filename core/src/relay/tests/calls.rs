use super::*;
use crate::limits::{CALL_TIMEOUT_MAX_MS, CALLS_IN_FLIGHT_MAX, MESSAGE_MAX_BYTES};
use crate::{Refusal, limits};

#[test]
fn a_call_reaches_the_child_and_its_answer_the_client_word_for_word() {
    let mut bench = Bench::ready();
    assert_eq!(bench.call(7, "{\"name\":\"t\",\n \"x\":1.50}"), Verdict::Handled);
    let Some(Effect::Write(line)) = bench.out.first() else { panic!("{:?}", bench.out) };
    let line = String::from_utf8_lossy(line).to_string();
    assert!(
        line.ends_with("\"method\":\"tools/call\",\"params\":{\"name\":\"t\",  \"x\":1.50}}\n")
    );
    let id = bench.asked("tools/call");
    bench.read(&format!(r#"{{"result":{{ "n":1.50,"é":"\u0041" }},"id":{id},"jsonrpc":"2.0"}}"#));
    match bench.outcomes().as_slice() {
        [(7, CallOutcome::Result(raw))] => assert_eq!(raw.get(), r#"{ "n":1.50,"é":"\u0041" }"#),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_is_passed_on_and_counted() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    let error = r#"{"code":-32602,"message":"no","data":[1]}"#;
    bench.read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
    match bench.outcomes().as_slice() {
        [(7, CallOutcome::Error(raw))] => assert_eq!(raw.get(), error),
        other => panic!("{other:?}"),
    }
    bench.after(1_000);
    let last = bench.reports().pop();
    let counts = Activity { messages: 1, errors: 1, late: 0, in_flight: 0 };
    assert!(matches!(last, Some(Report::Activity(seen)) if seen == counts), "{last:?}");
}

#[test]
fn answers_of_the_wrong_form_become_errors_that_clients_understand() {
    for body in [
        r#""result":[1]"#,
        r#""result":null"#,
        r#""error":"no""#,
        r#""error":{"code":"x","message":"no"}"#,
    ] {
        let mut bench = Bench::ready();
        bench.call(7, "{}");
        let id = bench.asked("tools/call");
        bench.read(&format!(r#"{{"jsonrpc":"2.0","id":{id},{body}}}"#));
        match bench.outcomes().as_slice() {
            [(7, CallOutcome::Error(raw))] => {
                let error: Value = serde_json::from_str(raw.get()).expect("valid JSON");
                assert_eq!(error["code"], -32603, "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn an_answer_that_cannot_be_read_fails_its_call_at_once() {
    for body in [
        r#""jsonrpc":"2.0","id":ID,"result":{"v":NaN}"#,
        r#""result":{"a":1},"id":ID,"jsonrpc":"1.0""#,
        r#""jsonrpc":"2.0","id":ID"#,
        r#""jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"m"}"#,
    ] {
        let mut bench = Bench::ready();
        bench.call(7, "{}");
        let id = bench.asked("tools/call");
        bench.read(&format!("{{{}}}", body.replace("ID", &id.to_string())));
        let outcomes = bench.outcomes();
        assert!(matches!(outcomes.as_slice(), [(7, CallOutcome::OutcomeUnknown { .. })]), "{body}");
    }
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    let mut line = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"t":"x"}}}}"#).into_bytes();
    let at = line.iter().position(|b| *b == b'x').expect("an x");
    line[at] = 0xff;
    line.push(b'\n');
    bench.event(Event::Read(line));
    match bench.outcomes().as_slice() {
        [(7, CallOutcome::OutcomeUnknown { reason })] => assert!(reason.contains("UTF-8")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn noise_is_counted_and_skipped() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    bench.read("Server listening on stdio\n\n[info] {\n5");
    bench.read(&format!(r#"{{"level":50,"id":{id},"error":"a log line","method":"GET"}}"#));
    bench.read(&format!(r#"{{"level":50,"id":{id},"error":"another"}}"#));
    assert_eq!(bench.written(), Vec::<Value>::new());
    bench.read(r#"{"jsonrpc":"2.0","id":999,"result":{}}"#);
    assert_eq!(bench.outcomes().len(), 0);
    bench.after(1_000);
    let mut seen: Vec<_> = bench
        .reports()
        .into_iter()
        .filter_map(|report| match report {
            Report::Violation { what, count } => Some((what, count)),
            _ => None,
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("a line that is not JSON", 2),
            ("a message that is not JSON-RPC 2.0", 3),
            ("an answer to nothing", 1)
        ]
    );
}

#[test]
fn an_oversized_answer_fails_its_own_call_only() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let first = bench.asked("tools/call");
    bench.call(8, "{}");
    let second = bench.asked("tools/call");
    bench.event(Event::Read(
        format!(r#"{{"jsonrpc":"2.0","id":{second},"result":{{"t":""#).into_bytes(),
    ));
    for _ in 0..=MESSAGE_MAX_BYTES / 1_000_000 {
        bench.event(Event::Read(vec![b'x'; 1_000_000]));
    }
    match bench.outcomes().as_slice() {
        [(8, CallOutcome::OutcomeUnknown { reason })] => assert!(reason.contains("16777216 bytes")),
        other => panic!("{other:?}"),
    }
    bench.read(r#""}}"#);
    bench.say(&json!({"jsonrpc": "2.0", "id": first, "result": {}}));
    assert!(matches!(bench.outcomes().as_slice(), [(7, CallOutcome::Result(_))]));
}

#[test]
fn an_oversized_line_that_names_nobody_leaves_nobody_waiting() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    bench.call(8, "{}");
    bench.event(Event::Read(vec![b'x'; MESSAGE_MAX_BYTES + 1]));
    assert_eq!(bench.outcomes().len(), 0);
    bench.read("");
    assert_eq!(bench.outcomes().len(), 2);
    assert_eq!(bench.relay.in_flight(), 0);
}

#[test]
fn progress_comes_back_under_the_clients_own_token_and_gives_time() {
    let mut bench = Bench::ready();
    bench.call(7, r#"{"_meta":{"progressToken":"p"}}"#);
    let sent = bench.written();
    let id = sent[0]["id"].as_u64().expect("an id");
    assert_eq!(sent[0]["params"]["_meta"]["progressToken"], id);
    bench.after(9_000);
    let progress = |token: u64| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progress":1, "progressToken":{token}}}}}"#
        )
    };
    bench.read(&progress(id));
    bench.read(&progress(id + 5));
    assert_eq!(
        bench.notifications(),
        [(Some(7), progress(id).replace(&format!(":{id}}}"), ":\"p\"}"))]
    );
    bench.after(9_000);
    assert_eq!(bench.outcomes().len(), 0);
    bench.after(1_000);
    assert!(matches!(
        bench.outcomes().as_slice(),
        [(7, CallOutcome::TimedOut { after_ms: 19_000 })]
    ));
}

#[test]
fn progress_does_not_extend_a_call_for_ever() {
    let mut bench = Bench::ready();
    bench.call(7, r#"{"_meta":{"progressToken":1}}"#);
    let id = bench.asked("tools/call");
    let mut waited = 0;
    while bench.outcomes().is_empty() {
        waited += 5_000;
        assert!(waited <= CALL_TIMEOUT_MAX_MS);
        bench.after(5_000);
        bench.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": id, "progress": waited}}));
    }
    assert_eq!(waited, CALL_TIMEOUT_MAX_MS);
}

#[test]
fn a_call_without_progress_times_out_and_the_child_is_told() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    bench.after(1_000);
    assert_eq!(bench.relay.next_deadline().map(|d| d.at), Some(bench.now.after(9_000)));
    bench.after(9_000);
    let told = bench.written();
    assert_eq!(told[0]["method"], "notifications/cancelled");
    assert_eq!(told[0]["params"]["requestId"], id);
    assert!(matches!(
        bench.outcomes().as_slice(),
        [(7, CallOutcome::TimedOut { after_ms: 10_000 })]
    ));
    bench.say(&json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    assert_eq!(bench.outcomes().len(), 0);
    bench.after(1_000);
    let last = bench.reports().pop();
    assert!(matches!(last, Some(Report::Activity(Activity { late: 1, .. }))), "{last:?}");
}

#[test]
fn a_cancelled_call_ends_at_once_and_the_child_is_told_with_our_id() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    let cancel = |reason: Option<&str>| Event::Cancelled {
        call: CallId(7),
        reason: reason.map(ToString::to_string),
    };
    assert_eq!(bench.event(cancel(Some("user\n\"stopped\""))), Verdict::Handled);
    assert_eq!(
        bench.written(),
        [json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": id, "reason": "user \"stopped\""}})]
    );
    assert!(matches!(bench.outcomes().as_slice(), [(7, CallOutcome::Cancelled)]));
    assert_eq!(bench.event(cancel(None)), Verdict::Ignored("late"));
}

#[test]
fn when_the_pipes_close_every_call_is_answered_at_once() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    bench.call(8, "{}");
    bench.written();
    let closed = || Event::Closed { reason: "ended by SIGKILL".to_string() };
    assert_eq!(bench.event(closed()), Verdict::Moved);
    match bench.outcomes().as_slice() {
        [(7, CallOutcome::OutcomeUnknown { reason }), (8, CallOutcome::OutcomeUnknown { .. })] => {
            assert_eq!(reason, "ended by SIGKILL");
        }
        other => panic!("{other:?}"),
    }
    let reports = bench.reports();
    assert!(matches!(reports.last(), Some(Report::Closed { .. })), "{reports:?}");
    assert_eq!(bench.event(closed()), Verdict::Ignored("closed already"));
    bench.call(9, "{}");
    match bench.outcomes().as_slice() {
        [(9, CallOutcome::RejectedBeforeSend(Rejection::Closed { reason }))] => {
            assert_eq!(reason, "ended by SIGKILL");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.written(), Vec::<Value>::new());
    assert_eq!(bench.relay.next_deadline(), None);
}

#[test]
fn a_last_answer_without_a_line_end_counts() {
    let mut bench = Bench::ready();
    bench.call(7, "{}");
    let id = bench.asked("tools/call");
    bench
        .event(Event::Read(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into_bytes()));
    assert_eq!(bench.outcomes().len(), 0);
    bench.event(Event::Closed { reason: String::new() });
    assert!(matches!(bench.outcomes().as_slice(), [(7, CallOutcome::Result(_))]));
}

#[test]
fn calls_that_cannot_be_sent_are_rejected() {
    let mut bench = Bench::new();
    let rejection = |bench: &mut Bench| match bench.outcomes().pop() {
        Some((_, CallOutcome::RejectedBeforeSend(rejection))) => rejection,
        other => panic!("{other:?}"),
    };
    bench.call(1, "{}");
    assert_eq!(rejection(&mut bench), Rejection::NotReady);
    let mut bench = Bench::ready();
    for params in [
        "[1]",
        "5",
        r#"{"_meta":{"progressToken":1,"progressToken":2}}"#,
        r#"{"name":"allowed","Name":"forbidden"}"#,
    ] {
        bench.call(1, params);
        assert!(matches!(rejection(&mut bench), Rejection::Malformed { .. }), "{params}");
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MESSAGE_MAX_BYTES));
    assert_eq!(bench.call(1, &large), Verdict::Refused(Refusal::LimitReached));
    assert_eq!(rejection(&mut bench), Rejection::TooLarge { limit: MESSAGE_MAX_BYTES });
    bench.call(1, "{}");
    bench.call(1, "{}");
    assert!(matches!(rejection(&mut bench), Rejection::Malformed { .. }));
    for call in 2..=CALLS_IN_FLIGHT_MAX as u64 {
        assert_eq!(bench.call(call, "{}"), Verdict::Handled);
    }
    bench.call(0, "{}");
    assert_eq!(rejection(&mut bench), Rejection::TooManyCalls { limit: CALLS_IN_FLIGHT_MAX });
}

#[test]
fn a_method_name_cannot_break_out_of_its_line() {
    let mut bench = Bench::ready();
    let method = "m\",\"id\":1}\n{\"x\":\"".to_string();
    bench.event(Event::Called(Call {
        id: CallId(1),
        method: method.clone(),
        params: None,
        timeout_ms: 1,
        repeatable: false,
    }));
    let written = bench.written();
    assert_eq!((written.len(), &written[0]["method"]), (1, &json!(method)));
}

#[test]
fn requests_of_the_child_are_answered_at_once() {
    let mut bench = Bench::ready();
    bench.read(r#"{"jsonrpc":"2.0","id":"a\"b","method":"ping"}"#);
    bench.read(r#"{"jsonrpc":"2.0","id":0,"method":"roots/list","params":{}}"#);
    bench.read(r#"{"jsonrpc":"1.0","id":5,"method":"roots/list"}"#);
    let written = bench.written();
    assert_eq!(written[0], json!({"jsonrpc": "2.0", "id": "a\"b", "result": {}}));
    assert_eq!((&written[1]["id"], &written[1]["error"]["code"]), (&json!(0), &json!(-32601)));
    assert_eq!((&written[2]["id"], &written[2]["error"]["code"]), (&json!(5), &json!(-32600)));
}

#[test]
fn what_concerns_no_call_goes_to_everybody() {
    let mut bench = Bench::ready();
    let log =
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info", "data":1}}"#;
    bench.read(log);
    bench.read(&log.replace(", ", ",\r"));
    bench.read(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(bench.notifications(), [(None, log.to_string()), (None, log.to_string())]);
}

#[test]
fn a_batch_is_used_and_only_allowed_where_its_revision_has_it() {
    for (version, violations) in [("2025-03-26", 0), ("2025-06-18", 1)] {
        let mut bench = Bench::new();
        bench.event(Event::Opened);
        bench.answer_initialize(version, &json!({}));
        bench.call(7, "{}");
        let id = bench.asked("tools/call");
        bench.say(&json!([
            {"jsonrpc": "2.0", "id": id, "result": {}},
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            []
        ]));
        assert!(matches!(bench.outcomes().as_slice(), [(7, CallOutcome::Result(_))]));
        assert_eq!(bench.written().len(), 1);
        bench.after(1_000);
        let batches = bench
            .reports()
            .iter()
            .filter(|r| matches!(r, Report::Violation { what, .. } if what.contains("batch")))
            .count();
        assert_eq!(batches, violations, "{version}");
    }
}

#[test]
fn a_probe_is_answered_or_times_out() {
    let mut bench = Bench::ready();
    assert_eq!(bench.event(Event::Probed), Verdict::Handled);
    assert!(matches!(bench.event(Event::Probed), Verdict::Ignored(_)));
    let id = bench.asked("ping");
    bench.say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "?"}}));
    assert!(matches!(bench.reports().as_slice(), [Report::Probe { answered: true }]));
    bench.event(Event::Probed);
    bench.after(limits::PROBE_TIMEOUT_MS);
    assert!(matches!(bench.reports().as_slice(), [Report::Probe { answered: false }]));
    bench.event(Event::Probed);
    bench.event(Event::Closed { reason: String::new() });
    assert!(matches!(bench.reports().first(), Some(Report::Probe { answered: false })));
}

#[test]
fn activity_is_reported_at_most_once_a_second_and_when_it_ends() {
    let mut bench = Bench::ready();
    for call in 0..100 {
        bench.call(call, "{}");
        let id = bench.asked("tools/call");
        bench.say(&json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
    assert_eq!(bench.reports().len(), 1);
    bench.after(999);
    assert_eq!(bench.reports().len(), 0);
    bench.after(1);
    match bench.reports().as_slice() {
        [Report::Activity(seen)] => assert_eq!((seen.messages, seen.in_flight), (100, 0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.relay.next_deadline(), None);
}
