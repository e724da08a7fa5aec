use super::*;

const GRANTING: &str =
    r#"{"success":true,"message":"ok","capabilities":["poll-wait","command-lease","telepathy"]}"#;

/// A link whose poll is being held.
fn held() -> Bench {
    let mut bench = Bench::paired();
    bench.answer(200, QUIET);
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, GRANTING)) });
    bench.wait();
    bench
}

fn commands(ids: &[&str]) -> String {
    let commands: Vec<serde_json::Value> = ids
        .iter()
        .map(|id| serde_json::json!({"id": id, "command_type": "configure", "payload": {}}))
        .collect();
    serde_json::json!({"commands": commands, "polling_mode": "normal", "next_poll_interval": 30})
        .to_string()
}

#[test]
fn the_backends_pace_counts_from_start_to_start_within_its_bounds() {
    for (guidance, maintenance, expected) in [
        ("2", false, 2_000),
        ("10", false, 10_000),
        ("30", false, 30_000),
        ("60", false, 60_000),
        ("0", false, 2_000),
        ("3600", false, 60_000),
        ("300", true, 300_000),
        ("3600", true, 300_000),
        ("null", true, 300_000),
        ("null", false, 30_000),
        ("\"soon\"", false, 30_000),
    ] {
        let mut bench = Bench::paired();
        bench.now = START.after(1_500);
        bench.answer(
            200,
            &alloc::format!(
                r#"{{"commands":[],"next_poll_interval":{guidance},"maintenance":{maintenance}}}"#
            ),
        );
        assert_eq!(bench.state(), if maintenance { "maintenance" } else { "polling" });
        bench.wait();
        assert_eq!(bench.now.since(START), expected, "{guidance} {maintenance}");
    }
}

#[test]
fn a_poll_that_takes_the_interval_or_longer_is_followed_at_once() {
    for took in [2_000, 14_000] {
        let mut bench = Bench::paired();
        bench.now = START.after(took);
        bench.answer(200, r#"{"commands":[],"next_poll_interval":2}"#);
        bench.sent();
    }
}

#[test]
fn after_a_sleep_there_is_one_poll_and_not_one_for_each_that_was_missed() {
    let mut bench = Bench::paired();
    bench.answer(200, QUIET);
    bench.now = START.after(8 * 3_600_000);
    bench.feed(Event::Tick);
    bench.sent();
    bench.answer(200, QUIET);
    assert_eq!(bench.wait(), 60_000);
}

#[test]
fn each_poll_tells_when_the_last_good_one_began() {
    let mut bench = Bench::paired();
    let (_, first) = bench.sent();
    assert_eq!(first.path, "/api/teams/team_9/satellites/sat_1/commands?limit=10");
    assert_eq!(first.timeout_ms, 15_000);
    assert!(first.headers.is_empty());
    bench.now = START.after(1_000);
    bench.answer(200, QUIET);
    bench.wait();
    bench.answer(500, "");
    bench.wait();
    let (_, third) = bench.sent();
    let began = START.to_iso();
    assert_eq!(third.headers, [("x-last-poll".to_string(), began.clone())]);
    assert!(third.path.contains(&began.replace(':', "%3A")), "{}", third.path);
}

#[test]
fn a_backend_without_scope_aware_paths_is_polled_on_the_flat_one() {
    let mut bench = Bench::paired();
    bench.answer(404, "");
    assert_eq!(bench.sent().1.path, "/api/satellites/sat_1/commands?limit=10");
    bench.answer(404, "");
    assert_eq!(bench.state(), "degraded", "the flat path has no replacement");
    bench.wait();
    assert!(bench.sent().1.path.starts_with("/api/satellites/sat_1/commands?"));

    let mut bench = Bench::paired();
    bench.answer(200, QUIET);
    bench.wait();
    bench.answer(404, "");
    assert_eq!(bench.state(), "degraded");
    bench.wait();
    assert!(bench.sent().1.path.starts_with("/api/teams/"), "it has worked before");
}

#[test]
fn only_two_words_end_a_pairing() {
    for (status, code) in
        [(401, "api_key_revoked"), (403, "api_key_revoked"), (401, "satellite_deleted")]
    {
        let body = alloc::format!(r#"{{"success":false,"error":"{code}"}}"#);
        let mut polled = Bench::paired();
        polled.answer(status, &body);
        let mut beaten = Bench::paired();
        beaten.feed(Event::HeartbeatAnswered { answer: Ok(answer(status, &body)) });
        for bench in [polled, beaten] {
            assert!(matches!(&bench.out[0], Effect::Forget));
            assert_eq!(bench.exit().unwrap().0, 4);
            assert!(bench.link.credentials().is_none());
        }
    }
    for (status, body) in [
        (401, r#"{"error":"Unauthorized"}"#),
        (401, ""),
        (403, "<html>proxy</html>"),
        (500, r#"{"error":"api_key_revoked"}"#),
        (404, r#"{"error":"satellite_deleted"}"#),
        (429, ""),
        (301, ""),
    ] {
        let mut bench = Bench::paired();
        bench.answer(200, QUIET);
        bench.wait();
        bench.answer(status, body);
        assert_eq!(bench.state(), "degraded", "{status} {body}");
        bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(status, body)) });
        assert_eq!(bench.state(), "degraded", "{status} {body}");
        assert!(bench.link.credentials().is_some());
    }
}

#[test]
fn what_was_not_granted_is_not_used_and_what_was_not_offered_cannot_be_granted() {
    let mut bench = Bench::paired();
    bench.answer(200, QUIET);
    bench.wait();
    assert!(!bench.sent().1.path.contains("wait"));
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, GRANTING)) });
    let granted: Vec<&str> = bench.link.granted().iter().map(String::as_str).collect();
    assert_eq!(granted, ["command-lease", "poll-wait"]);
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, r#"{"success":true}"#)) });
    assert!(bench.link.granted().is_empty(), "a peer that grants nothing more has the last word");
}

#[test]
fn a_held_poll_is_followed_at_once() {
    let mut bench = held();
    let (_, http) = bench.sent();
    assert!(http.path.ends_with("&wait=25"), "{}", http.path);
    assert_eq!(http.timeout_ms, 40_000);
    bench.now = bench.now.after(3_000);
    bench.answer(200, &commands(&["cmd_1"]));
    assert!(matches!(&bench.out[0], Effect::Received(commands) if commands.len() == 1));
    assert!(bench.sent().1.path.ends_with("&wait=25"));
    bench.now = bench.now.after(25_000);
    bench.answer(200, QUIET);
    bench.sent();
}

#[test]
fn an_answer_that_shows_no_holding_is_followed_at_the_ordinary_pace() {
    let mut bench = held();
    bench.now = bench.now.after(24_000);
    bench.answer(200, QUIET);
    assert_eq!(bench.wait(), 36_000, "60 s from start to start");

    let mut bench = held();
    bench.answer(200, &commands(&["cmd_1", "cmd_2"]));
    bench.answer(200, &commands(&["cmd_1", "cmd_2"]));
    assert_eq!(bench.wait(), 30_000, "a peer that repeats itself is not polled without pause");
}

#[test]
fn after_a_failure_and_in_maintenance_no_poll_is_held() {
    let mut bench = held();
    bench.answer(503, "");
    bench.wait();
    assert!(!bench.sent().1.path.contains("wait"));
    bench.answer(200, r#"{"commands":[],"maintenance":true,"next_poll_interval":300}"#);
    assert_eq!(bench.wait(), 300_000);
    assert!(!bench.sent().1.path.contains("wait"));
}

#[test]
fn retry_after_lengthens_a_wait_in_seconds_and_as_a_date() {
    for value in ["250".to_string(), "Sat, 31 Jan 2026 09:19:10 GMT".to_string()] {
        let mut bench = Bench::paired();
        let mut busy = answer(503, "");
        busy.retry_after = Some(value);
        bench.reply(Ok(busy));
        assert_eq!(bench.wait(), 250_000);
    }
}

#[test]
fn a_reply_that_cannot_be_read_is_a_failure() {
    for body in ["", "<html>", "[]", r#"{"commands":7}"#] {
        let mut bench = Bench::paired();
        bench.answer(200, body);
        assert_eq!(bench.state(), "degraded", "{body}");
        assert!(bench.link.view().last_error.is_some());
    }
}

#[test]
fn one_unreadable_command_is_passed_on_as_such() {
    let mut bench = Bench::paired();
    bench.answer(200, r#"{"commands":[{"id":"a"},{"id":"b","command_type":"kill"}]}"#);
    assert!(
        bench.out.iter().any(|effect| matches!(effect, Effect::Received(all) if all.len() == 1))
    );
    assert!(
        bench
            .out
            .iter()
            .any(|effect| matches!(effect, Effect::ReceivedUnreadable(all) if all.len() == 1))
    );
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut bench = Bench::paired();
    let (request, _) = bench.sent();
    bench.answer(200, QUIET);
    bench.feed(Event::Answered { request, answer: Ok(answer(500, "")) });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
    assert_eq!(bench.state(), "polling");
}

#[test]
fn a_draining_link_asks_for_nothing_and_takes_no_answers() {
    let mut bench = Bench::paired();
    let (request, _) = bench.sent();
    bench.feed(Event::DrainRequested);
    assert_eq!(bench.state(), "draining");
    bench.feed(Event::Answered { request, answer: Ok(answer(200, &commands(&["cmd_1"]))) });
    assert_eq!(bench.verdict, Verdict::Ignored("ending"));
    assert_eq!(bench.link.next_deadline(), None);
}

#[test]
fn a_backend_that_begins_to_hold_polls_is_asked_at_once() {
    let mut bench = Bench::paired();
    bench.answer(200, QUIET);
    let granting = r#"{"success":true,"message":"ok","capabilities":["poll-wait"]}"#;
    bench.now = bench.now.after(100);
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, granting)) });
    assert_eq!(bench.link.next_deadline().map(|next| next.at), Some(bench.now));
    bench.feed(Event::Tick);
    let (_, http) = bench.sent();
    assert!(http.path.contains("wait=25"), "{}", http.path);
}

#[test]
fn a_backend_that_begins_to_hold_polls_while_one_is_on_its_way_is_asked_again_at_once() {
    const MAINTENANCE: &str = r#"{"commands":[],"maintenance":true,"next_poll_interval":300}"#;
    let during = |bench: &mut Bench, beats: &[&str], reply: &str| {
        let (request, _) = bench.sent();
        for beat in beats {
            bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, beat)) });
        }
        bench.feed(Event::Answered { request, answer: Ok(answer(200, reply)) });
    };
    let mut bench = Bench::paired();
    during(&mut bench, &[GRANTING], QUIET);
    let (_, http) = bench.sent();
    assert!(http.path.contains("wait=25"), "{}", http.path);
    during(&mut bench, &[GRANTING], QUIET);
    assert_eq!(bench.wait(), 60_000, "one that grants it and does not hold is not asked on and on");

    let mut bench = Bench::paired();
    during(&mut bench, &[GRANTING, r#"{"success":true}"#], QUIET);
    assert_eq!(bench.wait(), 60_000, "the grant was taken back");

    let mut bench = Bench::paired();
    during(&mut bench, &[GRANTING], MAINTENANCE);
    assert_eq!(bench.wait(), 300_000, "in maintenance no poll is held");
}

#[test]
fn a_heartbeat_that_comes_through_brings_the_next_poll_forward_but_not_again_and_again() {
    let mut bench = Bench::paired();
    for _ in 0..9 {
        bench.answer(503, "");
        bench.wait();
    }
    let mut busy = answer(503, "");
    busy.retry_after = Some("100".to_string());
    bench.reply(Ok(busy));
    let due =
        |bench: &Bench| bench.link.next_deadline().expect("a poll is due").at.since(bench.now);
    let beat = |bench: &mut Bench, status| {
        bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(status, "{}")) });
    };
    beat(&mut bench, 200);
    assert_eq!(due(&bench), 100_000, "the Backend asked to be spared");
    bench.wait();
    bench.answer(503, "");
    let backoff = due(&bench);
    beat(&mut bench, 200);
    assert_eq!(due(&bench), backoff, "heartbeats are answered and polls are not");
    beat(&mut bench, 502);
    beat(&mut bench, 200);
    assert!((2_000..=30_000.min(backoff)).contains(&due(&bench)), "the Backend is back");
}
