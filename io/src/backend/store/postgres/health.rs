//! Heartbeats, processes, retention.

use satellite_core::id::SatelliteId;
use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::records::{
    Heartbeat, HeartbeatRecord, JsonText, Process, ReportedProcess, Retained, Retention, Satellite,
};
use super::row::{
    change, get, id, id_option, json, json_option, list, moment, moment_option, number,
    number_option, small, values,
};
use super::satellites::hold;
use super::{Outcome, Tx};

pub(in super::super) async fn record_heartbeat(
    tx: &Tx<'_>,
    record: &HeartbeatRecord,
) -> Outcome<Satellite> {
    let HeartbeatRecord { heartbeat, mcp_status, satellite_url, processes, whole } = record;
    let mut satellite = hold(tx, &heartbeat.satellite_id).await?;
    let now = heartbeat.timestamp.0;
    satellite.heard(heartbeat.timestamp, mcp_status.clone(), satellite_url.clone());
    change(
        tx,
        "UPDATE satellites
         SET last_heartbeat = $2, status = $3, mcp_status = $4, satellite_url = $5 WHERE id = $1",
        values![
            &satellite.id,
            now,
            &satellite.status,
            satellite.mcp_status.as_ref(),
            &satellite.satellite_url,
        ],
    )
    .await?;
    change(
        tx,
        r#"INSERT INTO "satelliteHeartbeats" (id, satellite_id, status, system_metrics, process_count,
             healthy_process_count, error_count, response_time_ms, uptime_seconds, version, timestamp)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        values![
            &heartbeat.id,
            &satellite.id,
            &heartbeat.status,
            &heartbeat.system_metrics,
            heartbeat.process_count,
            heartbeat.healthy_process_count,
            heartbeat.error_count,
            heartbeat.response_time_ms,
            heartbeat.uptime_seconds,
            heartbeat.version.as_ref(),
            now,
        ],
    )
    .await?;
    for process in processes {
        upsert_process(tx, &satellite, process, now).await?;
    }
    if *whole {
        let named: Vec<&str> = processes.iter().map(|process| process.id.as_str()).collect();
        let sql = r#"UPDATE "satelliteProcesses"
                     SET status = 'stopped', stopped_at = $2, updated_at = $2
                     WHERE satellite_id = $1 AND status NOT IN ('stopped', 'failed')
                       AND id <> ALL ($3)"#;
        change(tx, sql, values![&satellite.id, now, named]).await?;
    }
    Ok(satellite)
}

/// Stores what is told of a process; what is not told stays as it was. A team or an installation that
/// does not exist is left out.
pub(super) async fn upsert_process(
    tx: &Tx<'_>,
    satellite: &Satellite,
    process: &ReportedProcess,
    now: Timestamp,
) -> Outcome<()> {
    let team = satellite.team_id.as_ref().or(process.team_id.as_ref());
    change(
        tx,
        r#"INSERT INTO "satelliteProcesses" AS p (id, satellite_id, installation_id, server_name,
             process_pid, status, health_status, performance_metrics, team_id, error_message,
             started_at, stopped_at, created_at, updated_at)
           VALUES ($1, $2, (SELECT id FROM "mcpServerInstallations" WHERE id = $3), $4, $5,
             $6::text, $7, $8, (SELECT id FROM teams WHERE id = $9), $10, $11,
             CASE WHEN $6::text IN ('stopped', 'failed') THEN $12::timestamptz END,
             $12::timestamptz, $12::timestamptz)
           ON CONFLICT (satellite_id, id) DO UPDATE SET
             installation_id = coalesce(excluded.installation_id, p.installation_id),
             server_name = excluded.server_name,
             process_pid = coalesce(excluded.process_pid, p.process_pid),
             status = excluded.status,
             health_status = excluded.health_status,
             performance_metrics = coalesce(excluded.performance_metrics, p.performance_metrics),
             team_id = coalesce(excluded.team_id, p.team_id),
             error_message = excluded.error_message,
             started_at = coalesce(excluded.started_at, p.started_at),
             stopped_at = CASE WHEN excluded.status IN ('stopped', 'failed')
               THEN coalesce(p.stopped_at, excluded.updated_at) END,
             updated_at = excluded.updated_at"#,
        values![
            &process.id,
            &satellite.id,
            process.installation_id.as_ref(),
            &process.server_name,
            process.pid,
            &process.status,
            &process.health_status,
            process.performance_metrics.as_ref().map(JsonText::of).as_ref(),
            team,
            process.error_message.as_ref(),
            process.started_at,
            now,
        ],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn heartbeats(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    limit: &u32,
) -> Outcome<Vec<Heartbeat>> {
    let sql = r#"SELECT * FROM "satelliteHeartbeats" WHERE satellite_id = $1
                 ORDER BY timestamp DESC, id DESC LIMIT $2"#;
    list(tx, sql, values![satellite, *limit], read_heartbeat).await
}

pub(super) fn read_heartbeat(row: &Row) -> Outcome<Heartbeat> {
    Ok(Heartbeat {
        id: get(row, "id")?,
        satellite_id: id(row, "satellite_id")?,
        status: get(row, "status")?,
        system_metrics: json(row, "system_metrics")?,
        process_count: small(row, "process_count")?,
        healthy_process_count: small(row, "healthy_process_count")?,
        error_count: number(row, "error_count")?,
        response_time_ms: number_option(row, "response_time_ms")?,
        uptime_seconds: number_option(row, "uptime_seconds")?,
        version: get(row, "version")?,
        timestamp: moment(row, "timestamp")?,
    })
}

pub(in super::super) async fn processes(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
) -> Outcome<Vec<Process>> {
    let sql = r#"SELECT * FROM "satelliteProcesses" WHERE satellite_id = $1 ORDER BY id"#;
    list(tx, sql, values![satellite], read_process).await
}

pub(in super::super) async fn retain(tx: &Tx<'_>, retention: &Retention) -> Outcome<Retained> {
    // Nobody waits for the rows that this removes.
    tx.batch_execute("SET LOCAL statement_timeout = '5min'").await?;
    // For each satellite, the first row that is one too many; then all that are as old.
    let heartbeats = change(
        tx,
        r#"DELETE FROM "satelliteHeartbeats" h
           USING satellites s, LATERAL (
             SELECT k.timestamp, k.id FROM "satelliteHeartbeats" k WHERE k.satellite_id = s.id
             ORDER BY k.timestamp DESC, k.id DESC LIMIT 1
             OFFSET CASE s.satellite_type WHEN 'global' THEN $1::bigint ELSE $2::bigint END) last
           WHERE h.satellite_id = s.id AND (h.timestamp, h.id) <= (last.timestamp, last.id)"#,
        values![retention.global_heartbeats, retention.team_heartbeats],
    )
    .await?;
    let mut logs = 0;
    for table in ["mcpServerLogs", "mcpRequestLogs"] {
        let sql = format!(
            r#"DELETE FROM "{table}" WHERE id IN (
                 SELECT id FROM (SELECT id, row_number() OVER (
                   PARTITION BY installation_id, user_id ORDER BY created_at DESC, id DESC) AS place
                   FROM "{table}") AS placed
                 WHERE place > $1)"#
        );
        logs += change(tx, &sql, values![retention.instance_logs]).await?;
    }
    let mut history = 0;
    for old in [
        r#""satelliteCommands" WHERE status IN ('completed', 'failed') AND updated_at < $1"#,
        r#""satelliteEvents" WHERE received_at < $1"#,
        r#""satelliteUsageLogs" WHERE timestamp < $1"#,
        r#""satelliteProcesses" WHERE status IN ('stopped', 'failed') AND updated_at < $1"#,
        r#""satelliteRegistrationTokens" WHERE expires_at < $1"#,
        r#""satelliteRetiredKeys" WHERE retired_at < $1"#,
        r#""accessTokens" WHERE expires_at < $1"#,
    ] {
        let sql = format!("DELETE FROM {old}");
        history += change(tx, &sql, values![retention.history_before]).await?;
    }
    Ok(Retained { heartbeats, logs, history })
}

fn read_process(row: &Row) -> Outcome<Process> {
    Ok(Process {
        id: get(row, "id")?,
        satellite_id: id(row, "satellite_id")?,
        installation_id: id_option(row, "installation_id")?,
        server_name: get(row, "server_name")?,
        process_pid: number_option(row, "process_pid")?
            .map(|pid| u32::try_from(pid).unwrap_or(u32::MAX)),
        status: get(row, "status")?,
        health_status: get(row, "health_status")?,
        performance_metrics: json_option(row, "performance_metrics")?,
        team_id: id_option(row, "team_id")?,
        error_message: get(row, "error_message")?,
        started_at: moment_option(row, "started_at")?,
        stopped_at: moment_option(row, "stopped_at")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
