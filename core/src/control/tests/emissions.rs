//! Which event each occurrence becomes, with its fields, and that it becomes it once.

use serde_json::{Value, json};

use super::*;
use crate::limits::{ACTIVITY_WINDOW_MS, TOOL_USES_BURST, TOOL_USES_PER_SECOND};
use crate::process::StderrLine;
use crate::router::outcome::Outcome;
use crate::usage::{Client, Detail, EndedCall, Origin, RefusedCredential, Report as Did};
use crate::view::Tool;
use crate::wire::event::DisconnectReason;

impl World {
    /// Lets the outbox send what waits; every event with its type, its data and its moment.
    pub(super) fn events(&mut self) -> Vec<(String, Value, String)> {
        let mut found = Vec::new();
        self.later(4 * SECOND);
        while self.asked.iter().any(|(request, ..)| request.channel == Channel::Events) {
            let (_, body) = self.answer(Channel::Events, 200, r#"{"success":true}"#);
            let body: Value = serde_json::from_str(&body).unwrap();
            for event in body["events"].as_array().unwrap() {
                let text = |name: &str| event[name].as_str().unwrap().to_string();
                found.push((text("type"), event["data"].clone(), text("timestamp")));
            }
            self.later(4 * SECOND);
        }
        found
    }

    /// The data of the events of one type.
    pub(super) fn told(&mut self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|(it, ..)| it == kind).map(|(_, data, _)| data).collect()
    }

    fn kinds(&mut self) -> Vec<String> {
        self.events().into_iter().map(|(kind, ..)| kind).collect()
    }

    fn report(&mut self, report: Report) {
        let (key, incarnation) = self.spawned.last().cloned().unwrap();
        self.event(Event::Relay { key, incarnation, report });
    }

    fn did(&mut self, reports: Vec<Did>) {
        self.event(Event::Used { reports: Arc::new(reports.into()), lost: 0 });
    }

    fn wrote(&mut self, lines: usize, dropped: u64, dropped_over_ms: u64) {
        let (key, incarnation) = self.spawned.last().cloned().unwrap();
        let line = |n| StderrLine { text: format!("warning: low on tea {n}"), truncated: false };
        let lines = (0..lines).map(line).collect();
        self.event(Event::Stderr { key, incarnation, lines, dropped, dropped_over_ms });
    }
}

fn running() -> World {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    world.events();
    world
}

fn listed(names: &[&str], now: Timestamp) -> Report {
    let tool = |name: &&str| Tool {
        name: name.to_string(),
        description: String::new(),
        repeatable: false,
        raw: serde_json::value::to_raw_value(&json!({"name": name})).unwrap(),
    };
    let tools = names.iter().map(tool).collect();
    Report::Listed(Arc::new(Inventory { tools, discovered_at: now, ..Inventory::default() }))
}

fn client(world: &World, session: &str) -> Arc<Client> {
    let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() };
    let origin = Origin {
        name: Some("claude-ai".to_string()),
        user_agent: Some("node".to_string()),
        ip_address: Some("192.0.2.1".to_string()),
    };
    Arc::new(Client::of_instance(&key, session.into(), origin, world.now))
}

fn call(client: &Arc<Client>, outcome: Outcome) -> EndedCall {
    EndedCall {
        client: Arc::clone(client),
        key: InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() },
        tool: "read".to_string(),
        began: client.since,
        duration_ms: 25,
        outcome,
        error: (outcome != Outcome::Ok).then(|| "no answer within 25 ms".to_string()),
        is_logged: true,
        detail: Some(Detail { params: json!({"p": 1}), response: Some(json!({"content": []})) }),
    }
}

#[test]
fn a_start_tells_the_status_the_tools_and_the_process() {
    let mut world = World::configured(&server("i", "node"));
    world.online();
    let events = world.events();
    let kinds: Vec<&str> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "config.refreshed",
            "mcp.server.status_changed",
            "mcp.server.status_changed",
            "mcp.server.status_changed",
            "mcp.server.status_changed",
            "mcp.tools.discovered",
            "mcp.server.started",
        ]
    );
    assert_eq!(
        events[6].1,
        json!({"server_id": "i", "server_slug": "files-t-u-i", "team_id": "t", "user_id": "u",
            "process_id": 4711, "transport": "stdio", "tool_count": 0, "spawn_duration_ms": 0})
    );
    assert_eq!(events[5].1["user_id"], "u");
}

#[test]
fn a_configuration_is_told_each_time_it_was_fetched() {
    let mut world = World::configured(&server("i", "node"));
    let first = world.told("config.refreshed");
    assert_eq!(first[0]["change_detected"], true);
    assert_eq!((&first[0]["server_count"], &first[0]["teams_count"]), (&json!(1), &json!(1)));
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 200, &configuration(&server("i", "node")));
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 304, "");
    let again = world.told("config.refreshed");
    assert_eq!(again.len(), 2);
    for told in again {
        assert_eq!(told["change_detected"], false);
        assert_eq!(told["config_hash"], first[0]["config_hash"]);
        assert_eq!((&told["server_count"], &told["fetch_duration_ms"]), (&json!(1), &json!(5)));
    }
}

#[test]
fn a_configuration_that_cannot_be_fetched_is_told_with_the_reason_and_the_next_attempt() {
    for (status, kind) in [(503, "server_error"), (401, "auth")] {
        let mut world = running();
        world.command("configure", "{}");
        world.answer(Channel::Configuration, status, "{}");
        let told = world.told("config.error");
        assert_eq!(told[0]["error_type"], kind);
        assert_eq!(told[0]["status_code"], status);
        assert!(told[0]["retry_in"].as_u64().unwrap() >= 2, "{told:?}");
    }
}

#[test]
fn a_crash_and_the_restart_after_it_are_told_once_each() {
    let mut world = running();
    world.exited();
    let crashed = world.told("mcp.server.crashed");
    assert_eq!(
        crashed,
        [json!({"server_id": "i", "server_slug": "files-t-u-i", "team_id": "t", "user_id": "u",
            "process_id": 4711, "exit_code": -1, "signal": "none", "uptime_seconds": 8,
            "crash_count": 1, "will_restart": true})]
    );
    world.later(5 * SECOND);
    world.online();
    let restarted = world.told("mcp.server.restarted");
    assert_eq!(restarted.len(), 1);
    assert_eq!(restarted[0]["restart_reason"], "crash");
    assert_eq!(
        (&restarted[0]["old_process_id"], &restarted[0]["attempt_number"]),
        (&json!(4711), &json!(1))
    );
}

#[test]
fn a_server_that_stops_answering_is_stopped_and_restarted_for_that_reason() {
    let mut world = World::configured(&server("i", "node"));
    let (key, incarnation) = world.spawned[0].clone();
    world.event(Event::Spawned { key, incarnation, pid: 7 });
    world.report(Report::Unusable { step: "initialize", reason: "no answer".to_string() });
    world.exited();
    world.later(5 * SECOND);
    world.online();
    let events = world.events();
    let data = |kind: &str| -> Vec<Value> {
        events.iter().filter(|(it, ..)| it == kind).map(|it| it.1.clone()).collect()
    };
    let stopped = data("mcp.server.stopped");
    assert_eq!(
        stopped,
        [json!({"server_id": "i", "server_name": "files-t-u-i", "team_id": "t", "user_id": "u",
            "process_id": 7, "reason": "unusable"})]
    );
    assert_eq!(data("mcp.server.crashed"), Vec::<Value>::new());
    assert_eq!(data("mcp.server.restarted")[0]["restart_reason"], "health_check_failed");
}

#[test]
fn the_fourth_crash_is_told_as_the_last() {
    let mut world = running();
    for _ in 0..4 {
        world.exited();
        world.later(20 * SECOND);
        if world.status() != Some(InstanceStatus::PermanentlyFailed) {
            world.online();
        }
    }
    let told = world.told("mcp.server.permanently_failed");
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["total_crashes"], &told[0]["last_error"]), (&json!(4), &json!("ended")));
}

#[test]
fn sleep_and_waking_are_told_with_their_lengths() {
    let mut world = running();
    world.later(10 * MINUTE);
    world.exited();
    let dormant = world.told("mcp.server.dormant");
    assert_eq!(dormant.len(), 1);
    assert!(dormant[0]["idle_duration_seconds"].as_u64().unwrap() >= 300, "{dormant:?}");
    world.later(MINUTE);
    let key = world.spawned[0].0.clone();
    world.event(Event::Wanted { key });
    world.later(30);
    world.online();
    let woken = world.told("mcp.server.respawned");
    assert_eq!(woken.len(), 1);
    assert!(woken[0]["dormant_duration_seconds"].as_u64().unwrap() >= 60, "{woken:?}");
    assert_eq!(woken[0]["respawn_duration_ms"], 30);
}

#[test]
fn tools_that_come_and_go_are_told_by_name_also_across_a_restart() {
    let mut world = running();
    let now = world.now;
    world.report(listed(&["a", "b"], now));
    world.report(listed(&["a", "b"], now));
    world.exited();
    world.later(5 * SECOND);
    let (key, incarnation) = world.spawned.last().cloned().unwrap();
    world.event(Event::Spawned { key, incarnation, pid: 8 });
    world.report(Report::Initialized);
    world.report(listed(&["c", "b"], now));
    let told = world.told("mcp.tools.updated");
    assert_eq!(
        told,
        [json!({"server_id": "i", "server_slug": "files-t-u-i", "team_id": "t",
            "added_tools": ["c"], "removed_tools": ["a"], "total_tools": 2})]
    );
}

#[test]
fn what_a_server_writes_is_gathered_and_told_before_its_end() {
    let mut world = running();
    world.wrote(2, 0, 0);
    world.later(SECOND);
    world.wrote(1, 0, 0);
    world.exited();
    let events = world.events();
    let kinds: Vec<&str> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds[0], "mcp.server.logs");
    assert!(kinds.contains(&"mcp.server.crashed"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "mcp.server.logs").count(), 1);
    let logs = &events[0].1;
    assert_eq!((&logs["installation_id"], &logs["user_id"]), (&json!("i"), &json!("u")));
    assert_eq!(logs["logs"].as_array().unwrap().len(), 3);
    assert_eq!(logs["logs"][0]["level"], "warn");
    assert_ne!(logs["logs"][0]["timestamp"], logs["logs"][2]["timestamp"]);
}

#[test]
fn lines_that_were_too_many_are_told_with_the_time_they_took() {
    let mut world = running();
    world.wrote(20, 300, 4_200);
    let told = world.told("mcp.server.log_rate_limit_exceeded");
    assert_eq!(
        told,
        [json!({"installation_id": "i", "dropped_count": 300, "time_window_seconds": 5,
            "rate_limit": 20})]
    );
}

#[test]
fn each_call_is_told_once_with_its_outcome_and_in_the_request_log() {
    let mut world = running();
    let client = client(&world, "s1");
    let failed = call(&client, Outcome::TimedOut);
    let quiet = EndedCall { is_logged: false, detail: None, ..call(&client, Outcome::Ok) };
    let unseen = EndedCall { detail: None, ..call(&client, Outcome::Ok) };
    world.did(vec![
        Did::Called(call(&client, Outcome::Ok)),
        Did::Called(failed),
        Did::Called(quiet),
        Did::Called(unseen),
    ]);
    let events = world.events();
    let data = |kind: &str| -> Vec<Value> {
        events.iter().filter(|(it, ..)| it == kind).map(|it| it.1.clone()).collect()
    };
    let used = data("mcp.tool.executed");
    assert_eq!(used.len(), 4);
    assert_eq!(
        used[0],
        json!({"tool_name": "read", "server_id": "i", "team_id": "t", "duration_ms": 25,
            "success": true, "user_id": "u", "outcome": "ok"})
    );
    assert_eq!((&used[1]["success"], &used[1]["outcome"]), (&json!(false), &json!("timed_out")));
    assert_eq!(used[1]["error_message"], "no answer within 25 ms");
    let logs = data("mcp.request.logs");
    assert_eq!(logs.len(), 1);
    assert_eq!((&logs[0]["installation_id"], &logs[0]["team_id"]), (&json!("i"), &json!("t")));
    assert_eq!(logs[0]["omitted_count"], 1, "the one too many is counted, the private one not");
    let requests = logs[0]["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        (&requests[0]["user_id"], &requests[0]["tool_params"], &requests[0]["tool_response"]),
        (&json!("u"), &json!({"p": 1}), &json!({"content": []}))
    );
    assert_eq!(requests[1]["error_message"], "no answer within 25 ms");
}

#[test]
fn a_clients_requests_are_counted_and_told_at_intervals_and_at_its_end() {
    let mut world = running();
    let client = client(&world, "s1");
    let at = world.now;
    world.did(vec![
        Did::Connected { client: Arc::clone(&client) },
        Did::Requested { client: Arc::clone(&client), at },
        Did::Called(call(&client, Outcome::Ok)),
    ]);
    let connected = world.told("mcp.client.connected");
    assert_eq!(
        connected,
        [json!({"session_id": "s1", "client_type": "claude", "user_agent": "node",
            "team_id": "t", "transport": "http", "ip_address": "192.0.2.1"})]
    );
    world.later(ACTIVITY_WINDOW_MS);
    let activity = world.told("mcp.client.activity");
    assert_eq!(activity.len(), 1);
    assert_eq!(
        activity[0],
        json!({"user_id": "u", "team_id": "t", "oauth_client_id": "instance-token",
            "client_name": "claude-ai", "user_agent": "node", "ip_address": "192.0.2.1",
            "session_id": "s1", "request_count": 3, "tool_call_count": 1,
            "last_activity_at": IsoTime(at.after(25))})
    );
    world.did(vec![
        Did::Called(call(&client, Outcome::Ok)),
        Did::Disconnected { client, reason: DisconnectReason::Timeout, at: at.after(90_000) },
    ]);
    let events = world.events();
    let is_last = |kind: &str| matches!(kind, "mcp.client.activity" | "mcp.client.disconnected");
    let last: Vec<&Value> =
        events.iter().filter(|(kind, ..)| is_last(kind)).map(|it| &it.1).collect();
    assert_eq!((&last[0]["request_count"], &last[0]["tool_call_count"]), (&json!(1), &json!(1)));
    assert_eq!(
        last[1],
        &json!({"session_id": "s1", "team_id": "t", "connection_duration_seconds": 90,
            "tool_execution_count": 2, "disconnect_reason": "timeout"})
    );
}

#[test]
fn a_flood_of_calls_is_told_as_far_as_there_is_room_and_the_rest_by_its_number() {
    let mut world = running();
    let client = client(&world, "s1");
    let flood = 3 * TOOL_USES_BURST;
    for _ in 0..flood {
        world.did(vec![Did::Called(call(&client, Outcome::Ok))]);
    }
    world.event(Event::Used { reports: Arc::default(), lost: 7 });
    assert!(world.control.view().outbox.dropped == 0, "nothing else is pushed out");
    let mut events = world.events();
    world.later(ACTIVITY_WINDOW_MS);
    events.extend(world.events());
    let number = |kind: &str| events.iter().filter(|(it, ..)| it == kind).count() as u64;
    let gaps: u64 = events
        .iter()
        .filter(|(kind, ..)| kind == "satellite.events.gap")
        .map(|(_, data, _)| data["count"].as_u64().unwrap())
        .sum();
    assert!(number("mcp.tool.executed") >= 1_000);
    assert!(number("mcp.tool.executed") <= TOOL_USES_BURST + TOOL_USES_PER_SECOND);
    assert_eq!(number("mcp.tool.executed") + gaps, flood + 7);
    let counted: u64 = events
        .iter()
        .filter(|(kind, ..)| kind == "mcp.client.activity")
        .map(|(_, data, _)| data["tool_call_count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, flood, "the counts of the client hold whatever was left out");
}

#[test]
fn refusals_are_told_a_few_at_a_time_and_none_is_forgotten() {
    let mut world = running();
    for number in 0..500 {
        let refused = RefusedCredential {
            team: None,
            client: None,
            reason: "token_invalid",
            ip_address: Some(format!("192.0.2.{}", number % 250)),
            at: world.now,
        };
        world.did(vec![Did::Refused(refused)]);
    }
    let mut told = world.told("security.auth.failed");
    world.later(MINUTE);
    told.extend(world.told("security.auth.failed"));
    assert!(told.len() <= 20, "{}", told.len());
    let others: u64 = told.iter().filter_map(|data| data["suppressed_count"].as_u64()).sum();
    assert_eq!(told.len() as u64 + others, 500);
    assert_eq!(
        (&told[0]["reason"], &told[0]["ip_address"]),
        (&json!("token_invalid"), &json!("192.0.2.0"))
    );
}

#[test]
fn the_limit_of_processes_is_told_at_four_fifths_and_when_it_is_reached() {
    let servers: Vec<String> = (0..5).map(|number| server(&format!("i{number}"), "node")).collect();
    let mut world = World::configured("");
    world.control.settings.processes_max = 5;
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 200, &configuration(&servers.join(",")));
    let told = world.told("resource.limit.exceeded");
    assert_eq!(
        told,
        [4.0, 5.0].map(|used| json!({"team_id": "t", "resource_type": "processes",
            "current_value": used, "limit_value": 5.0}))
    );
    let health = world.control.view().health.clone();
    assert_eq!(health.status, SatelliteStatus::Degraded);
}

#[test]
fn a_server_that_is_killed_and_one_that_is_removed_are_told_as_stopped() {
    let mut world = running();
    world.command("kill", r#"{"installation_id":"i"}"#);
    world.exited();
    assert_eq!(world.told("mcp.server.stopped")[0]["reason"], "killed by command");
    let key = world.spawned[0].0.clone();
    world.event(Event::Wanted { key });
    world.online();
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 200, &configuration(""));
    world.exited();
    assert_eq!(world.told("mcp.server.stopped")[0]["reason"], "no longer configured");
}

#[test]
fn a_shutdown_tells_everything_that_waits() {
    let mut world = running();
    let client = client(&world, "s1");
    world.wrote(1, 0, 0);
    world.did(vec![Did::Called(call(&client, Outcome::Ok))]);
    world.event(Event::ShutdownRequested);
    world.exited();
    let kinds = world.kinds();
    for kind in ["mcp.server.logs", "mcp.request.logs", "mcp.client.activity", "mcp.server.stopped"]
    {
        assert_eq!(kinds.iter().filter(|it| *it == kind).count(), 1, "{kind}: {kinds:?}");
    }
}
