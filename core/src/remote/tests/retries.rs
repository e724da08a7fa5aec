//! What is sent again, how often, and how a call ends that is not.

use super::*;
use crate::limits::{BACKOFF_MAX_MS, BREAKER_FAILURES_MAX, REMOTE_EXCHANGES_MAX};

/// The moments at which the call was sent, from its first time on, if every exchange ends so.
fn tries(bench: &mut Bench, mut end: impl FnMut(&mut Bench, &Sent)) -> Vec<u64> {
    let start = bench.now;
    let mut moments = vec![];
    for _ in 0..100 {
        for sent in bench.take(|sent| sent.rpc() == "tools/call") {
            moments.push(bench.now.since(start));
            end(bench, &sent);
        }
        bench.after(100);
    }
    moments
}

fn about(moments: &[u64], expected: &[u64]) -> bool {
    // A quarter of jitter for each wait, and the step of the clock.
    moments.len() == expected.len()
        && moments.iter().zip(expected).all(|(is, about)| is.abs_diff(*about) <= about / 4 + 300)
}

#[test]
fn a_call_that_never_arrived_is_tried_four_times() {
    let mut bench = Bench::ready(None);
    bench.call(1, false);
    let moments = tries(&mut bench, |bench, sent| {
        bench.fail(sent, refused());
    });
    assert!(about(&moments, &[0, 500, 1_500, 3_500]), "{moments:?}");
    assert_eq!(unreached(&bench.outcome()), Some(Fault::Unreachable));
    assert_eq!(bench.faults(), [Fault::Unreachable]);
}

#[test]
fn a_call_that_may_have_run_is_repeated_only_where_it_may_be() {
    for (repeatable, expected) in [(false, &[0][..]), (true, &[0, 500, 1_500, 3_500])] {
        let mut bench = Bench::ready(None);
        bench.call(1, repeatable);
        let moments = tries(&mut bench, |bench, sent| {
            bench.fail(sent, reset());
        });
        assert!(about(&moments, expected), "{moments:?}");
        assert!(matches!(bench.outcome(), CallOutcome::OutcomeUnknown { .. }));
        assert_eq!(bench.faults(), [Fault::Unreachable]);
    }
}

#[test]
fn a_call_is_answered_where_a_repetition_succeeds() {
    let mut bench = Bench::ready(None);
    bench.call(1, true);
    let mut failed = 0;
    tries(&mut bench, |bench, sent| {
        failed += 1;
        if failed < 3 {
            bench.fail(sent, reset());
        } else {
            bench.result(sent)
        }
    });
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    let reports = bench.reports();
    assert!(!reports.iter().any(|it| matches!(it, Report::Failed(_))), "{reports:?}");
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for failure in [HttpFailure::Tls("x".into()), HttpFailure::Forbidden { what: "x".into() }] {
        let mut bench = Bench::ready(None);
        bench.call(1, true);
        let moments = tries(&mut bench, |bench, sent| {
            bench.fail(sent, failure.clone());
        });
        assert_eq!(moments, [0]);
        assert_eq!(unreached(&bench.outcome()), Some(Fault::Broken));
    }
}

#[test]
fn retry_after_is_waited_for_within_bounds() {
    // 1_000_000 ms after the epoch it is 00:16:40.
    for (value, expected) in [
        ("3", &[0, 3_000, 6_000, 9_000][..]),
        ("Thu, 01 Jan 1970 00:16:43 GMT", &[0, 3_000, 4_000, 6_000]),
        ("soon", &[0, 500, 1_500, 3_500]),
        ("-5", &[0, 500, 1_500, 3_500]),
        ("3600", &[0]),
        ("99999999999999999999", &[0]),
    ] {
        let mut bench = Bench::ready(None);
        bench.call(1, false);
        let headers = [("retry-after", value.as_bytes())];
        let moments = tries(&mut bench, |bench, sent| bench.answer(sent, 429, &headers, ""));
        assert!(about(&moments, expected), "{value}: {moments:?}");
        let outcome = bench.outcome();
        let CallOutcome::RejectedBeforeSend(Rejection::Unreached(failure)) = outcome else {
            panic!("{value}: {outcome:?}")
        };
        assert_eq!(failure.fault, Fault::Unreachable);
        assert!(failure.retry_after_ms.is_none_or(|asked| asked <= BACKOFF_MAX_MS));
    }
}

#[test]
fn a_server_that_is_down_for_an_hour_is_left_alone_and_tried_by_one_call_at_a_time() {
    let mut bench = Bench::ready(None);
    let mut seen = 0;
    for id in 0..3_600 {
        bench.call(id, false);
        let sent = bench.take(|sent| sent.rpc() == "tools/call");
        assert!(sent.len() <= 1);
        seen += sent.len();
        for sent in sent {
            bench.answer(&sent, 503, &[], "");
        }
        assert_eq!(bench.outcomes().len(), 1);
        bench.after(1_000);
    }
    // Rests of 2.5 to 5 s, with a call each second.
    assert!((600..=1_500).contains(&seen), "{seen}");
    bench.after(10_000);
    bench.call(9_999, false);
    let sent = bench.sent("tools/call");
    bench.call(10_000, false);
    assert!(bench.take(|sent| sent.rpc() == "tools/call").is_empty(), "one tries it");
    bench.outcomes();
    bench.result(&sent);
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)));
    bench.call(10_001, false);
    bench.sent("tools/call");
}

#[test]
fn a_refused_token_is_replaced_once_for_all_calls() {
    let mut bench = Bench::with(RemoteSpec { requires_oauth: true, ..spec(&["https://o/m"]) });
    bench.event(Event::Opened);
    assert!(bench.requests().is_empty(), "nothing is sent without a token");
    assert_eq!(tokens(&mut bench), [None]);
    bench.event(token(1));
    bench.greet(None);
    bench.out.clear();
    for id in 0..50 {
        bench.call(id, false);
    }
    let sent = bench.take(|sent| sent.rpc() == "tools/call");
    assert!(sent.iter().all(|it| it.header("authorization") == Some("Bearer t1")));
    for sent in &sent {
        bench.answer(sent, 401, &[("www-authenticate", b"Bearer")], "");
    }
    assert_eq!(tokens(&mut bench), [Some(1)]);
    bench.event(token(2));
    let again = bench.take(|sent| sent.rpc() == "tools/call");
    assert_eq!(again.len(), 50);
    assert!(again.iter().all(|it| it.header("authorization") == Some("Bearer t2")));
    for (index, sent) in again.iter().enumerate() {
        if index < 49 { bench.result(sent) } else { bench.answer(sent, 403, &[], "") }
    }
    let outcomes = bench.outcomes();
    assert_eq!(outcomes.len(), 50);
    assert_eq!(unreached(&outcomes[49].1), Some(Fault::AuthorisationNeeded));
    assert!(tokens(&mut bench).is_empty());
    assert_eq!(bench.faults(), [Fault::AuthorisationNeeded]);
}

#[test]
fn a_token_that_was_dropped_is_fetched_anew_before_the_next_request() {
    let mut bench = Bench::with(RemoteSpec { requires_oauth: true, ..spec(&["https://o/m"]) });
    bench.event(Event::Opened);
    assert_eq!(tokens(&mut bench), [None]);
    // What is being fetched may be what was dropped.
    assert_eq!(bench.event(Event::TokenDropped), Verdict::Handled);
    bench.event(token(1));
    assert!(bench.requests().is_empty());
    assert_eq!(tokens(&mut bench), [None]);
    bench.event(token(2));
    bench.greet(None);
    bench.call(1, false);
    let under_way = bench.sent("tools/call");
    bench.event(Event::TokenDropped);
    assert!(tokens(&mut bench).is_empty(), "nothing is fetched for nobody");
    bench.call(2, false);
    assert_eq!(tokens(&mut bench), [None]);
    bench.result(&under_way);
    assert!(matches!(bench.outcome(), CallOutcome::Result(_)), "calls under way go on");
    bench.event(token(3));
    assert_eq!(bench.sent("tools/call").header("authorization"), Some("Bearer t3"));

    let mut without = Bench::ready(None);
    assert_eq!(without.event(Event::TokenDropped), Verdict::Ignored("it needs no token"));
}

#[test]
fn calls_that_wait_for_room_have_a_dropped_token_fetched_anew() {
    let mut bench = Bench::with(RemoteSpec { requires_oauth: true, ..spec(&["https://o/m"]) });
    bench.event(Event::Opened);
    bench.event(token(1));
    bench.greet(None);
    bench.out.clear();
    for id in 0..=REMOTE_EXCHANGES_MAX as u64 {
        bench.call(id, false);
    }
    let sent = bench.take(|sent| sent.rpc() == "tools/call");
    assert!(sent.len() <= REMOTE_EXCHANGES_MAX);
    bench.event(Event::TokenDropped);
    bench.result(&sent[0]);
    assert_eq!(tokens(&mut bench), [None]);
    bench.event(token(2));
    let last = bench.take(|sent| sent.rpc() == "tools/call");
    assert!(!last.is_empty());
    assert!(last.iter().all(|sent| sent.header("authorization") == Some("Bearer t2")));
}

#[test]
fn a_token_that_cannot_be_had_ends_whatever_waits_for_it() {
    let mut bench = Bench::with(RemoteSpec { requires_oauth: true, ..spec(&["https://o/m"]) });
    bench.event(Event::Opened);
    bench.event(Event::Token(Err(Failure::new(Fault::AuthorisationNeeded, "sign in"))));
    assert_eq!(bench.faults(), [Fault::AuthorisationNeeded]);
    assert!(bench.requests().is_empty());
    // Once the user has signed in, all begins anew.
    tokens(&mut bench);
    bench.event(Event::Reconnect);
    assert_eq!(tokens(&mut bench), [None]);
    bench.event(token(1));
    bench.greet(None);
    assert!(bench.reports().iter().any(|it| matches!(it, Report::Listed(_))));
}

#[test]
fn a_reconnection_is_made_as_whom_the_server_knows_the_user_from_then_on() {
    let mut bench = Bench::with(RemoteSpec { requires_oauth: true, ..spec(&["https://o/m"]) });
    bench.event(Event::Opened);
    bench.event(token(1));
    bench.greet(Some("s1"));
    tokens(&mut bench);
    bench.event(Event::Reconnect);
    let goodbye = bench.take(|sent| sent.method == Method::Delete);
    assert_eq!(goodbye[0].header("authorization"), Some("Bearer t1"));
    assert_eq!(tokens(&mut bench), [None], "the old one was not refused");
    bench.event(token(2));
    let greeting = bench.take(|sent| sent.rpc() == "initialize");
    assert_eq!(greeting[0].header("authorization"), Some("Bearer t2"));
}

#[test]
fn without_a_token_of_the_user_a_refusal_is_final_and_immediate() {
    for status in [401, 403] {
        let mut bench = Bench::ready(None);
        bench.call(1, true);
        let moments = tries(&mut bench, |bench, sent| bench.answer(sent, status, &[], ""));
        assert_eq!(moments, [0]);
        assert_eq!(unreached(&bench.outcome()), Some(Fault::AuthorisationNeeded));
        assert_eq!(bench.faults(), [Fault::AuthorisationNeeded]);
    }
}

#[test]
fn a_list_that_is_forbidden_is_told_and_the_old_one_stays() {
    let mut bench = Bench::ready(None);
    bench.event(Event::Relist);
    let asked = bench.sent("tools/list");
    bench.answer(&asked, 403, &[], "");
    let reports = bench.reports();
    assert!(reports.iter().any(|it| matches!(it, Report::ListsStale { .. })), "{reports:?}");
    let faults = reports.iter().filter_map(|it| match it {
        Report::Failed(failure) => Some(failure.fault),
        _ => None,
    });
    assert_eq!(faults.collect::<Vec<_>>(), [Fault::AuthorisationNeeded]);
}

#[test]
fn a_probe_that_nobody_answers_is_a_failure() {
    let mut bench = Bench::ready(None);
    bench.event(Event::Probed);
    let asked = bench.sent("ping");
    bench.after(10_000);
    let reports = bench.reports();
    assert!(reports.iter().any(|it| matches!(it, Report::Probe { answered: false })));
    assert!(reports.iter().any(|it| matches!(it, Report::Failed(_))), "{reports:?}");
    assert!(bench.aborted(asked.exchange));
    bench.event(Event::Probed);
    let asked = bench.sent("ping");
    bench.result(&asked);
    let reports = bench.reports();
    assert!(reports.iter().any(|it| matches!(it, Report::Probe { answered: true })));
    assert!(reports.iter().any(|it| matches!(it, Report::Reached { .. })), "{reports:?}");
}

#[test]
fn a_handshake_that_nobody_answers_ends_what_waits_for_it() {
    let mut bench = Bench::ready(Some("s"));
    bench.event(Event::Reconnect);
    bench.call(1, false);
    bench.sent("initialize");
    bench.after(29_900);
    assert!(bench.outcomes().is_empty());
    bench.after(100);
    assert_eq!(unreached(&bench.outcome()), Some(Fault::Unreachable));
    assert_eq!(bench.faults().first(), Some(&Fault::Unreachable));
    // The next call begins again.
    bench.call(2, false);
    bench.sent("initialize");
}

#[test]
fn many_failures_make_one_report_a_second() {
    let mut bench = Bench::ready(None);
    for id in 0..u64::from(BREAKER_FAILURES_MAX) {
        bench.call(id, false);
        let sent = bench.sent("tools/call");
        bench.fail(&sent, reset());
    }
    assert_eq!(bench.faults(), [Fault::Unreachable]);
    assert_eq!(bench.outcomes().len(), BREAKER_FAILURES_MAX as usize);
}

#[test]
fn an_answer_to_what_was_sent_before_a_failure_does_not_tell_that_the_server_is_back() {
    let mut bench = Bench::ready(None);
    bench.reports();
    bench.call(1, false);
    bench.call(2, false);
    let sent = bench.take(|sent| sent.rpc() == "tools/call");
    bench.fail(&sent[0], reset());
    bench.result(&sent[1]);
    assert_eq!(bench.outcomes().len(), 2);
    let about = |reports: Vec<Report>| -> Vec<Report> {
        reports.into_iter().filter(|report| !matches!(report, Report::Activity(_))).collect()
    };
    let reports = about(bench.reports());
    assert!(matches!(reports[..], [Report::Failed(_)]), "{reports:?}");
    bench.call(3, false);
    let sent = bench.sent("tools/call");
    bench.result(&sent);
    let reports = about(bench.reports());
    assert!(matches!(reports[..], [Report::Reached { .. }]), "{reports:?}");
}
