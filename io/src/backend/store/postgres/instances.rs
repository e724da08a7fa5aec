//! Users' instances of installations, and their tools.

use satellite_core::id::{InstallationId, InstanceId, UserId};
use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{Instance, Notice, Tool};
use super::commands::file_notice;
use super::installations::installation;
use super::row::{change, get, id, json, list, moment, moment_option, number, one, values};
use super::{Outcome, Tx};

/// Gives `user` an instance of `installation`, unless there is one.
pub(super) async fn add_instance(
    tx: &Tx<'_>,
    id: &str,
    installation: &InstallationId,
    user: &UserId,
    now: Timestamp,
) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO "mcpServerInstances" (id, installation_id, user_id, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $4) ON CONFLICT (installation_id, user_id) DO NOTHING"#,
        values![id, installation, user, now],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn instances(
    tx: &Tx<'_>,
    installation: &InstallationId,
) -> Outcome<Vec<Instance>> {
    let sql = r#"SELECT * FROM "mcpServerInstances" WHERE installation_id = $1 ORDER BY user_id"#;
    list(tx, sql, values![installation], read_instance).await
}

pub(in super::super) async fn set_instance_token(
    tx: &Tx<'_>,
    instance: &InstanceId,
    path: &str,
    token_hash: &str,
    notice: &Notice,
) -> Outcome<Instance> {
    let sql = r#"UPDATE "mcpServerInstances"
                 SET instance_path = coalesce(instance_path, $2), instance_token = $3, updated_at = $4
                 WHERE id = $1 RETURNING *"#;
    let changed =
        one(tx, sql, values![instance, path, token_hash, notice.now], read_instance).await?;
    let instance = changed.ok_or(StoreError::Missing("instance"))?;
    let installation = installation(tx, &instance.installation_id)
        .await?
        .ok_or(StoreError::Missing("installation"))?;
    file_notice(tx, &installation.team_id, &[installation.satellite_id], notice).await?;
    Ok(instance)
}

pub(in super::super) async fn tools(
    tx: &Tx<'_>,
    installation: &InstallationId,
) -> Outcome<Vec<Tool>> {
    let sql = r#"SELECT DISTINCT ON (tool_name) * FROM "mcpToolMetadata" WHERE installation_id = $1
                 ORDER BY tool_name, user_id DESC"#;
    list(tx, sql, values![installation], |row| {
        Ok(Tool {
            tool_name: get(row, "tool_name")?,
            description: get(row, "description")?,
            input_schema: json(row, "input_schema")?,
            token_count: number(row, "token_count")?,
            is_disabled: get(row, "is_disabled")?,
        })
    })
    .await
}

pub(in super::super) async fn set_tool_disabled(
    tx: &Tx<'_>,
    id: &InstallationId,
    tool: &str,
    disabled: &bool,
    notice: &Notice,
) -> Outcome<()> {
    let Some(installation) = installation(tx, id).await? else {
        return Err(StoreError::Missing("installation").into());
    };
    let sql = r#"UPDATE "mcpToolMetadata" SET is_disabled = $3, updated_at = $4
                 WHERE installation_id = $1 AND tool_name = $2"#;
    if change(tx, sql, values![id, tool, *disabled, notice.now]).await? == 0 {
        return Err(StoreError::Missing("tool").into());
    }
    file_notice(tx, &installation.team_id, &[installation.satellite_id], notice).await
}

fn read_instance(row: &Row) -> Outcome<Instance> {
    Ok(Instance {
        id: id(row, "id")?,
        installation_id: id(row, "installation_id")?,
        user_id: id(row, "user_id")?,
        instance_path: get(row, "instance_path")?,
        token_hash: get(row, "instance_token")?,
        status: get(row, "status")?,
        status_message: get(row, "status_message")?,
        status_updated_at: moment_option(row, "status_updated_at")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
