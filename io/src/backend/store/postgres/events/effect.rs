//! What an event changes beside being recorded.

use std::collections::BTreeSet;

use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::time::Timestamp;
use satellite_core::view::InstanceStatus;

use super::super::super::records::{
    ClientActivity, EventEffect, EventRecord, RequestLog, Satellite, ServerLog, ToolUse, Tools,
};
use super::super::health::upsert_process;
use super::super::row::{change, get, list, moment_option, one, values};
use super::super::{Outcome, Tx};

/// An installation's team and pin, where the installation is known.
type Owner<'a> = Option<(&'a TeamId, Option<&'a SatelliteId>)>;

/// Performs the effect of `event`. One that is kept by installation needs a known one, of which
/// `installation` is the team and the pin.
pub(super) async fn perform(
    tx: &Tx<'_>,
    satellite: &Satellite,
    event: &EventRecord,
    installation: Owner<'_>,
) -> Outcome<()> {
    match (&event.effect, event.installation_id.as_ref().zip(installation)) {
        (EventEffect::None, _) => Ok(()),
        (EventEffect::Process(process), _) => {
            upsert_process(tx, satellite, process, event.now).await
        }
        (EventEffect::Use(used), _) => usage(tx, event, used).await,
        (EventEffect::Activity(activity), _) => client_activity(tx, event, activity).await,
        (_, None) => Ok(()),
        (EventEffect::Status { user_id, status, message }, Some((id, owner))) => {
            // Held, so that the later of two reports stands, whichever replica is given it.
            let sql = r#"SELECT status, status_updated_at FROM "mcpServerInstances"
                         WHERE installation_id = $1 AND user_id = $2 FOR NO KEY UPDATE"#;
            let known = one(tx, sql, values![id, user_id], |row| {
                Ok((get::<String>(row, "status")?, moment_option(row, "status_updated_at")?))
            })
            .await?;
            let Some((known, since)) = known else { return Ok(()) };
            match event.status_counts_from(satellite, owner, (&known, since), *status) {
                Some(at) => {
                    set_status(tx, event, (id, user_id), *status, message.as_deref(), at).await
                }
                None => Ok(()),
            }
        }
        (EventEffect::Logs(lines), Some((id, _))) => logs(tx, event, id, lines).await,
        (EventEffect::Requests(lines), Some((id, _))) => requests(tx, event, id, lines).await,
        (EventEffect::Tools(found), Some((id, _))) => tools(tx, event, id, found).await,
    }
}

async fn set_status(
    tx: &Tx<'_>,
    event: &EventRecord,
    (installation, user): (&InstallationId, &UserId),
    status: InstanceStatus,
    message: Option<&str>,
    at: Timestamp,
) -> Outcome<()> {
    let sql = r#"UPDATE "mcpServerInstances"
                 SET status = $3, status_message = $4, status_updated_at = $5, updated_at = $6
                 WHERE installation_id = $1 AND user_id = $2"#;
    let values = values![installation, user, status.as_str(), message, at, event.now];
    change(tx, sql, values).await?;
    Ok(())
}

async fn logs(
    tx: &Tx<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    lines: &[ServerLog],
) -> Outcome<()> {
    for (number, line) in lines.iter().enumerate() {
        change(
            tx,
            r#"INSERT INTO "mcpServerLogs" (id, installation_id, team_id, user_id, log_type,
                 log_level, message, metadata, created_at)
               VALUES ($1, $2, (SELECT team_id FROM "mcpServerInstallations" WHERE id = $2), $3,
                 'server', $4, $5, $6, $7)"#,
            values![
                &format!("{}_{number}", event.id),
                installation,
                line.user_id.as_ref(),
                &line.log_level,
                &line.message,
                line.metadata.as_ref(),
                line.created_at,
            ],
        )
        .await?;
    }
    Ok(())
}

async fn requests(
    tx: &Tx<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    lines: &[RequestLog],
) -> Outcome<()> {
    for (number, line) in lines.iter().enumerate() {
        change(
            tx,
            r#"INSERT INTO "mcpRequestLogs" (id, installation_id, team_id, user_id, tool_name,
                 tool_params, tool_response, response_time_ms, success, error_message, created_at)
               VALUES ($1, $2, (SELECT team_id FROM "mcpServerInstallations" WHERE id = $2), $3, $4,
                 $5, $6, $7, $8, $9, $10)"#,
            values![
                &format!("{}_{number}", event.id),
                installation,
                line.user_id.as_ref(),
                &line.tool_name,
                line.tool_params.as_ref(),
                line.tool_response.as_ref(),
                line.response_time_ms,
                line.success,
                line.error_message.as_ref(),
                line.created_at,
            ],
        )
        .await?;
    }
    Ok(())
}

/// Replaces the tools of one user's instance. What an administrator switched off stays switched off,
/// also while it is not listed.
async fn tools(
    tx: &Tx<'_>,
    event: &EventRecord,
    installation: &InstallationId,
    found: &Tools,
) -> Outcome<()> {
    let user = found.user_id.as_ref().map_or("", UserId::as_str);
    let names: Vec<&str> = found.tools.iter().map(|tool| tool.tool_name.as_str()).collect();
    let sql = r#"DELETE FROM "mcpToolMetadata"
                 WHERE installation_id = $1 AND user_id = $2 AND NOT is_disabled
                   AND tool_name <> ALL ($3)"#;
    change(tx, sql, values![installation, user, names]).await?;
    // Asked once: no index leads from a tool's name to what others of its installation hold.
    let sql = r#"SELECT DISTINCT tool_name FROM "mcpToolMetadata"
                 WHERE installation_id = $1 AND is_disabled"#;
    let off: Vec<String> =
        list(tx, sql, values![installation], |row| get(row, "tool_name")).await?;
    let off: BTreeSet<String> = off.into_iter().collect();
    for tool in &found.tools {
        change(
            tx,
            r#"INSERT INTO "mcpToolMetadata" (installation_id, team_id, user_id, tool_name,
                 description, input_schema, token_count, is_disabled, discovered_at, updated_at)
               VALUES ($1, (SELECT team_id FROM "mcpServerInstallations" WHERE id = $1), $2, $3, $4,
                 $5, $6, $9, $7, $8)
               ON CONFLICT (installation_id, user_id, tool_name) DO UPDATE SET
                 description = excluded.description, input_schema = excluded.input_schema,
                 token_count = excluded.token_count, discovered_at = excluded.discovered_at,
                 updated_at = excluded.updated_at"#,
            values![
                installation,
                user,
                &tool.tool_name,
                &tool.description,
                &tool.input_schema,
                tool.token_count,
                found.discovered_at,
                event.now,
                off.contains(&tool.tool_name),
            ],
        )
        .await?;
    }
    Ok(())
}

async fn usage(tx: &Tx<'_>, event: &EventRecord, used: &ToolUse) -> Outcome<()> {
    let timestamp = event.timestamp.to_iso();
    let status: u32 = if used.success { 200 } else { 500 };
    change(
        tx,
        r#"INSERT INTO "satelliteUsageLogs" (id, satellite_id, user_id, team_id, process_id,
             request_method, request_path, tool_name, duration_ms, status_code, error_message,
             timestamp, date_partition)
           VALUES ($1, $2, $3, $4, $5, 'POST', '/mcp', $6, $7, $8, $9, $10, $11)"#,
        values![
            &event.id,
            &event.satellite_id,
            used.user_id.as_ref(),
            event.team_id.as_ref(),
            used.process_id.as_ref(),
            &used.tool_name,
            used.duration_ms,
            status,
            used.error_message.as_ref(),
            event.timestamp,
            timestamp.get(..10).unwrap_or_default(),
        ],
    )
    .await?;
    Ok(())
}

async fn client_activity(
    tx: &Tx<'_>,
    event: &EventRecord,
    activity: &ClientActivity,
) -> Outcome<()> {
    let Some(team) = &event.team_id else { return Ok(()) };
    change(
        tx,
        r#"INSERT INTO "mcpClientActivity" AS a (satellite_id, team_id, user_id, auth_type,
             auth_identifier, oauth_client_id, client_name, user_agent, ip_address,
             current_session_id, first_seen_at, last_activity_at, total_requests, total_tool_calls)
           VALUES ($1, $2, $3, 'oauth', $4, $5, $6, $7, $8, $9, $10, $10, $11, $12)
           ON CONFLICT (satellite_id, team_id, user_id, auth_identifier) DO UPDATE SET
             client_name = coalesce(excluded.client_name, a.client_name),
             user_agent = coalesce(excluded.user_agent, a.user_agent),
             ip_address = coalesce(excluded.ip_address, a.ip_address),
             current_session_id = coalesce(excluded.current_session_id, a.current_session_id),
             last_activity_at = greatest(a.last_activity_at, excluded.last_activity_at),
             total_requests = a.total_requests + excluded.total_requests,
             total_tool_calls = a.total_tool_calls + excluded.total_tool_calls"#,
        values![
            &event.satellite_id,
            team,
            &activity.user_id,
            &format!("oauth:{}", activity.oauth_client_id),
            &activity.oauth_client_id,
            activity.client_name.as_ref(),
            activity.user_agent.as_ref(),
            activity.ip_address.as_ref(),
            activity.session_id.as_ref(),
            activity.last_activity_at,
            activity.request_count,
            activity.tool_call_count,
        ],
    )
    .await?;
    Ok(())
}
