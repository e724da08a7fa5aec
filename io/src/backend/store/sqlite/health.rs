//! Heartbeats, processes, retention.

use rusqlite::{Row, Transaction, params};
use satellite_core::id::{InstallationId, SatelliteId, TeamId};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{
    Heartbeat, HeartbeatRecord, JsonText, Process, ReportedProcess, Retained, Retention, Satellite,
};
use super::row::{
    change, id, id_option, int, json, json_option, list, moment, moment_option, number,
    number_option, text,
};
use super::satellites::find;

pub(in super::super) fn record_heartbeat(
    tx: &Transaction<'_>,
    record: HeartbeatRecord,
) -> Result<Satellite, StoreError> {
    let HeartbeatRecord { heartbeat, mcp_status, satellite_url, processes, whole } = record;
    let Some(mut satellite) = find(tx, &heartbeat.satellite_id)? else {
        return Err(StoreError::Missing("satellite"));
    };
    let now = heartbeat.timestamp.0;
    satellite.heard(heartbeat.timestamp, mcp_status, satellite_url);
    change(
        tx,
        "UPDATE satellites
         SET last_heartbeat = ?2, status = ?3, mcp_status = ?4, satellite_url = ?5 WHERE id = ?1",
        params![
            satellite.id.as_str(),
            now.to_iso(),
            satellite.status,
            text(satellite.mcp_status.as_ref()),
            satellite.satellite_url,
        ],
    )?;
    change(
        tx,
        r#"INSERT INTO "satelliteHeartbeats" (id, satellite_id, status, system_metrics, process_count,
             healthy_process_count, error_count, response_time_ms, uptime_seconds, version, timestamp)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"#,
        params![
            heartbeat.id,
            satellite.id.as_str(),
            heartbeat.status,
            heartbeat.system_metrics.as_str(),
            heartbeat.process_count,
            heartbeat.healthy_process_count,
            int(heartbeat.error_count),
            heartbeat.response_time_ms.map(int),
            heartbeat.uptime_seconds.map(int),
            heartbeat.version,
            now.to_iso(),
        ],
    )?;
    for process in &processes {
        upsert_process(tx, &satellite, process, now)?;
    }
    if whole {
        let named: Vec<&str> = processes.iter().map(|process| process.id.as_str()).collect();
        change(
            tx,
            r#"UPDATE "satelliteProcesses" SET status = 'stopped', stopped_at = ?2, updated_at = ?2
               WHERE satellite_id = ?1 AND status NOT IN ('stopped', 'failed')
                 AND id NOT IN (SELECT value FROM json_each(?3))"#,
            [satellite.id.as_str(), &now.to_iso(), JsonText::of(&named).as_str()],
        )?;
    }
    Ok(satellite)
}

/// Stores what is told of a process; what is not told stays as it was. A team or an installation that
/// does not exist is left out.
pub(super) fn upsert_process(
    tx: &Transaction<'_>,
    satellite: &Satellite,
    process: &ReportedProcess,
    now: Timestamp,
) -> Result<(), StoreError> {
    let team = satellite.team_id.as_ref().or(process.team_id.as_ref());
    change(
        tx,
        r#"INSERT INTO "satelliteProcesses" AS p (id, satellite_id, installation_id, server_name,
             process_pid, status, health_status, performance_metrics, team_id, error_message,
             started_at, stopped_at, created_at, updated_at)
           VALUES (?1, ?2, (SELECT id FROM "mcpServerInstallations" WHERE id = ?3), ?4, ?5, ?6, ?7,
             ?8, (SELECT id FROM teams WHERE id = ?9), ?10, ?11,
             CASE WHEN ?6 IN ('stopped', 'failed') THEN ?12 END, ?12, ?12)
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
        params![
            process.id,
            satellite.id.as_str(),
            process.installation_id.as_ref().map(InstallationId::as_str),
            process.server_name,
            process.pid,
            process.status,
            process.health_status,
            text(process.performance_metrics.as_ref().map(JsonText::of).as_ref()),
            team.map(TeamId::as_str),
            process.error_message,
            process.started_at.map(Timestamp::to_iso),
            now.to_iso(),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn heartbeats(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    limit: u32,
) -> Result<Vec<Heartbeat>, StoreError> {
    list(
        tx,
        r#"SELECT * FROM "satelliteHeartbeats" WHERE satellite_id = ?1
           ORDER BY timestamp DESC, id DESC LIMIT ?2"#,
        params![satellite.as_str(), limit],
        read_heartbeat,
    )
}

pub(super) fn read_heartbeat(row: &Row<'_>) -> rusqlite::Result<Heartbeat> {
    Ok(Heartbeat {
        id: row.get("id")?,
        satellite_id: id(row, "satellite_id")?,
        status: row.get("status")?,
        system_metrics: json(row, "system_metrics")?,
        process_count: row.get("process_count")?,
        healthy_process_count: row.get("healthy_process_count")?,
        error_count: number(row, "error_count")?,
        response_time_ms: number_option(row, "response_time_ms")?,
        uptime_seconds: number_option(row, "uptime_seconds")?,
        version: row.get("version")?,
        timestamp: moment(row, "timestamp")?,
    })
}

pub(in super::super) fn processes(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
) -> Result<Vec<Process>, StoreError> {
    let sql = r#"SELECT * FROM "satelliteProcesses" WHERE satellite_id = ?1 ORDER BY id"#;
    list(tx, sql, [satellite.as_str()], read_process)
}

pub(in super::super) fn retain(
    tx: &Transaction<'_>,
    retention: Retention,
) -> Result<Retained, StoreError> {
    let heartbeats = change(
        tx,
        r#"DELETE FROM "satelliteHeartbeats" WHERE id IN (
             SELECT id FROM (
               SELECT h.id AS id, s.satellite_type AS satellite_type, row_number() OVER (
                 PARTITION BY h.satellite_id ORDER BY h.timestamp DESC, h.id DESC) AS place
               FROM "satelliteHeartbeats" h JOIN satellites s ON s.id = h.satellite_id)
             WHERE place > CASE satellite_type WHEN 'global' THEN ?1 ELSE ?2 END)"#,
        [retention.global_heartbeats, retention.team_heartbeats],
    )?;
    let mut logs = 0;
    for table in ["mcpServerLogs", "mcpRequestLogs"] {
        let sql = format!(
            r#"DELETE FROM "{table}" WHERE id IN (
                 SELECT id FROM (SELECT id, row_number() OVER (
                   PARTITION BY installation_id, user_id ORDER BY created_at DESC, id DESC) AS place
                   FROM "{table}")
                 WHERE place > ?1)"#
        );
        logs += change(tx, &sql, [retention.instance_logs])?;
    }
    let before = retention.history_before.to_iso();
    let mut history = 0;
    for old in [
        r#""satelliteCommands" WHERE status IN ('completed', 'failed') AND updated_at < ?1"#,
        r#""satelliteEvents" WHERE received_at < ?1"#,
        r#""satelliteUsageLogs" WHERE timestamp < ?1"#,
        r#""satelliteProcesses" WHERE status IN ('stopped', 'failed') AND updated_at < ?1"#,
        r#""satelliteRegistrationTokens" WHERE expires_at < ?1"#,
        r#""satelliteRetiredKeys" WHERE retired_at < ?1"#,
        r#""accessTokens" WHERE expires_at < ?1"#,
    ] {
        history += change(tx, &format!("DELETE FROM {old}"), [&before])?;
    }
    Ok(Retained { heartbeats, logs, history })
}

fn read_process(row: &Row<'_>) -> rusqlite::Result<Process> {
    Ok(Process {
        id: row.get("id")?,
        satellite_id: id(row, "satellite_id")?,
        installation_id: id_option(row, "installation_id")?,
        server_name: row.get("server_name")?,
        process_pid: row.get("process_pid")?,
        status: row.get("status")?,
        health_status: row.get("health_status")?,
        performance_metrics: json_option(row, "performance_metrics")?,
        team_id: id_option(row, "team_id")?,
        error_message: row.get("error_message")?,
        started_at: moment_option(row, "started_at")?,
        stopped_at: moment_option(row, "stopped_at")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
