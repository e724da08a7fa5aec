//! What a server elsewhere can do wrong, what then becomes of a call and of the instance, and the
//! tests that show it.

use std::fs;

use satellite_tests::root;

/// What the server does, what becomes of it, and the tests: file and name.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Real sockets, the shipped client and conversation.
const TASK: &str = "io/src/remote_task/tests/bad_input.rs";
const GOOD: &str = "io/src/remote_task/tests/good.rs";
const REACH: &str = "io/src/remote_task/tests/reach.rs";
const REMOTES: &str = "tests/e2e/bad_input/remotes.rs";
const CONNECTIONS: &str = "io/src/egress/tests/reach.rs";
const ANSWERS: &str = "io/src/egress/tests/answers.rs";
const REDIRECTS: &str = "io/src/egress/tests/redirects.rs";
const TLS: &str = "io/src/egress/tests/tls.rs";

/// With the real program: what is no server, calls that fail, what is borne.
const NONE: &str = "servers_elsewhere_that_are_none_say_why_and_leave_the_others_alone";
const FAIL: &str =
    "each_call_of_a_server_elsewhere_that_fails_says_why_and_costs_nobody_else_anything";
const BORNE: &str = "what_is_odd_and_can_be_borne_is_borne";

const ROWS: &[Row] = &[
    (
        "resolves to 127.0.0.1 on the second look-up",
        "refused at the connection, nothing is sent there; error until it is itself again",
        &[
            (REACH, "a_name_that_turns_inside_between_two_calls_is_not_followed"),
            (CONNECTIONS, "a_name_that_resolves_elsewhere_the_second_time_is_refused"),
            (CONNECTIONS, "one_bad_address_refuses_the_name"),
        ],
    ),
    (
        "redirects a message to another origin, with 301, 302, 303, 307 or 308",
        "not sent on: rejected_before_send, which names the origin to configure; error",
        &[
            (REACH, "a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin"),
            (REMOTES, FAIL),
            (REMOTES, NONE),
            (REDIRECTS, "a_message_is_sent_on_whole_on_its_own_origin_and_never_elsewhere"),
        ],
    ),
    (
        "redirects on its own origin",
        "307 and 308 are followed, the message whole; 301, 302 and 303 are not: rejected_before_send",
        &[
            (REACH, "a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin"),
            (REMOTES, BORNE),
        ],
    ),
    (
        "redirects a stream or a document elsewhere",
        "followed without credentials, each target judged like the first",
        &[
            (REDIRECTS, "a_get_keeps_its_headers_at_home_and_loses_its_credentials_elsewhere"),
            (REDIRECTS, "credentials_that_were_left_behind_do_not_come_back"),
            (REDIRECTS, "a_name_in_a_redirect_is_resolved_and_judged_too"),
        ],
    ),
    (
        "redirects from https to http",
        "never followed; error",
        &[
            (
                REACH,
                "a_handshake_that_is_redirected_elsewhere_or_into_the_clear_is_a_broken_server",
            ),
            (TLS, "a_redirect_from_https_to_http_is_not_followed"),
        ],
    ),
    (
        "redirects in circles",
        "five are followed, then rejected_before_send; error",
        &[
            (REACH, "a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin"),
            (REMOTES, FAIL),
            (REDIRECTS, "redirects_without_end_end"),
        ],
    ),
    (
        "redirects to a private address, a cloud's metadata, a file",
        "refused by name of the rule, nothing is sent there",
        &[
            (REDIRECTS, "a_redirect_leads_nowhere_that_a_request_may_not_go"),
            (REACH, "a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin"),
            (REMOTES, FAIL),
        ],
    ),
    (
        "redirects without a Location",
        "it is the answer: rejected_before_send; error",
        &[
            (REACH, "a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin"),
            (REMOTES, FAIL),
            (REDIRECTS, "what_is_no_redirect_is_the_answer"),
        ],
    ),
    (
        "is an IPv4 address in IPv6: mapped, compatible, NAT64, 6to4, Teredo, ISATAP",
        "judged by the IPv4 address, never better",
        &[
            ("core/src/egress/address.rs", "a_carried_ipv4_address_decides"),
            ("core/src/egress/address.rs", "no_form_of_ipv6_makes_an_ipv4_address_better"),
            (CONNECTIONS, "no_way_of_writing_an_address_leads_around_the_rules"),
        ],
    ),
    (
        "is an address in decimal, octal or hexadecimal, in a short form, with a dot at its end",
        "refused as written, before anything is looked up",
        &[
            (
                "core/src/egress/target/tests.rs",
                "every_form_of_an_address_but_the_plain_one_is_refused",
            ),
            ("core/src/egress/target/tests.rs", "what_readers_understand_differently_is_refused"),
            (CONNECTIONS, "no_way_of_writing_an_address_leads_around_the_rules"),
        ],
    ),
    (
        "is localhost, localhost. or 0.0.0.0, link-local, a cloud's metadata",
        "refused unless listed; metadata only by its own address",
        &[
            (CONNECTIONS, "no_way_of_writing_an_address_leads_around_the_rules"),
            ("core/src/egress/tests.rs", "metadata_wants_its_address_listed"),
            ("core/src/egress/tests.rs", "what_a_proxy_resolves_is_judged_by_its_name"),
        ],
    ),
    (
        "answers HTML",
        "a call: outcome_unknown; the handshake: not begun; error, check the address",
        &[
            (REMOTES, NONE),
            (REMOTES, FAIL),
            (TASK, "an_answer_that_cannot_be_used_leaves_the_outcome_unknown"),
        ],
    ),
    (
        "answers half a JSON",
        "outcome_unknown; error",
        &[
            (REMOTES, NONE),
            (REMOTES, FAIL),
            (TASK, "an_answer_that_cannot_be_used_leaves_the_outcome_unknown"),
        ],
    ),
    (
        "answers with comments without end",
        "timed_out after the call's own time, the server is told; a call taken back ends at once",
        &[
            (TASK, "a_server_that_never_answers_is_told_that_nobody_waits"),
            (TASK, "a_handshake_that_is_never_answered_is_given_up"),
            (REMOTES, BORNE),
            ("core/src/remote/tests/streamable.rs", "comments_without_end_do_not_extend_a_call"),
        ],
    ),
    (
        "answers 100 MB, announced or not, as JSON or as an event",
        "outcome_unknown, not read beyond the bound; error",
        &[
            (REMOTES, FAIL),
            (TASK, "a_hundred_megabytes_are_not_taken"),
            (ANSWERS, "a_hundred_megabytes_are_not_read"),
        ],
    ),
    (
        "answers with a wrong id",
        "outcome_unknown; error",
        &[(REMOTES, FAIL), (TASK, "an_answer_that_cannot_be_used_leaves_the_outcome_unknown")],
    ),
    (
        "answers twice",
        "the first counts, the second is nobody's",
        &[(REMOTES, BORNE), (TASK, "of_two_answers_the_first_counts")],
    ),
    (
        "answers a gzip bomb",
        "refused before a byte is unpacked: outcome_unknown; error",
        &[
            (REMOTES, FAIL),
            (TASK, "an_answer_that_cannot_be_used_leaves_the_outcome_unknown"),
            (ANSWERS, "an_encoded_body_is_refused_before_a_byte_of_it_is_read"),
        ],
    ),
    (
        "closes in the middle of a body",
        "outcome_unknown, again only where the call may be repeated; offline",
        &[
            (REMOTES, FAIL),
            (TASK, "an_answer_that_cannot_be_used_leaves_the_outcome_unknown"),
            (ANSWERS, "what_breaks_off_is_reset_before_the_head_and_cut_after_it"),
        ],
    ),
    (
        "accepts and never answers",
        "timed_out, the server is told; the handshake: offline; a call taken back ends at once",
        &[
            (TASK, "a_server_that_never_answers_is_told_that_nobody_waits"),
            (TASK, "a_handshake_that_is_never_answered_is_given_up"),
            (
                "io/src/mcp/tests/calls.rs",
                "a_server_that_does_not_answer_in_the_time_it_has_is_told_to_stop",
            ),
            (REMOTES, BORNE),
        ],
    ),
    (
        "sends 401 only on call",
        "rejected_before_send, at once; requires_reauth",
        &[
            (REMOTES, FAIL),
            (TASK, "a_401_on_calls_only_and_a_403_on_the_list_need_the_user"),
            (
                "core/src/remote/tests/retries.rs",
                "without_a_token_of_the_user_a_refusal_is_final_and_immediate",
            ),
        ],
    ),
    (
        "sends 403 on list",
        "requires_reauth; a list that was known before stays",
        &[
            (REMOTES, NONE),
            (TASK, "a_401_on_calls_only_and_a_403_on_the_list_need_the_user"),
            (
                "core/src/remote/tests/retries.rs",
                "a_list_that_is_forbidden_is_told_and_the_old_one_stays",
            ),
        ],
    ),
    (
        "sends 429 with Retry-After: seconds, a date, garbage",
        "waited out where that is short; garbage counts as not said; a long one is told at once",
        &[
            (REMOTES, BORNE),
            (TASK, "a_429_is_waited_out_where_its_time_is_short_and_told_where_it_is_long"),
            ("core/src/remote/tests/retries.rs", "retry_after_is_waited_for_within_bounds"),
        ],
    ),
    (
        "sends 503 for an hour",
        "offline, tried less and less, by one call or attempt at a time; then left alone",
        &[
            (
                "core/src/remote/tests/retries.rs",
                "a_server_that_is_down_for_an_hour_is_left_alone_and_tried_by_one_call_at_a_time",
            ),
            (
                "core/src/instance/tests/remote.rs",
                "a_server_that_stays_away_is_tried_less_and_less_and_then_left_alone",
            ),
            (REMOTES, NONE),
            (REMOTES, FAIL),
        ],
    ),
    (
        "changes its tools while called",
        "the call is answered, the list asked for anew",
        &[
            (REMOTES, BORNE),
            (TASK, "tools_that_change_during_a_call_are_asked_for_and_the_call_is_answered"),
        ],
    ),
    (
        "has a certificate that has expired, is another's, or of an unknown authority",
        "nothing is sent; error, which says what is wrong with it",
        &[
            (REACH, "a_certificate_that_is_not_good_keeps_every_message_back"),
            (TLS, "a_certificate_that_has_expired_or_is_for_another_name_is_not"),
        ],
    ),
    (
        "names an authorisation endpoint that is a file, or has characters of a shell",
        "refused before a browser is sent anywhere; the link stays good",
        &[
            (
                "io/src/backend/tests/connections.rs",
                "an_authorisation_endpoint_that_is_a_file_leads_nowhere",
            ),
            (
                "core/src/backend/oauth/tests.rs",
                "an_address_that_a_browser_or_a_shell_could_misread_is_refused",
            ),
        ],
    ),
    (
        "has a tool with colons in its name",
        "listed and called by that name on both routers",
        &[(REMOTES, BORNE), (GOOD, "a_call_goes_there_and_back_with_headers_query_and_session")],
    ),
    (
        "has 10,000 tools",
        "all are taken, told and kept",
        &[
            (REMOTES, BORNE),
            (
                GOOD,
                "ten_thousand_tools_are_taken_and_a_cursor_without_end_is_not_followed_for_ever",
            ),
        ],
    ),
    (
        "gives a cursor that never ends",
        "a hundred pages are followed and taken",
        &[
            (REMOTES, BORNE),
            (
                GOOD,
                "ten_thousand_tools_are_taken_and_a_cursor_without_end_is_not_followed_for_ever",
            ),
        ],
    ),
];

#[test]
fn everything_a_server_elsewhere_can_do_wrong_has_its_outcome_and_its_tests() {
    let mut text = String::new();
    for (what, outcome, tests) in ROWS {
        text.push_str(&format!("A server that {what}\n  {outcome}\n"));
        assert!(!tests.is_empty(), "{what}: nothing shows it");
        for (file, test) in *tests {
            let source = fs::read_to_string(root().join(file)).expect("a file of tests");
            let mut lines = source.lines().map(str::trim);
            let named = format!("fn {test}(");
            let mut before = "";
            let found = lines.any(|line| {
                let is_it = line.contains(&named) && before.contains("test");
                before = line;
                is_it
            });
            assert!(found, "{what}: {file} has no test {test}");
            text.push_str(&format!("    {file}: {test}\n"));
        }
    }
    satellite_tests::golden::compare("tests/tables/bad_remotes.txt", &text);
}
