//! What each type of event changes at the Backend, read from its tables.

use axum::http::{Method, StatusCode};
use rusqlite::Connection;
use satellite_core::wire::event::EventData;
use serde_json::{Value, json};

use super::World;
use crate::backend::store::Store;

const AT: &str = "2026-01-31T09:15:02.100Z";

/// A type, its data, and a query of what it changes with the answer expected; no query where the
/// event is only kept, for `satellite events` to show.
type Case = (&'static str, Value, Option<(&'static str, &'static str)>);

fn cases(team: &str, user: &str, i: &str) -> Vec<Case> {
    let process = |more: Value| {
        let mut data = json!({"server_id": i, "server_slug": "files-p", "team_id": team,
            "user_id": user});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    const PROCESS: &str = r#"SELECT status || ' ' || process_pid || ' ' ||
        coalesce(error_message, '-') FROM "satelliteProcesses" WHERE id = 'files-p'"#;
    let tool = |name: &str| json!({"tool_name": name, "description": "d", "input_schema": {}, "token_count": 3});
    vec![
        (
            "mcp.server.status_changed",
            json!({"installation_id": i, "team_id": team, "user_id": user, "status": "online",
                "status_message": "ready", "timestamp": AT}),
            Some((
                r#"SELECT status || ' ' || status_message FROM "mcpServerInstances""#,
                "online ready",
            )),
        ),
        (
            "mcp.server.started",
            process(json!({"process_id": 7, "transport": "stdio", "tool_count": 1,
                "spawn_duration_ms": 5})),
            Some((PROCESS, "running 7 -")),
        ),
        (
            "mcp.server.crashed",
            process(json!({"process_id": 7, "exit_code": -1, "signal": "SIGKILL",
                "uptime_seconds": 3, "crash_count": 1, "will_restart": true})),
            Some((PROCESS, "failed 7 ended by SIGKILL")),
        ),
        (
            "mcp.server.restarted",
            process(json!({"old_process_id": 7, "new_process_id": 8, "restart_reason": "crash",
                "attempt_number": 1})),
            Some((PROCESS, "running 8 -")),
        ),
        (
            "mcp.server.dormant",
            process(json!({"process_id": 8, "idle_duration_seconds": 300, "last_activity_at": AT})),
            Some((PROCESS, "stopped 8 -")),
        ),
        (
            "mcp.server.respawned",
            process(json!({"process_id": 9, "dormant_duration_seconds": 60,
                "respawn_duration_ms": 50})),
            Some((PROCESS, "running 9 -")),
        ),
        (
            "mcp.server.permanently_failed",
            process(json!({"total_crashes": 4, "last_error": "exit 3", "failed_at": AT})),
            Some((PROCESS, "failed 9 exit 3")),
        ),
        (
            "mcp.server.stopped",
            json!({"server_id": i, "server_name": "files-p", "team_id": team, "reason": "killed"}),
            Some((PROCESS, "stopped 9 -")),
        ),
        (
            "mcp.server.logs",
            json!({"installation_id": i, "team_id": team, "user_id": user, "logs": [
                {"level": "warn", "message": "low on tea", "timestamp": AT}]}),
            Some((
                r#"SELECT log_level || ' ' || message || ' ' || created_at FROM "mcpServerLogs"
                   WHERE user_id IS NOT NULL"#,
                "warn low on tea 2026-01-31T09:15:02.100Z",
            )),
        ),
        (
            "mcp.server.log_rate_limit_exceeded",
            json!({"installation_id": i, "dropped_count": 300, "time_window_seconds": 5,
                "rate_limit": 20}),
            Some((
                r#"SELECT log_level || ' ' || message FROM "mcpServerLogs" WHERE user_id IS NULL"#,
                "warn 300 lines of 5 s were left out: more than 20 a second are not kept",
            )),
        ),
        (
            "mcp.request.logs",
            json!({"installation_id": i, "team_id": team, "requests": [{"user_id": user,
                "tool_name": "read", "tool_params": {"p": 1}, "tool_response": {"r": 2},
                "response_time_ms": 25, "success": true, "timestamp": AT}]}),
            Some((
                r#"SELECT tool_name || tool_params || tool_response || response_time_ms || success
                   FROM "mcpRequestLogs""#,
                r#"read{"p":1}{"r":2}251"#,
            )),
        ),
        (
            "mcp.tools.discovered",
            json!({"installation_id": i, "installation_name": "files-p", "team_id": team,
                "user_id": user, "server_slug": "files", "tool_count": 2, "total_tokens": 6,
                "tools": [tool("a"), tool("b")], "discovered_at": AT}),
            Some((
                r#"SELECT group_concat(tool_name) || max(user_id = (SELECT id FROM users))
                   FROM "mcpToolMetadata""#,
                "a,b1",
            )),
        ),
        (
            "mcp.tool.executed",
            json!({"tool_name": "read", "server_id": i, "team_id": team, "duration_ms": 25,
                "success": false, "error_message": "no", "user_id": user,
                "outcome": "timed_out"}),
            Some((
                r#"SELECT tool_name || duration_ms || status_code || error_message
                   FROM "satelliteUsageLogs" WHERE user_id IS NOT NULL"#,
                "read25500no",
            )),
        ),
        (
            "mcp.client.activity",
            json!({"user_id": user, "team_id": team, "oauth_client_id": "c", "session_id": "s",
                "request_count": 3, "tool_call_count": 1, "last_activity_at": AT}),
            Some((
                r#"SELECT auth_identifier || current_session_id || total_requests ||
                   total_tool_calls FROM "mcpClientActivity""#,
                "oauth:cs31",
            )),
        ),
        (
            "mcp.client.connected",
            json!({"session_id": "s", "client_type": "claude", "user_agent": "n",
                "team_id": team, "transport": "http", "ip_address": "192.0.2.1"}),
            None,
        ),
        (
            "mcp.client.disconnected",
            json!({"session_id": "s", "team_id": team, "connection_duration_seconds": 9,
                "tool_execution_count": 1, "disconnect_reason": "timeout"}),
            None,
        ),
        (
            "mcp.tools.updated",
            json!({"server_id": i, "server_slug": "files-p", "team_id": team,
                "added_tools": ["b"], "removed_tools": [], "total_tools": 2}),
            None,
        ),
        (
            "config.refreshed",
            json!({"config_hash": "h", "server_count": 1, "teams_count": 1,
                "change_detected": true, "fetch_duration_ms": 5}),
            None,
        ),
        (
            "config.error",
            json!({"error_type": "network", "error_message": "no", "status_code": null,
                "retry_in": 60}),
            None,
        ),
        ("security.auth.failed", json!({"reason": "token_invalid"}), None),
        (
            "security.credentials.accessed",
            json!({"team_id": team, "user_id": user, "installation_id": i,
                "server_slug": "files-p", "incarnation": 1, "environment": ["API_KEY"]}),
            None,
        ),
        (
            "resource.limit.exceeded",
            json!({"team_id": team, "resource_type": "processes", "current_value": 40,
                "limit_value": 50}),
            None,
        ),
        (
            "satellite.events.gap",
            json!({"from_seq": 1, "to_seq": 2, "count": 2, "reason": "queue_full"}),
            None,
        ),
    ]
}

#[tokio::test]
async fn every_type_of_event_is_kept_once_and_does_what_it_tells() {
    let file = std::env::temp_dir().join(format!("satellite-events-{}.db", std::process::id()));
    let world = World::on(format!("sqlite:{}", file.display())).await;
    let (team, user, installation) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let path = format!("/api/satellites/{}/events", satellite.id);
    let tables = Connection::open(&file).unwrap();
    let one = |sql: &str| tables.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let cases = cases(&team, &user, &installation);
    let mut kinds: Vec<&str> = cases.iter().map(|(kind, ..)| *kind).collect();
    for (number, (kind, data, effect)) in cases.iter().enumerate() {
        let event = json!({"type": kind, "timestamp": AT, "data": data,
            "id": format!("e{number}"), "seq": number});
        for _ in 0..2 {
            let told = world.post(&path, &satellite.key, json!({"events": [event]})).await;
            assert_eq!(told.status, StatusCode::OK, "{kind}: {}", told.body);
            assert_eq!(told.body["processed"], 1, "{kind}: {}", told.body);
        }
        if let Some((sql, expected)) = effect {
            assert_eq!(one(sql), *expected, "{kind}");
        }
        let kept = format!(
            r#"SELECT CAST(count(*) AS TEXT) FROM "satelliteEvents" WHERE type = '{kind}'"#
        );
        assert_eq!(one(&kept), "1", "{kind}");
    }
    let mut known = EventData::KINDS.to_vec();
    known.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(kinds, known, "each type has its case");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}

#[tokio::test]
async fn users_of_one_installation_do_not_overwrite_each_others_tools() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let path = format!("/api/satellites/{}/events", satellite.id);
    for (whose, tool) in [(user.as_str(), "mine"), ("user_other", "theirs")] {
        let event = json!({"type": "mcp.tools.discovered", "timestamp": AT, "data": {
            "installation_id": installation, "installation_name": "f", "team_id": team,
            "user_id": whose, "server_slug": "files", "tool_count": 1, "total_tokens": 1,
            "tools": [{"tool_name": tool, "description": "", "input_schema": {},
                "token_count": 1}], "discovered_at": AT}});
        let told = world.post(&path, &satellite.key, json!({"events": [event]})).await;
        assert_eq!(told.body["processed"], 1, "{}", told.body);
    }
    let tools = world.backend.store.tools(installation.as_str().into()).await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool.tool_name.as_str()).collect();
    assert_eq!(names, ["mine", "theirs"]);
}

#[tokio::test]
async fn what_a_team_is_told_of_is_its_own_and_holds_the_names_of_what_was_secret_alone() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let other = world.administer(Method::POST, "/api/teams", json!({"name": "Other"})).await;
    let other = other["team"]["id"].as_str().unwrap().to_owned();
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/events", satellite.id);
    let accessed = json!({"type": "security.credentials.accessed", "timestamp": AT, "data": {
        "team_id": team, "user_id": user, "installation_id": installation,
        "server_slug": "files-p", "incarnation": 1, "environment": ["API_KEY"],
        "access_token": false, "value": "plain secret"}});
    let logs = json!({"type": "mcp.server.logs", "timestamp": AT, "data": {
        "installation_id": installation, "team_id": team, "user_id": user, "logs": [
            {"level": "warn", "message": "low on tea", "timestamp": AT}]}});
    let theirs = json!({"type": "resource.limit.exceeded", "timestamp": AT, "data": {
        "team_id": other, "resource_type": "memory", "current_value": 4, "limit_value": 5}});
    let events = json!({"events": [accessed, logs, theirs]});
    let told = world.post(&path, &satellite.key, events).await;
    assert_eq!(told.body["processed"], 3, "{}", told.body);

    let kinds = async |team: &str, more: &str| {
        let path = format!("/api/teams/{team}/events{more}");
        let data = world.administer(Method::GET, &path, json!({})).await;
        let events = data["events"].as_array().unwrap().clone();
        let kinds: Vec<String> =
            events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        (kinds, data.to_string())
    };
    let (own, text) = kinds(&team, "").await;
    assert_eq!(own, ["security.credentials.accessed", "mcp.server.logs"]);
    assert!(text.contains("API_KEY") && !text.contains("plain secret"), "{text}");
    assert_eq!(kinds(&team, "?type=mcp.server.logs").await.0, ["mcp.server.logs"]);
    assert_eq!(kinds(&other, "").await.0, ["resource.limit.exceeded"]);
    let nobody = world.get("/api/teams/team_nobody/events", &world.admin).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let closed = world.get(&format!("/api/teams/{team}/events"), &satellite.key).await;
    assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
}
