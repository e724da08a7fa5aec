//! Installations, and what a satellite's configuration is made of.

use satellite_core::backend::config_version::counted_on;
use satellite_core::id::{InstallationId, SatelliteId, TeamId};
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{
    ConfigurationInput, ConfigurationSource, Installation, InstallationPatch, Notice,
    UserConfiguration,
};
use super::accounts::hold_team;
use super::commands::file_notice;
use super::instances::{add_instance, instances};
use super::row::{change, get, id, id_option, json_option, list, moment, number, one, values};
use super::servers::server;
use super::{Outcome, Tx};

/// Selects whole installations.
const INSTALLATION: &str = r#"SELECT * FROM "mcpServerInstallations""#;

pub(in super::super) async fn create_installation(
    tx: &Tx<'_>,
    installation: &Installation,
    instance_prefix: &str,
    notice: &Notice,
) -> Outcome<()> {
    hold_team(tx, &installation.team_id).await?;
    change(
        tx,
        r#"INSERT INTO "mcpServerInstallations" (id, team_id, server_id, satellite_id, created_by,
             installation_name, team_args, team_env, team_headers, team_url_query_params, settings,
             generation, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)"#,
        values![
            &installation.id,
            &installation.team_id,
            &installation.server_id,
            installation.satellite_id.as_ref(),
            installation.created_by.as_ref(),
            &installation.installation_name,
            installation.team_args.as_ref(),
            installation.team_env.as_ref(),
            installation.team_headers.as_ref(),
            installation.team_url_query_params.as_ref(),
            installation.settings.as_ref(),
            installation.generation,
            installation.created_at,
        ],
    )
    .await?;
    let members = super::accounts::members(tx, &installation.team_id).await?;
    for (number, member) in members.iter().enumerate() {
        let id = format!("{instance_prefix}{number}");
        add_instance(tx, &id, &installation.id, &member.user_id, notice.now).await?;
    }
    let pins = std::slice::from_ref(&installation.satellite_id);
    file_notice(tx, &installation.team_id, pins, notice).await
}

pub(in super::super) async fn installations(
    tx: &Tx<'_>,
    team: &Option<TeamId>,
) -> Outcome<Vec<Installation>> {
    match team {
        Some(team) => {
            let sql = format!("{INSTALLATION} WHERE team_id = $1 ORDER BY id");
            list(tx, &sql, values![team], read_installation).await
        }
        None => list(tx, &format!("{INSTALLATION} ORDER BY id"), &[], read_installation).await,
    }
}

pub(in super::super) async fn installation(
    tx: &Tx<'_>,
    id: &InstallationId,
) -> Outcome<Option<Installation>> {
    one(tx, &format!("{INSTALLATION} WHERE id = $1"), values![id], read_installation).await
}

/// One installation, which no other transaction changes or removes before this one ends.
async fn hold(tx: &Tx<'_>, id: &InstallationId) -> Outcome<Option<Installation>> {
    let sql = format!("{INSTALLATION} WHERE id = $1 FOR NO KEY UPDATE");
    one(tx, &sql, values![id], read_installation).await
}

pub(in super::super) async fn update_installation(
    tx: &Tx<'_>,
    id: &InstallationId,
    patch: &InstallationPatch,
    notice: &Notice,
) -> Outcome<Installation> {
    let mut changed = hold(tx, id).await?.ok_or(StoreError::Missing("installation"))?;
    let former_pin = changed.satellite_id.clone();
    changed.apply(patch.clone(), notice.now);
    change(
        tx,
        r#"UPDATE "mcpServerInstallations"
           SET installation_name = $2, satellite_id = $3, team_args = $4, team_env = $5,
               team_headers = $6, team_url_query_params = $7, settings = $8, generation = $9,
               updated_at = $10
           WHERE id = $1"#,
        values![
            &changed.id,
            &changed.installation_name,
            changed.satellite_id.as_ref(),
            changed.team_args.as_ref(),
            changed.team_env.as_ref(),
            changed.team_headers.as_ref(),
            changed.team_url_query_params.as_ref(),
            changed.settings.as_ref(),
            changed.generation,
            notice.now,
        ],
    )
    .await?;
    let pins = [former_pin, changed.satellite_id.clone()];
    file_notice(tx, &changed.team_id, &pins, notice).await?;
    Ok(changed)
}

pub(in super::super) async fn delete_installation(
    tx: &Tx<'_>,
    id: &InstallationId,
    notice: &Notice,
) -> Outcome<bool> {
    let Some(removed) = hold(tx, id).await? else { return Ok(false) };
    let sql = r#"DELETE FROM "mcpServerInstallations" WHERE id = $1"#;
    change(tx, sql, values![id]).await?;
    file_notice(tx, &removed.team_id, &[removed.satellite_id], notice).await?;
    Ok(true)
}

pub(in super::super) async fn put_user_configuration(
    tx: &Tx<'_>,
    configuration: &UserConfiguration,
    notice: &Notice,
) -> Outcome<()> {
    let installation = installation(tx, &configuration.installation_id)
        .await?
        .ok_or(StoreError::Missing("installation"))?;
    change(
        tx,
        r#"INSERT INTO "mcpUserConfigurations" (installation_id, user_id, user_args, user_env,
             user_headers, user_url_query_params, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
           ON CONFLICT (installation_id, user_id) DO UPDATE SET
             user_args = excluded.user_args, user_env = excluded.user_env,
             user_headers = excluded.user_headers,
             user_url_query_params = excluded.user_url_query_params,
             updated_at = excluded.updated_at"#,
        values![
            &configuration.installation_id,
            &configuration.user_id,
            configuration.user_args.as_ref(),
            configuration.user_env.as_ref(),
            configuration.user_headers.as_ref(),
            configuration.user_url_query_params.as_ref(),
            configuration.updated_at,
        ],
    )
    .await?;
    file_notice(tx, &installation.team_id, &[installation.satellite_id], notice).await
}

pub(in super::super) async fn user_configurations(
    tx: &Tx<'_>,
    installation: &InstallationId,
) -> Outcome<Vec<UserConfiguration>> {
    let sql =
        r#"SELECT * FROM "mcpUserConfigurations" WHERE installation_id = $1 ORDER BY user_id"#;
    list(tx, sql, values![installation], |row| {
        Ok(UserConfiguration {
            installation_id: id(row, "installation_id")?,
            user_id: id(row, "user_id")?,
            user_args: json_option(row, "user_args")?,
            user_env: json_option(row, "user_env")?,
            user_headers: json_option(row, "user_headers")?,
            user_url_query_params: json_option(row, "user_url_query_params")?,
            updated_at: moment(row, "updated_at")?,
        })
    })
    .await
}

pub(in super::super) async fn configuration_source(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    in_force: &Option<u64>,
) -> Outcome<ConfigurationSource> {
    // The version and what it counts are looked at in one moment.
    tx.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    let satellite =
        super::satellites::find(tx, satellite).await?.ok_or(StoreError::Missing("satellite"))?;
    let version = counted_on(satellite.config_version, *in_force);
    if version != satellite.config_version {
        let sql = "UPDATE satellites SET config_version = $2 WHERE id = $1";
        change(tx, sql, values![&satellite.id, version]).await?;
    }
    let mut inputs = Vec::new();
    for installation in installations(tx, &satellite.team_id).await? {
        if !satellite.serves(&installation.team_id, installation.satellite_id.as_ref()) {
            continue;
        }
        let Some(server) = server(tx, &installation.server_id).await? else { continue };
        let Some(team) = super::accounts::team(tx, &installation.team_id).await? else { continue };
        if server.status != "active" {
            continue;
        }
        let sql = r#"SELECT DISTINCT tool_name FROM "mcpToolMetadata"
                     WHERE installation_id = $1 AND is_disabled"#;
        let disabled =
            list(tx, sql, values![&installation.id], |row| get(row, "tool_name")).await?;
        inputs.push(ConfigurationInput {
            disabled_tools: disabled.into_iter().collect(),
            members: super::accounts::members(tx, &team.id).await?,
            users: user_configurations(tx, &installation.id).await?,
            instances: instances(tx, &installation.id).await?,
            installation,
            server,
            team,
        });
    }
    Ok(ConfigurationSource { version, inputs })
}

pub(super) fn read_installation(row: &Row) -> Outcome<Installation> {
    Ok(Installation {
        id: id(row, "id")?,
        team_id: id(row, "team_id")?,
        server_id: get(row, "server_id")?,
        satellite_id: id_option(row, "satellite_id")?,
        created_by: get(row, "created_by")?,
        installation_name: get(row, "installation_name")?,
        team_args: json_option(row, "team_args")?,
        team_env: json_option(row, "team_env")?,
        team_headers: json_option(row, "team_headers")?,
        team_url_query_params: json_option(row, "team_url_query_params")?,
        settings: json_option(row, "settings")?,
        generation: number(row, "generation")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
