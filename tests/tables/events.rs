//! Every type of event: where it is emitted, which test shows that, and what the Backend does.

use std::fs;

use satellite_core::wire::event::EventData;
use satellite_tests::root;

/// A type, the file that makes it, the test in [`SHOWN`] that shows it, and its effect at the
/// Backend. One that is only kept (in `satelliteEvents`, for the administrator) tells of something
/// that has no row of its own to change.
type Row = (&'static str, &'static str, &'static str, &'static str);

const SHOWN: [&str; 2] = ["core/src/control/tests/emissions.rs", "core/src/control/tests/audit.rs"];
const PUBLISHED: &str = "core/src/instance/published.rs";
const TOLD: &str = "core/src/control/usage/told.rs";

const ROWS: &[Row] = &[
    (
        "mcp.server.status_changed",
        PUBLISHED,
        "a_start_tells_the_status_the_tools_and_the_process",
        "mcpServerInstances: status, message and since when, unless a later one is known",
    ),
    (
        "mcp.server.started",
        PUBLISHED,
        "a_start_tells_the_status_the_tools_and_the_process",
        "satelliteProcesses: running, with its process id",
    ),
    (
        "mcp.server.crashed",
        PUBLISHED,
        "a_crash_and_the_restart_after_it_are_told_once_each",
        "satelliteProcesses: failed, with how it ended",
    ),
    (
        "mcp.server.restarted",
        PUBLISHED,
        "a_crash_and_the_restart_after_it_are_told_once_each",
        "satelliteProcesses: running, with its new process id",
    ),
    (
        "mcp.server.dormant",
        PUBLISHED,
        "sleep_and_waking_are_told_with_their_lengths",
        "satelliteProcesses: stopped",
    ),
    (
        "mcp.server.respawned",
        PUBLISHED,
        "sleep_and_waking_are_told_with_their_lengths",
        "satelliteProcesses: running, with its new process id",
    ),
    (
        "mcp.server.permanently_failed",
        PUBLISHED,
        "the_fourth_crash_is_told_as_the_last",
        "satelliteProcesses: failed, with the last error",
    ),
    (
        "mcp.server.logs",
        TOLD,
        "what_a_server_writes_is_gathered_and_told_before_its_end",
        "mcpServerLogs: a row for each line",
    ),
    (
        "mcp.request.logs",
        TOLD,
        "each_call_is_told_once_with_its_outcome_and_in_the_request_log",
        "mcpRequestLogs: a row for each call",
    ),
    (
        "mcp.tools.discovered",
        PUBLISHED,
        "a_start_tells_the_status_the_tools_and_the_process",
        "mcpToolMetadata: the tools of that user's instance, what is switched off stays so",
    ),
    (
        "mcp.tool.executed",
        TOLD,
        "each_call_is_told_once_with_its_outcome_and_in_the_request_log",
        "satelliteUsageLogs: a row",
    ),
    (
        "mcp.client.activity",
        TOLD,
        "a_clients_requests_are_counted_and_told_at_intervals_and_at_its_end",
        "mcpClientActivity: counts are added, the session and the last moment replaced",
    ),
    (
        "mcp.server.log_rate_limit_exceeded",
        PUBLISHED,
        "lines_that_were_too_many_are_told_with_the_time_they_took",
        "mcpServerLogs: a warning where the lines are missing",
    ),
    (
        "mcp.client.connected",
        TOLD,
        "a_clients_requests_are_counted_and_told_at_intervals_and_at_its_end",
        "kept",
    ),
    (
        "mcp.client.disconnected",
        TOLD,
        "a_clients_requests_are_counted_and_told_at_intervals_and_at_its_end",
        "kept",
    ),
    (
        "mcp.server.stopped",
        PUBLISHED,
        "a_server_that_is_killed_and_one_that_is_removed_are_told_as_stopped",
        "satelliteProcesses: stopped",
    ),
    (
        "mcp.tools.updated",
        PUBLISHED,
        "tools_that_come_and_go_are_told_by_name_also_across_a_restart",
        "kept; the list itself comes with mcp.tools.discovered",
    ),
    (
        "config.refreshed",
        "core/src/control/conversation.rs",
        "a_configuration_is_told_each_time_it_was_fetched",
        "kept",
    ),
    (
        "config.error",
        "core/src/configuration/applied.rs",
        "a_configuration_that_cannot_be_fetched_is_told_with_the_reason_and_the_next_attempt",
        "kept",
    ),
    (
        "security.auth.failed",
        TOLD,
        "refusals_are_told_a_few_at_a_time_and_none_is_forgotten",
        "kept",
    ),
    (
        "security.credentials.accessed",
        "core/src/control/audit.rs",
        "what_a_server_is_given_in_secret_is_on_record_by_name_and_never_by_value",
        "kept; a team's own are at /api/teams/{team}/events",
    ),
    (
        "resource.limit.exceeded",
        "core/src/control/watermark.rs",
        "the_limit_of_processes_is_told_at_four_fifths_and_when_it_is_reached",
        "kept; one server's own limits are told by control/measuring.rs",
    ),
    (
        "satellite.events.gap",
        "core/src/control/usage.rs",
        "a_flood_of_calls_is_told_as_far_as_there_is_room_and_the_rest_by_its_number",
        "kept",
    ),
];

#[test]
fn every_type_of_event_has_its_place_its_test_and_its_effect() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a source file");
    let tests = SHOWN.map(read).concat();
    let mut kinds: Vec<&str> = ROWS.iter().map(|(kind, ..)| *kind).collect();
    let mut known = EventData::KINDS.to_vec();
    kinds.sort_unstable();
    known.sort_unstable();
    assert_eq!(kinds, known, "each type once");
    // The variant's name as the list of types has it.
    let list = read("core/src/wire/event/kinds.rs");
    let effects = read("io/src/backend/tests/events.rs");
    let mut text = String::new();
    for (kind, file, test, effect) in ROWS {
        let variant = list
            .lines()
            .find_map(|line| line.trim().strip_prefix(&format!("\"{kind}\" => ")))
            .and_then(|rest| rest.strip_suffix(','))
            .unwrap_or_else(|| panic!("{kind} is not in the list of types"));
        assert!(read(file).contains(&format!("EventData::{variant}(")), "{file} makes no {kind}");
        assert!(tests.contains(&format!("fn {test}()")), "{kind}: there is no test {test}");
        assert!(tests.contains(kind), "{kind} is looked at in no test of {SHOWN:?}");
        assert!(effects.contains(&format!("\"{kind}\",")), "{kind}: its effect is not tested");
        text.push_str(&format!(
            "{kind}\n  emitted  {file}\n  shown    {test}\n  backend  {effect}\n"
        ));
    }
    satellite_tests::golden::compare("tests/tables/events.txt", &text);
}
