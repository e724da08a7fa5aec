//! How PostgreSQL goes about the queries that come with every heartbeat, poll, report and call.

use std::collections::BTreeMap;
use std::path::Path;

use satellite_core::backend::processes::ReportedProcess;
use satellite_core::time::{HOUR, IsoTime, MINUTE, Timestamp};
use satellite_core::view::InstanceStatus;
use satellite_core::wire::command::{CommandStatus, Priority};

use super::super::super::Store;
use super::super::super::contract::NOW;
use super::super::super::contract::given::{command, event, heartbeat, process, take};
use super::super::super::records::{Completion, EventEffect, EventQuery, EventRecord};
use super::{AnyStore, opened, throwaway};

/// 2,000 satellites of 20 teams, with what gathers around them.
const ROWS: &str = r#"
INSERT INTO teams SELECT 't' || n, 'Team', 't' || n, now() FROM generate_series(0, 19) n;
INSERT INTO users SELECT 'u' || n, 'u' || n, NULL, now() FROM generate_series(0, 1999) n;
INSERT INTO "teamMembers" SELECT 't' || n % 20, 'u' || n, 'team_user', now()
  FROM generate_series(0, 1999) n;
INSERT INTO "accessTokens" SELECT 'k' || n, 'h' || n, 'u' || n % 2000, 't' || n % 20, 'c', '', '[]',
  now(), now() FROM generate_series(0, 9999) n;
INSERT INTO satellites (id, name, satellite_type, team_id, api_key_lookup, api_key_hash,
    last_heartbeat, mcp_status, created_at, updated_at)
  SELECT 's' || n, 's' || n, 'team', 't' || n % 20, 'l' || n, 'h', '2026-01-31T09:00:00Z', '{}',
    now(), now() FROM generate_series(0, 1999) n;
INSERT INTO "satelliteHeartbeats" (id, satellite_id, status, system_metrics, timestamp)
  SELECT 'hb' || n, 's' || n % 2000, 'active', '{}', now() - n * interval '1s'
  FROM generate_series(0, 19999) n;
INSERT INTO "satelliteCommands" (id, satellite_id, command_type, payload, status, expires_at,
    created_at, updated_at)
  SELECT 'c' || n, 's' || n % 2000, 'restart', '{}',
    CASE n % 50 WHEN 0 THEN 'pending' ELSE 'completed' END, '2027-01-01', now(), now()
  FROM generate_series(0, 19999) n;
INSERT INTO "satelliteEvents" (id, satellite_id, event_id, type, data, timestamp, received_at)
  SELECT 'e' || n, 's' || n % 2000, 'e' || n, 'k' || n % 13, '{}', now(), now()
  FROM generate_series(0, 19999) n;
INSERT INTO "satelliteProcesses" (id, satellite_id, server_name, status, created_at, updated_at)
  SELECT 'p' || n / 2000, 's' || n % 2000, 'files', 'running', now(), now()
  FROM generate_series(0, 9999) n;
INSERT INTO "satelliteRetiredKeys" SELECT 'r' || n, 'h', 's' || n, 'api_key_revoked', now()
  FROM generate_series(0, 9999) n;
INSERT INTO "mcpServers" SELECT 'v' || n, 'v', 'v' || n, 'active', NULL, '{}', now(), now()
  FROM generate_series(0, 9) n;
INSERT INTO "mcpServerInstallations" (id, team_id, server_id, installation_name, created_at,
    updated_at)
  SELECT 'i' || n, 't' || n % 20, 'v' || n % 10, 'i' || n, now(), now()
  FROM generate_series(0, 399) n;
INSERT INTO "mcpServerInstances" (id, installation_id, user_id, created_at, updated_at)
  SELECT 'x' || n, 'i' || n % 400, 'u' || n / 400, now(), now() FROM generate_series(0, 19999) n;
INSERT INTO "mcpToolMetadata" SELECT 'i' || n % 400, 't', '', 'tool' || n / 400, '', '{}', 1,
  n % 40 = 0, now(), now() FROM generate_series(0, 19999) n;
INSERT INTO "mcpOauthTokens" (installation_id, user_id, team_id, access_token, refresh_token,
    token_type, expires_at, issuer, token_endpoint, resource, client, issued_at, created_at)
  SELECT 'i' || n % 400, 'u' || n / 400, 't' || n % 20, 'a', 'r', 'Bearer', now(), '', '', '', '',
    now(), now() FROM generate_series(0, 9999) n;
ANALYZE;
"#;

/// Tables that grow with the fleet, with its users or with time.
const GROWING: [&str; 14] = [
    "accessTokens",
    "mcpOauthTokens",
    "mcpRequestLogs",
    "mcpServerInstances",
    "mcpServerLogs",
    "mcpToolMetadata",
    "satelliteCommands",
    "satelliteEvents",
    "satelliteHeartbeats",
    "satelliteProcesses",
    "satelliteRegistrationTokens",
    "satelliteRetiredKeys",
    "satelliteUsageLogs",
    "satellites",
];

/// The plans that the server was told to write into its log, by query: the names of their steps.
fn plans(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut plans: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut query: Option<String> = None;
    for line in log.lines() {
        if let Some((_, text)) = line.split_once("Query Text: ") {
            query = Some(text.to_owned());
        } else if !line.starts_with('\t') {
            query = None;
        } else if let Some(text) = &mut query {
            match line.split_once("  (cost=") {
                Some((step, _)) => {
                    plans.entry(text.clone()).or_default().push(step.trim().to_owned())
                }
                None if !plans.contains_key(text) => text.push_str(line),
                None => {}
            }
        }
    }
    plans
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the plans are there to be read")]
async fn no_hot_query_reads_the_whole_of_a_table_that_grows() {
    let url = throwaway::database().await;
    // Brings the schema up to date before the rows come.
    drop(opened(&url).await);
    throwaway::client(&url).await.batch_execute(ROWS).await.unwrap();
    // One plan for whatever the values are: the least that a prepared statement gets.
    let options = "&options=-c%20session_preload_libraries=auto_explain\
                   %20-c%20auto_explain.log_min_duration=0%20-c%20plan_cache_mode=force_generic_plan";
    let store = opened(&format!("{url}{options}")).await;
    work(&store).await;

    let (_, directory) = url.split_once("host=").unwrap();
    let log = std::fs::read_to_string(Path::new(directory).join("server.log")).unwrap();
    let plans = plans(&log);
    let mut scans = Vec::new();
    for (query, steps) in &plans {
        println!("{}", query.split_whitespace().collect::<Vec<_>>().join(" "));
        for step in steps {
            println!("    {step}");
            let scanned = step.split_once("Seq Scan on ").map(|(_, table)| table);
            let table =
                scanned.map(|text| text.split(' ').next().unwrap_or_default().trim_matches('"'));
            if table.is_some_and(|table| GROWING.contains(&table)) {
                scans.push(format!("{step} in {query}"));
            }
        }
    }
    assert!(plans.len() >= 30, "{} plans were found", plans.len());
    assert!(scans.is_empty(), "{scans:#?}");
}

/// Everything that satellites and clients ask for, and what is looked for every few seconds.
async fn work(store: &AnyStore) {
    let satellite = satellite_core::id::SatelliteId::from("s7");
    store.key_holder("l7".to_owned()).await.unwrap().unwrap();
    store.key_holder("r7".to_owned()).await.unwrap().unwrap();
    let processes: Vec<ReportedProcess> = vec![process("p1", "running"), process("q", "failed")];
    store.record_heartbeat(heartbeat(&satellite, 1, processes)).await.unwrap();
    store.file_commands(vec![command(&satellite, "new", Priority::High, 0)]).await.unwrap();
    let taken = store.take_commands(take(&satellite, 5, NOW)).await.unwrap();
    let completion = Completion {
        satellite_id: satellite.clone(),
        command_id: taken.commands[0].command.id.clone(),
        status: CommandStatus::Completed,
        result: None,
        started_at: None,
        duration_ms: None,
        error: None,
        now: NOW,
    };
    store.complete_command(completion).await.unwrap();
    store.command(satellite.clone(), "new".into()).await.unwrap();
    store.commands(satellite.clone(), 10).await.unwrap();
    store.lapse_commands(NOW.after(HOUR)).await.unwrap();
    store.mark_silent(Timestamp(NOW.0 - 12 * HOUR)).await.unwrap();
    let effects = [
        EventEffect::Process(process("p2", "running")),
        EventEffect::Status { user_id: "u0".into(), status: InstanceStatus::Online, message: None },
    ];
    for (number, effect) in effects.into_iter().enumerate() {
        let record = EventRecord {
            effect,
            installation_id: Some("i7".into()),
            team_id: Some("t7".into()),
            ..event(&satellite, &format!("new{number}"))
        };
        store.record_event(record).await.unwrap();
    }
    let filters = [
        (None, None, None),
        (Some(&satellite), None, None),
        (None, Some("t7"), None),
        (None, None, Some("k3")),
    ];
    for (of, team, kind) in filters {
        let query = EventQuery {
            satellite_id: of.cloned(),
            team_id: team.map(Into::into),
            kind: kind.map(str::to_owned),
            after: 5,
            limit: 50,
        };
        store.events(query).await.unwrap();
    }
    store.configuration_source(satellite.clone(), Some(1)).await.unwrap();
    store.introspect("h7".to_owned()).await.unwrap().unwrap();
    store.access_tokens("u7".into()).await.unwrap();
    store.heartbeats(satellite.clone(), 100).await.unwrap();
    store.processes(satellite).await.unwrap();
    store.instances("i7".into()).await.unwrap();
    store.tools("i7".into()).await.unwrap();
    let soon = IsoTime(NOW.after(MINUTE)).0;
    store.renewals_due(soon, NOW, 10).await.unwrap();
    store.lapse_tokens("over".to_owned(), NOW).await.unwrap();
}
