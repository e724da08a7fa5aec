//! Users' instances of installations, and their tools.

use rusqlite::{Row, Transaction, params};
use satellite_core::id::{InstallationId, InstanceId, UserId};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{Instance, Notice, Tool};
use super::commands::file_notice;
use super::installations::installation;
use super::row::{change, id, json, list, moment, moment_option, number, one};

/// Gives `user` an instance of `installation`, unless there is one.
pub(super) fn add_instance(
    tx: &Transaction<'_>,
    id: &str,
    installation: &InstallationId,
    user: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "mcpServerInstances" (id, installation_id, user_id, created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (installation_id, user_id) DO NOTHING"#,
        [id, installation.as_str(), user.as_str(), &now.to_iso()],
    )?;
    Ok(())
}

pub(in super::super) fn instances(
    tx: &Transaction<'_>,
    installation: InstallationId,
) -> Result<Vec<Instance>, StoreError> {
    let sql = r#"SELECT * FROM "mcpServerInstances" WHERE installation_id = ?1 ORDER BY user_id"#;
    list(tx, sql, [installation.as_str()], read_instance)
}

pub(in super::super) fn set_instance_token(
    tx: &Transaction<'_>,
    instance: InstanceId,
    path: String,
    token_hash: String,
    notice: Notice,
) -> Result<Instance, StoreError> {
    change(
        tx,
        r#"UPDATE "mcpServerInstances"
           SET instance_path = coalesce(instance_path, ?2), instance_token = ?3, updated_at = ?4
           WHERE id = ?1"#,
        [instance.as_str(), &path, &token_hash, &notice.now.to_iso()],
    )?;
    let sql = r#"SELECT * FROM "mcpServerInstances" WHERE id = ?1"#;
    let instance =
        one(tx, sql, [instance.as_str()], read_instance)?.ok_or(StoreError::Missing("instance"))?;
    let installation = installation(tx, instance.installation_id.clone())?
        .ok_or(StoreError::Missing("installation"))?;
    file_notice(tx, &installation.team_id, &[installation.satellite_id], &notice)?;
    Ok(instance)
}

pub(in super::super) fn tools(
    tx: &Transaction<'_>,
    installation: InstallationId,
) -> Result<Vec<Tool>, StoreError> {
    let sql = r#"SELECT * FROM "mcpToolMetadata" WHERE installation_id = ?1
                 GROUP BY tool_name HAVING user_id = max(user_id) ORDER BY tool_name"#;
    list(tx, sql, [installation.as_str()], |row| {
        Ok(Tool {
            tool_name: row.get("tool_name")?,
            description: row.get("description")?,
            input_schema: json(row, "input_schema")?,
            token_count: number(row, "token_count")?,
            is_disabled: row.get("is_disabled")?,
        })
    })
}

pub(in super::super) fn set_tool_disabled(
    tx: &Transaction<'_>,
    id: InstallationId,
    tool: String,
    disabled: bool,
    notice: Notice,
) -> Result<(), StoreError> {
    let Some(installation) = installation(tx, id)? else {
        return Err(StoreError::Missing("installation"));
    };
    let changed = change(
        tx,
        r#"UPDATE "mcpToolMetadata" SET is_disabled = ?3, updated_at = ?4
           WHERE installation_id = ?1 AND tool_name = ?2"#,
        params![installation.id.as_str(), tool, disabled, notice.now.to_iso()],
    )?;
    if changed == 0 {
        return Err(StoreError::Missing("tool"));
    }
    file_notice(tx, &installation.team_id, &[installation.satellite_id], &notice)
}

fn read_instance(row: &Row<'_>) -> rusqlite::Result<Instance> {
    Ok(Instance {
        id: id(row, "id")?,
        installation_id: id(row, "installation_id")?,
        user_id: id(row, "user_id")?,
        instance_path: row.get("instance_path")?,
        token_hash: row.get("instance_token")?,
        status: row.get("status")?,
        status_message: row.get("status_message")?,
        status_updated_at: moment_option(row, "status_updated_at")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
