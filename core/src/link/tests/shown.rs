//! What a status page shows of the link, and what a refused registration says.

use super::*;

#[test]
fn the_view_tells_the_last_answer_and_the_last_error_until_all_is_well() {
    let mut bench = Bench::paired();
    assert_eq!(bench.link.view().last_answer, None);
    bench.now = bench.now.after(40);
    bench.answer(503, r#"{"error":"the database is away"}"#);
    let view = bench.link.view();
    assert_eq!(view.last_answer, Some((bench.now, 7)));
    assert_eq!(view.last_error.as_deref(), Some("HTTP 503: the database is away"));
    bench.wait();
    let failed_at = bench.now;
    bench.fail(HttpFailure::TimedOut);
    assert_eq!(bench.link.view().last_answer.map(|(at, _)| at < failed_at), Some(true));
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, "{}")) });
    assert_eq!(bench.link.view().last_answer, Some((bench.now, 7)), "a heartbeat counts");
    bench.wait();
    bench.answer(200, QUIET);
    let view = bench.link.view();
    assert_eq!((view.failures, view.last_error, view.state), (0, None, "polling"));
    assert_eq!(bench.verdict, Verdict::Moved);
    let moved = Effect::Moved { from: "degraded", to: "polling" };
    assert!(bench.out.contains(&moved));
    bench.wait();
    bench.answer(200, QUIET);
    assert_eq!(bench.verdict, Verdict::Handled);
}

#[test]
fn the_view_follows_a_pairing() {
    let mut bench = Bench::new();
    bench.start(None, Some(TOKEN));
    bench.now = bench.now.after(5);
    bench.answer(200, "{}");
    assert_eq!(bench.link.view().last_answer, Some((bench.now, 7)));
    bench.now = bench.now.after(5);
    bench.answer(503, r#"{"error":"registration_failed"}"#);
    let view = bench.link.view();
    assert_eq!((view.state, view.failures), ("registering", 1));
    assert_eq!(view.last_answer, Some((bench.now, 7)));
    assert_eq!(view.last_error.as_deref(), Some("HTTP 503: registration_failed"));
    bench.wait();
    let late = RequestKey { channel: crate::request::Channel::Pairing, number: 1 };
    bench.feed(Event::Answered { request: late, answer: Ok(answer(403, "{}")) });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
    let request = RequestKey { number: 3, ..late };
    bench.feed(Event::Answered {
        request,
        answer: Ok(answer(
            200,
            r#"{"success":true,"satellite":{"id":"sat_1","name":"edge-satellite-01",
            "satellite_type":"team","team_id":"team_9","status":"inactive","api_key":"key"}}"#,
        )),
    });
    let view = bench.link.view();
    assert_eq!((view.state, view.failures, view.last_error), ("storing", 0, None));
    bench.feed(Event::Stored(Ok(())));
    bench.now = bench.now.after(5);
    bench.answer(200, QUIET);
    let stores = bench.out.iter().any(|effect| matches!(effect, Effect::Store(_)));
    assert!(!stores, "the registration has verified the key");
}

#[test]
fn what_used_up_a_token_is_told_from_what_cannot_have() {
    for (first, lost) in [(500, true), (503, true), (429, false), (408, false)] {
        let mut bench = Bench::new();
        bench.start(None, Some(TOKEN));
        bench.answer(200, "{}");
        bench.answer(first, "");
        bench.wait();
        bench.answer(401, r#"{"error":"token_already_used"}"#);
        let (code, text) = bench.exit().unwrap();
        assert_eq!((code, text.contains("was lost")), (4, lost), "{first}: {text}");
        assert_eq!(text.contains("each token pairs once"), !lost, "{first}: {text}");
    }
}

#[test]
fn each_refusal_has_its_words() {
    for (status, body, words) in [
        (401, r#"{"error":"token_expired"}"#, "the token's time is over"),
        (401, r#"{"error":"token_already_used"}"#, "each token pairs once"),
        (403, r#"{"error":"odd","message":"go away"}"#, "HTTP 403: odd: go away"),
    ] {
        let mut bench = Bench::new();
        bench.start(None, Some(TOKEN));
        bench.answer(200, "{}");
        bench.answer(status, body);
        let (_, text) = bench.exit().unwrap();
        assert!(text.contains(words), "{text}");
    }
    for (code, words) in [
        ("satellite_deleted", "deleted this satellite"),
        ("api_key_revoked", "revoked this satellite's API key"),
    ] {
        let mut bench = Bench::paired();
        bench.answer(401, &alloc::format!(r#"{{"error":"{code}"}}"#));
        let (_, text) = bench.exit().unwrap();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_token_needs_ten_characters_after_its_prefix() {
    for (rest, sent) in [("123456789", false), ("1234567890", true)] {
        let mut bench = Bench::new();
        let token = alloc::format!("deploystack_satellite_team_{rest}");
        bench.start(None, Some(&token));
        assert_eq!(bench.exit().is_none(), sent, "{token}");
    }
}

#[test]
fn a_registration_that_is_given_up_says_whether_its_token_may_be_used_up() {
    for (status, may_be) in [(503, true), (429, false)] {
        let mut bench = Bench::new();
        bench.start(None, Some(TOKEN));
        bench.answer(200, "{}");
        while bench.exit().is_none() {
            bench.answer(status, "");
            if bench.exit().is_none() {
                bench.wait();
            }
        }
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 3);
        assert_eq!(text.contains("may have used up the token"), may_be, "{status}: {text}");
        assert_eq!(text.contains("create a new registration token"), may_be, "{status}: {text}");
    }
}

#[test]
fn an_answer_to_something_else_is_no_answer_to_the_first_question() {
    let mut bench = Bench::new();
    bench.start(None, Some(TOKEN));
    let (request, _) = bench.sent();
    let other = RequestKey { number: request.number + 1, ..request };
    bench.feed(Event::Answered { request: other, answer: Ok(answer(200, "{}")) });
    assert_eq!((bench.verdict, bench.state()), (Verdict::Ignored("late"), "checking"));
}
