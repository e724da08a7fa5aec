use serde_json::Value;

use super::*;

fn error_of(told: Told) -> Value {
    let Told::Error(error) = told else { panic!("{told:?}") };
    serde_json::from_str(error.get()).unwrap()
}

#[test]
fn the_server_s_own_words_pass_untouched() {
    let words = raw(String::from(r#"{"isError":true,"structuredContent":{"n":1.50},"_meta":{}}"#));
    let Told::Result(result) = told(CallOutcome::Result(words.clone()), "s", Form::Tool) else {
        panic!()
    };
    assert_eq!(result.get(), words.get());
    let Told::Error(error) = told(CallOutcome::Error(words.clone()), "s", Form::Tool) else {
        panic!()
    };
    assert_eq!(error.get(), words.get());
    assert!(matches!(told(CallOutcome::Cancelled, "s", Form::Tool), Told::Nothing));
}

#[test]
fn each_other_outcome_names_itself_and_says_what_to_do() {
    let rejected = CallOutcome::RejectedBeforeSend;
    let cases = [
        (CallOutcome::TimedOut { after_ms: 60_000 }, CODE_TIMED_OUT, "timed_out"),
        (
            CallOutcome::OutcomeUnknown { reason: String::from("SIGKILL") },
            CODE_UNAVAILABLE,
            "outcome_unknown",
        ),
        (rejected(Rejection::NotReady), CODE_UNAVAILABLE, "rejected_before_send"),
        (rejected(Rejection::TooManyCalls { limit: 3 }), CODE_UNAVAILABLE, "rejected_before_send"),
        (rejected(Rejection::TooLarge { limit: 3 }), CODE_INVALID_REQUEST, "rejected_before_send"),
        (rejected(Rejection::Malformed { what: "x" }), CODE_INVALID_PARAMS, "rejected_before_send"),
        (
            rejected(Rejection::Closed { reason: String::from("x") }),
            CODE_UNAVAILABLE,
            "rejected_before_send",
        ),
    ];
    for (outcome, code, kind) in cases {
        let error = error_of(told(outcome, "files", Form::Plain));
        assert_eq!(error["code"], code);
        assert_eq!(error["data"]["outcome"], kind);
    }
}

#[test]
fn a_refusal_is_a_readable_result_for_tools_and_an_error_elsewhere() {
    let denial = not_ready("files", "connecting", Some("exec failed"), 60_000);
    let Told::Result(result) = told_of_denial(&denial, Form::Tool) else { panic!() };
    assert!(result.get().contains("isError") && result.get().contains("exec failed"));
    assert_eq!(error_of(told_of_denial(&denial, Form::Plain))["code"], CODE_UNAVAILABLE);
    let unknown = Denial::new(DenialKind::TargetUnknown, "x");
    assert_eq!(error_of(told_of_denial(&unknown, Form::Tool))["code"], CODE_INVALID_PARAMS);
    let long = "é".repeat(1_000);
    assert!(no_method(&long).get().len() < 400);
}

#[test]
fn who_waited_in_vain_for_a_turn_is_told_which_limit_it_was() {
    let team = TeamId::from("t");
    let full = PlacesView {
        held: 50,
        capacity: 50,
        starting: 8,
        team_quota: Some(5),
        full_teams: [(team.clone(), 1)].into(),
        ..PlacesView::default()
    };
    let satellite = PlacesView { full_teams: [].into(), ..full.clone() };
    let starts = PlacesView { held: 10, ..satellite.clone() };
    for (places, limit, setting) in [
        (full, "its team has the 5 servers", "SATELLITE_TEAM_INSTANCES"),
        (satellite, "all 50 places", "SATELLITE_INSTANCES"),
        (starts, "8 other servers are being started", "SATELLITE_STARTS"),
    ] {
        let told = told_of_denial(&no_place("files", &team, &places, 60_500), Form::Plain);
        let error = error_of(told);
        let text = error["message"].as_str().unwrap();
        for part in ["files", "within 60 s", limit, setting] {
            assert!(text.contains(part), "{text}");
        }
    }
}
