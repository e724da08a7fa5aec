use satellite_core::http::Method;

use super::*;

fn poll(path: &str) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        path: path.to_string(),
        bearer: None,
        headers: Vec::new(),
        body: None,
        timeout_ms: 15_000,
    }
}

fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Result<HttpAnswer, HttpFailure> {
    Ok(HttpAnswer {
        status,
        retry_after: retry_after.map(String::from),
        body: body.as_bytes().to_vec(),
        ..HttpAnswer::default()
    })
}

/// What is said of a poll at `at`, one of `path` at 0 having been answered at 100.
fn next(path: &str, answer: &Result<HttpAnswer, HttpFailure>, at: u64) -> Option<Invariant> {
    let mut pace = Pace::default();
    assert_eq!(pace.polls(&poll(path), Timestamp(0)), Ok(()));
    pace.polled(answer, Timestamp(100));
    pace.polls(&poll(path), Timestamp(at)).err().map(|(invariant, _)| invariant)
}

#[test]
fn a_second_poll_is_seen_while_the_first_is_on_its_way() {
    let mut pace = Pace::default();
    assert_eq!(pace.polls(&poll("/commands"), Timestamp(0)), Ok(()));
    let second = pace.polls(&poll("/commands"), Timestamp(1));
    assert!(matches!(second, Err((Invariant::OnePollAtATime, _))), "{second:?}");
}

#[test]
fn a_poll_beside_its_interval_is_seen() {
    let quiet = answer(200, None, r#"{"polling_mode":"slow","next_poll_interval":60}"#);
    let off = Some(Invariant::PollInterval);
    for (at, seen) in [(59_999, off), (60_000, None), (60_010, None), (60_011, off)] {
        assert_eq!(next("/commands", &quiet, at), seen, "{at}");
    }
    assert_eq!(next("/commands?wait=25", &quiet, 100), None, "a held poll is followed at once");
    let long = answer(200, None, r#"{"polling_mode":"slow","next_poll_interval":900}"#);
    assert_eq!(next("/commands", &long, 60_000), None);
    assert_eq!(next("/commands", &long, 900_000), off);
}

#[test]
fn a_poll_too_soon_after_a_failure_is_seen() {
    let off = Some(Invariant::PauseAfterFailure);
    let asked = answer(503, Some("30"), "");
    for (at, seen) in [(30_099, off), (30_100, None)] {
        assert_eq!(next("/commands", &asked, at), seen, "{at}");
    }
    let plain = answer(401, None, "");
    for (at, seen) in [(2_099, off), (2_100, None), (4_100, None), (4_111, off)] {
        assert_eq!(next("/commands", &plain, at), seen, "{at}");
    }
}

#[test]
fn a_poll_that_never_comes_is_seen() {
    let mut pace = Pace::default();
    assert_eq!(pace.polls(&poll("/commands"), Timestamp(0)), Ok(()));
    pace.polled(&answer(500, None, ""), Timestamp(100));
    assert_eq!(pace.is_late(Timestamp(4_100)), None);
    assert!(pace.is_late(Timestamp(4_200)).is_some());
    pace.jumped(1_000);
    assert_eq!(pace.is_late(Timestamp(4_200)), None);
}
