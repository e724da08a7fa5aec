//! What an event changes beside being recorded.

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};
use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::time::Timestamp;
use satellite_core::view::InstanceStatus;

use super::super::super::StoreError;
use super::super::super::records::{
    ClientActivity, EventEffect, EventRecord, RequestLog, Satellite, ServerLog, ToolUse, Tools,
};
use super::super::health::upsert_process;
use super::super::row::{change, int, list, moment_option, one, text};
use crate::backend::store::records::JsonText;

/// An installation's team and pin, where the installation is known.
type Owner<'a> = Option<(&'a TeamId, Option<&'a SatelliteId>)>;

/// Performs the effect of `event`. One that is kept by installation needs a known one, of which
/// `installation` is the team and the pin.
pub(super) fn perform(
    tx: &Transaction<'_>,
    satellite: &Satellite,
    event: &EventRecord,
    installation: Owner<'_>,
) -> Result<(), StoreError> {
    match (&event.effect, event.installation_id.as_ref().zip(installation)) {
        (EventEffect::None, _) => Ok(()),
        (EventEffect::Process(process), _) => upsert_process(tx, satellite, process, event.now),
        (EventEffect::Use(used), _) => usage(tx, event, used),
        (EventEffect::Activity(activity), _) => client_activity(tx, event, activity),
        (_, None) => Ok(()),
        (EventEffect::Status { user_id, status, message }, Some((id, owner))) => {
            let known = one(
                tx,
                r#"SELECT status, status_updated_at FROM "mcpServerInstances"
                   WHERE installation_id = ?1 AND user_id = ?2"#,
                [id.as_str(), user_id.as_str()],
                |row| Ok((row.get::<_, String>(0)?, moment_option(row, "status_updated_at")?)),
            )?;
            let Some((known, since)) = known else { return Ok(()) };
            match event.status_counts_from(satellite, owner, (&known, since), *status) {
                Some(at) => set_status(tx, event, id, user_id, *status, message.as_deref(), at),
                None => Ok(()),
            }
        }
        (EventEffect::Logs(lines), Some((id, _))) => logs(tx, event, id, lines),
        (EventEffect::Requests(lines), Some((id, _))) => requests(tx, event, id, lines),
        (EventEffect::Tools(found), Some((id, _))) => tools(tx, event, id, found),
    }
}

fn set_status(
    tx: &Transaction<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    user: &UserId,
    status: InstanceStatus,
    message: Option<&str>,
    at: Timestamp,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"UPDATE "mcpServerInstances"
           SET status = ?3, status_message = ?4, status_updated_at = ?5, updated_at = ?6
           WHERE installation_id = ?1 AND user_id = ?2"#,
        params![
            installation.as_str(),
            user.as_str(),
            status.as_str(),
            message,
            at.to_iso(),
            event.now.to_iso(),
        ],
    )?;
    Ok(())
}

fn logs(
    tx: &Transaction<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    lines: &[ServerLog],
) -> Result<(), StoreError> {
    for (number, line) in lines.iter().enumerate() {
        change(
            tx,
            r#"INSERT INTO "mcpServerLogs" (id, installation_id, team_id, user_id, log_type,
                 log_level, message, metadata, created_at)
               VALUES (?1, ?2, (SELECT team_id FROM "mcpServerInstallations" WHERE id = ?2), ?3,
                 'server', ?4, ?5, ?6, ?7)"#,
            params![
                format!("{}_{number}", event.id),
                installation.as_str(),
                line.user_id.as_ref().map(UserId::as_str),
                line.log_level,
                line.message,
                text(line.metadata.as_ref()),
                line.created_at.0.to_iso(),
            ],
        )?;
    }
    Ok(())
}

fn requests(
    tx: &Transaction<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    lines: &[RequestLog],
) -> Result<(), StoreError> {
    for (number, line) in lines.iter().enumerate() {
        change(
            tx,
            r#"INSERT INTO "mcpRequestLogs" (id, installation_id, team_id, user_id, tool_name,
                 tool_params, tool_response, response_time_ms, success, error_message, created_at)
               VALUES (?1, ?2, (SELECT team_id FROM "mcpServerInstallations" WHERE id = ?2), ?3, ?4,
                 ?5, ?6, ?7, ?8, ?9, ?10)"#,
            params![
                format!("{}_{number}", event.id),
                installation.as_str(),
                line.user_id.as_ref().map(UserId::as_str),
                line.tool_name,
                text(line.tool_params.as_ref()),
                text(line.tool_response.as_ref()),
                int(line.response_time_ms),
                line.success,
                line.error_message,
                line.created_at.0.to_iso(),
            ],
        )?;
    }
    Ok(())
}

/// Replaces the tools of one user's instance. What an administrator switched off stays switched off,
/// also while it is not listed.
fn tools(
    tx: &Transaction<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    found: &Tools,
) -> Result<(), StoreError> {
    let user = found.user_id.as_ref().map_or("", UserId::as_str);
    let names: Vec<&str> = found.tools.iter().map(|tool| tool.tool_name.as_str()).collect();
    change(
        tx,
        r#"DELETE FROM "mcpToolMetadata"
           WHERE installation_id = ?1 AND user_id = ?2 AND is_disabled = 0
             AND tool_name NOT IN (SELECT value FROM json_each(?3))"#,
        [installation.as_str(), user, JsonText::of(&names).as_str()],
    )?;
    // Asked once: no index leads from a tool's name to what others of its installation hold.
    let off: BTreeSet<String> = list(
        tx,
        r#"SELECT DISTINCT tool_name FROM "mcpToolMetadata"
           WHERE installation_id = ?1 AND is_disabled = 1"#,
        [installation.as_str()],
        |row| row.get("tool_name"),
    )?
    .into_iter()
    .collect();
    for tool in &found.tools {
        change(
            tx,
            r#"INSERT INTO "mcpToolMetadata" (installation_id, team_id, user_id, tool_name,
                 description, input_schema, token_count, is_disabled, discovered_at, updated_at)
               VALUES (?1, (SELECT team_id FROM "mcpServerInstallations" WHERE id = ?1), ?2, ?3, ?4,
                 ?5, ?6, ?9, ?7, ?8)
               ON CONFLICT (installation_id, user_id, tool_name) DO UPDATE SET
                 description = excluded.description, input_schema = excluded.input_schema,
                 token_count = excluded.token_count, discovered_at = excluded.discovered_at,
                 updated_at = excluded.updated_at"#,
            params![
                installation.as_str(),
                user,
                tool.tool_name,
                tool.description,
                tool.input_schema.as_str(),
                int(tool.token_count),
                found.discovered_at.to_iso(),
                event.now.to_iso(),
                off.contains(&tool.tool_name),
            ],
        )?;
    }
    Ok(())
}

fn usage(tx: &Transaction<'_>, event: &EventRecord, used: &ToolUse) -> Result<(), StoreError> {
    let timestamp = event.timestamp.to_iso();
    change(
        tx,
        r#"INSERT INTO "satelliteUsageLogs" (id, satellite_id, user_id, team_id, process_id,
             request_method, request_path, tool_name, duration_ms, status_code, error_message,
             timestamp, date_partition)
           VALUES (?1, ?2, ?3, ?4, ?5, 'POST', '/mcp', ?6, ?7, ?8, ?9, ?10, substr(?10, 1, 10))"#,
        params![
            event.id,
            event.satellite_id.as_str(),
            used.user_id.as_ref().map(UserId::as_str),
            event.team_id.as_ref().map(TeamId::as_str),
            used.process_id,
            used.tool_name,
            int(used.duration_ms),
            if used.success { 200 } else { 500 },
            used.error_message,
            timestamp,
        ],
    )?;
    Ok(())
}

fn client_activity(
    tx: &Transaction<'_>,
    event: &EventRecord,
    activity: &ClientActivity,
) -> Result<(), StoreError> {
    let Some(team) = &event.team_id else { return Ok(()) };
    change(
        tx,
        r#"INSERT INTO "mcpClientActivity" AS a (satellite_id, team_id, user_id, auth_type,
             auth_identifier, oauth_client_id, client_name, user_agent, ip_address,
             current_session_id, first_seen_at, last_activity_at, total_requests, total_tool_calls)
           VALUES (?1, ?2, ?3, 'oauth', 'oauth:' || ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11)
           ON CONFLICT (satellite_id, team_id, user_id, auth_identifier) DO UPDATE SET
             client_name = coalesce(excluded.client_name, a.client_name),
             user_agent = coalesce(excluded.user_agent, a.user_agent),
             ip_address = coalesce(excluded.ip_address, a.ip_address),
             current_session_id = coalesce(excluded.current_session_id, a.current_session_id),
             last_activity_at = max(a.last_activity_at, excluded.last_activity_at),
             total_requests = a.total_requests + excluded.total_requests,
             total_tool_calls = a.total_tool_calls + excluded.total_tool_calls"#,
        params![
            event.satellite_id.as_str(),
            team.as_str(),
            activity.user_id.as_str(),
            activity.oauth_client_id,
            activity.client_name,
            activity.user_agent,
            activity.ip_address,
            activity.session_id,
            activity.last_activity_at.to_iso(),
            int(activity.request_count),
            int(activity.tool_call_count),
        ],
    )?;
    Ok(())
}
