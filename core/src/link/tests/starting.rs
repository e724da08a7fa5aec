use super::*;

const REGISTERED: &str = r#"{"success":true,"satellite":{"id":"sat_1","name":"edge-satellite-01",
    "satellite_type":"team","team_id":"team_9","status":"inactive",
    "api_key":"deploystack_satellite_api_team_0123456789"},"message":"welcome"}"#;

/// A link whose registration is on its way.
fn registering() -> Bench {
    let mut bench = Bench::new();
    bench.start(None, Some(TOKEN));
    bench.answer(200, "{}");
    bench
}

#[test]
fn without_credentials_a_satellite_asks_registers_stores_and_only_then_polls() {
    let mut bench = Bench::new();
    bench.start(None, Some(TOKEN));
    let (_, health) = bench.sent();
    assert_eq!((health.path.as_str(), health.timeout_ms), ("/api/health", 5_000));
    assert!(health.bearer.is_none());

    bench.answer(200, r#"{"status":"ok"}"#);
    let (_, register) = bench.sent();
    assert_eq!(register.path, "/api/satellites/register");
    assert_eq!(register.bearer, Some(Secret::new(TOKEN)));
    let body: serde_json::Value = serde_json::from_slice(register.body.as_ref().unwrap()).unwrap();
    assert_eq!(body["name"], "edge-satellite-01");
    assert_eq!(
        body["capabilities"],
        serde_json::json!([
            "stdio",
            "http",
            "sse",
            "poll-wait",
            "command-lease",
            "event-id",
            "config-version"
        ])
    );

    bench.answer(200, REGISTERED);
    assert!(matches!(&bench.out[..], [Effect::Store(_), Effect::Moved { to: "storing", .. }]));
    assert!(bench.link.credentials().is_none(), "nothing may presume what is not on disk");
    let token = &bench.link.machine.inner().registration_token;
    assert!(token.is_none(), "what is used up is not kept");

    bench.feed(Event::Stored(Ok(())));
    assert!(matches!(&bench.out[0], Effect::Paired(who) if who.id.as_str() == "sat_1"));
    assert!(bench.sent().1.path.starts_with("/api/teams/team_9/satellites/sat_1/commands?"));
    assert_eq!(bench.link.credentials().unwrap().registered_at, IsoTime(START));
}

#[test]
fn credentials_are_kept_with_their_backend_and_shown_to_no_other() {
    let at = |url: &str| Settings {
        name: "edge-satellite-01".to_string(),
        backend_url: Some(url.to_string()),
        ..Settings::default()
    };
    let mut bench = Bench::with(&at("https://a.example"), 1);
    bench.start(None, Some(TOKEN));
    bench.answer(200, "{}");
    bench.answer(200, REGISTERED);
    let Effect::Store(stored) = bench.out[0].clone() else { panic!("{:?}", bench.out) };
    assert_eq!(stored.backend_url.as_deref(), Some("https://a.example"));

    let mut same = Bench::with(&at("https://a.example"), 1);
    same.start(Some(stored.clone()), None);
    assert_eq!(same.exit(), None);

    let mut other = Bench::with(&at("https://b.example"), 1);
    other.start(Some(stored), None);
    let (code, text) = other.exit().unwrap();
    assert_eq!(code, 2);
    assert!(text.contains("https://a.example") && text.contains("https://b.example"), "{text}");
    assert!(!other.out.iter().any(|effect| matches!(effect, Effect::Send { .. })));
}

#[test]
fn credentials_that_name_no_backend_name_the_one_that_accepts_them() {
    let url = Some("https://a.example".to_string());
    let settings = Settings { backend_url: url.clone(), ..Settings::default() };
    let mut bench = Bench::with(&settings, 1);
    bench.start(Some(credentials(None)), None);
    bench.answer(200, r#"{"commands":[]}"#);
    let stored = bench.out.iter().find_map(|effect| match effect {
        Effect::Store(credentials) => Some(credentials.backend_url.clone()),
        _ => None,
    });
    assert_eq!(stored, Some(url));
}

#[test]
fn a_wrong_name_or_token_is_a_matter_of_configuration_and_nothing_is_sent() {
    let named = |name: &str| {
        let settings = Settings { name: name.to_string(), ..Settings::default() };
        Bench::with(&settings, 1)
    };
    for name in ["", "too-short", "Upper-Case-Name", "with space in it", &"x".repeat(33)] {
        let mut bench = named(name);
        bench.start(None, Some(TOKEN));
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 2, "{name}");
        assert!(text.contains("DEPLOYSTACK_SATELLITE_NAME"), "{text}");
    }
    for token in [None, Some(""), Some("  "), Some("your_registration_token_here")] {
        let mut bench = Bench::new();
        bench.start(None, token);
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 2);
        assert!(text.contains("not paired") && text.contains("DEPLOYSTACK_REGISTRATION_TOKEN"));
    }
    for token in [
        "sk-another-secret",
        "deploystack_satellite_team_short",
        "deploystack_satellite_team_eyJhbGci OiJIUzI1NiJ9",
    ] {
        let mut bench = Bench::new();
        bench.start(None, Some(token));
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 2, "{token}");
        assert!(!text.contains(token), "a secret is not repeated: {text}");
        assert!(!bench.out.iter().any(|effect| matches!(effect, Effect::Send { .. })));
    }
}

#[test]
fn space_around_a_token_is_forgiven() {
    let mut bench = Bench::new();
    bench.start(None, Some(&alloc::format!(" {TOKEN}\n")));
    bench.answer(200, "{}");
    assert_eq!(bench.sent().1.bearer, Some(Secret::new(TOKEN)));
}

#[test]
fn without_credentials_an_unreachable_backend_ends_the_start() {
    let mut refused = Bench::new();
    refused.start(None, Some(TOKEN));
    refused.fail(HttpFailure::Refused("127.0.0.1:3000".to_string()));
    let mut failing = Bench::new();
    failing.start(None, Some(TOKEN));
    failing.answer(503, r#"{"error":"starting"}"#);
    for (bench, what) in [(refused, "connection refused"), (failing, "HTTP 503: starting")] {
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 3);
        assert!(text.contains(what) && text.contains("DEPLOYSTACK_BACKEND_URL"), "{text}");
        assert_eq!(bench.state(), "stopped");
    }
}

#[test]
fn each_refusal_of_a_registration_is_final_and_says_what_to_do_next() {
    for (status, code, exit_code, hint) in [
        (401, "registration_token_required", 4, "proxy"),
        (401, "invalid_registration_token", 4, "create a new registration token"),
        (401, "token_expired", 4, "create a new registration token"),
        (401, "token_already_used", 4, "pairs once"),
        (401, "token_invalid_scope", 4, "other kind"),
        (403, "forbidden", 4, "create a new registration token"),
        (409, "satellite_name_taken", 4, "another DEPLOYSTACK_SATELLITE_NAME"),
        (400, "Bad Request", 4, "versions"),
        (404, "Not Found", 3, "DEPLOYSTACK_BACKEND_URL"),
    ] {
        let mut bench = registering();
        bench.answer(status, &alloc::format!(r#"{{"success":false,"error":"{code}"}}"#));
        let (exit, text) = bench.exit().unwrap();
        assert_eq!(exit, exit_code, "{code}");
        assert!(text.contains(code) && text.contains(hint), "{text}");
        assert!(!text.contains("eyJ"), "the token is not repeated: {text}");
        assert_eq!(bench.link.next_deadline(), None, "nothing is tried again");
    }
    let mut bench = registering();
    bench.answer(400, r#"{"error":"Bad Request","message":"body/name must match pattern"}"#);
    assert_eq!(bench.exit().unwrap().0, 2);
}

#[test]
fn a_registration_that_fails_in_passing_is_tried_again_but_not_for_ever() {
    let mut bench = registering();
    for (attempt, fault) in [500, 502, 503, 429, 504].into_iter().enumerate() {
        bench.answer(fault, "");
        assert_eq!(bench.state(), "registering", "after attempt {}", attempt + 1);
        let waited = bench.wait();
        assert!((2_000..=300_000).contains(&waited), "{waited}");
        assert_eq!(bench.sent().1.path, "/api/satellites/register");
    }
    bench.fail(HttpFailure::TimedOut);
    let (code, text) = bench.exit().unwrap();
    assert_eq!(code, 3);
    assert!(text.contains("Request timeout") && text.contains("attempt 6 of 6"), "{text}");
}

#[test]
fn a_token_used_up_by_an_attempt_whose_answer_was_lost_is_explained() {
    for failure in [
        HttpFailure::TimedOut,
        HttpFailure::Reset("mid-way".to_string()),
        HttpFailure::Cut("body".to_string()),
    ] {
        let mut bench = registering();
        bench.fail(failure);
        bench.wait();
        bench.answer(401, r#"{"error":"invalid_registration_token"}"#);
        let (code, text) = bench.exit().unwrap();
        assert_eq!(code, 4);
        assert!(text.contains("answer to an earlier attempt was lost"), "{text}");
    }
    let mut bench = registering();
    bench.fail(HttpFailure::Refused("not there".to_string()));
    bench.wait();
    bench.answer(401, r#"{"error":"invalid_registration_token"}"#);
    assert!(!bench.exit().unwrap().1.contains("lost"), "a refused connection used nothing up");
}

#[test]
fn credentials_that_cannot_be_stored_end_the_start() {
    let mut bench = registering();
    bench.answer(200, REGISTERED);
    bench.feed(Event::Stored(Err("read-only file system".to_string())));
    let (code, text) = bench.exit().unwrap();
    assert_eq!(code, 1);
    assert!(text.contains("read-only file system") && text.contains("used up"), "{text}");
}

#[test]
fn with_credentials_a_satellite_works_at_once_and_waits_for_its_backend() {
    let mut bench = Bench::paired();
    assert!(matches!(&bench.out[0], Effect::Paired(who) if who.team.is_some()));
    assert_eq!(bench.state(), "verifying");
    assert!(bench.link.credentials().is_some());
    for failure in 1..20 {
        bench.fail(HttpFailure::Refused("127.0.0.1:3000".to_string()));
        assert_eq!(bench.state(), "degraded");
        assert!(bench.exit().is_none());
        assert_eq!(bench.link.view().failures, failure);
        bench.wait();
    }
    bench.answer(200, QUIET);
    assert_eq!(bench.state(), "polling");
    assert!(bench.link.is_reachable());
    assert_eq!(bench.link.view().failures, 0);
    let verified = bench.out.iter().find_map(|effect| match effect {
        Effect::Store(credentials) => Some(credentials.last_verified.0),
        _ => None,
    });
    assert_eq!(verified, Some(bench.now), "the first success is written down");
    assert_eq!(bench.feed(Event::Stored(Ok(()))), []);
}

#[test]
fn a_second_start_and_a_heartbeat_before_the_pairing_are_refused() {
    let mut bench = Bench::new();
    bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, "{}")) });
    assert!(matches!(bench.verdict, Verdict::Refused(_)));
    bench.start(Some(credentials(None)), None);
    bench.start(Some(credentials(None)), None);
    assert!(matches!(bench.verdict, Verdict::Refused(_)));
    assert!(bench.out.is_empty());
}
