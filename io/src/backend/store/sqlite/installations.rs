//! Installations, and what a satellite's configuration is made of.

use rusqlite::{Row, Transaction, params};
use satellite_core::backend::config_version::counted_on;
use satellite_core::id::{InstallationId, SatelliteId, TeamId};

use super::super::StoreError;
use super::super::records::{
    ConfigurationInput, ConfigurationSource, Installation, InstallationPatch, Notice,
    UserConfiguration,
};
use super::commands::file_notice;
use super::instances::{add_instance, instances};
use super::row::{change, id, id_option, int, json_option, list, moment, number, one, text};
use super::servers::server;

/// Selects whole installations.
pub(super) const INSTALLATION: &str = r#"SELECT * FROM "mcpServerInstallations""#;

pub(in super::super) fn create_installation(
    tx: &Transaction<'_>,
    installation: Installation,
    instance_prefix: String,
    notice: Notice,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "mcpServerInstallations" (id, team_id, server_id, satellite_id, created_by,
             installation_name, team_args, team_env, team_headers, team_url_query_params, settings,
             generation, created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)"#,
        params![
            installation.id.as_str(),
            installation.team_id.as_str(),
            installation.server_id,
            installation.satellite_id.as_ref().map(SatelliteId::as_str),
            installation.created_by,
            installation.installation_name,
            text(installation.team_args.as_ref()),
            text(installation.team_env.as_ref()),
            text(installation.team_headers.as_ref()),
            text(installation.team_url_query_params.as_ref()),
            text(installation.settings.as_ref()),
            int(installation.generation),
            installation.created_at.0.to_iso(),
        ],
    )?;
    let members = super::accounts::members(tx, installation.team_id.clone())?;
    for (number, member) in members.iter().enumerate() {
        let id = format!("{instance_prefix}{number}");
        add_instance(tx, &id, &installation.id, &member.user_id, notice.now)?;
    }
    file_notice(tx, &installation.team_id, &[installation.satellite_id], &notice)
}

pub(in super::super) fn installations(
    tx: &Transaction<'_>,
    team: Option<TeamId>,
) -> Result<Vec<Installation>, StoreError> {
    let sql = format!("{INSTALLATION} WHERE ?1 IS NULL OR team_id = ?1 ORDER BY id");
    list(tx, &sql, [team.as_ref().map(TeamId::as_str)], read_installation)
}

pub(in super::super) fn installation(
    tx: &Transaction<'_>,
    id: InstallationId,
) -> Result<Option<Installation>, StoreError> {
    one(tx, &format!("{INSTALLATION} WHERE id = ?1"), [id.as_str()], read_installation)
}

pub(in super::super) fn update_installation(
    tx: &Transaction<'_>,
    id: InstallationId,
    patch: InstallationPatch,
    notice: Notice,
) -> Result<Installation, StoreError> {
    let Some(mut changed) = installation(tx, id)? else {
        return Err(StoreError::Missing("installation"));
    };
    let former_pin = changed.satellite_id.clone();
    changed.apply(patch, notice.now);
    change(
        tx,
        r#"UPDATE "mcpServerInstallations"
           SET installation_name = ?2, satellite_id = ?3, team_args = ?4, team_env = ?5,
               team_headers = ?6, team_url_query_params = ?7, settings = ?8, generation = ?9,
               updated_at = ?10
           WHERE id = ?1"#,
        params![
            changed.id.as_str(),
            changed.installation_name,
            changed.satellite_id.as_ref().map(SatelliteId::as_str),
            text(changed.team_args.as_ref()),
            text(changed.team_env.as_ref()),
            text(changed.team_headers.as_ref()),
            text(changed.team_url_query_params.as_ref()),
            text(changed.settings.as_ref()),
            int(changed.generation),
            notice.now.to_iso(),
        ],
    )?;
    file_notice(tx, &changed.team_id, &[former_pin, changed.satellite_id.clone()], &notice)?;
    Ok(changed)
}

pub(in super::super) fn delete_installation(
    tx: &Transaction<'_>,
    id: InstallationId,
    notice: Notice,
) -> Result<bool, StoreError> {
    let Some(removed) = installation(tx, id)? else { return Ok(false) };
    let sql = r#"DELETE FROM "mcpServerInstallations" WHERE id = ?1"#;
    change(tx, sql, [removed.id.as_str()])?;
    file_notice(tx, &removed.team_id, &[removed.satellite_id], &notice)?;
    Ok(true)
}

pub(in super::super) fn put_user_configuration(
    tx: &Transaction<'_>,
    configuration: UserConfiguration,
    notice: Notice,
) -> Result<(), StoreError> {
    let Some(installation) = installation(tx, configuration.installation_id.clone())? else {
        return Err(StoreError::Missing("installation"));
    };
    change(
        tx,
        r#"INSERT INTO "mcpUserConfigurations" (installation_id, user_id, user_args, user_env,
             user_headers, user_url_query_params, created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
           ON CONFLICT (installation_id, user_id) DO UPDATE SET
             user_args = excluded.user_args, user_env = excluded.user_env,
             user_headers = excluded.user_headers,
             user_url_query_params = excluded.user_url_query_params,
             updated_at = excluded.updated_at"#,
        params![
            configuration.installation_id.as_str(),
            configuration.user_id.as_str(),
            text(configuration.user_args.as_ref()),
            text(configuration.user_env.as_ref()),
            text(configuration.user_headers.as_ref()),
            text(configuration.user_url_query_params.as_ref()),
            configuration.updated_at.0.to_iso(),
        ],
    )?;
    file_notice(tx, &installation.team_id, &[installation.satellite_id], &notice)
}

pub(in super::super) fn user_configurations(
    tx: &Transaction<'_>,
    installation: InstallationId,
) -> Result<Vec<UserConfiguration>, StoreError> {
    let sql =
        r#"SELECT * FROM "mcpUserConfigurations" WHERE installation_id = ?1 ORDER BY user_id"#;
    list(tx, sql, [installation.as_str()], |row| {
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
}

pub(in super::super) fn configuration_source(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    in_force: Option<u64>,
) -> Result<ConfigurationSource, StoreError> {
    let Some(satellite) = super::satellites::find(tx, &satellite)? else {
        return Err(StoreError::Missing("satellite"));
    };
    let version = counted_on(satellite.config_version, in_force);
    if version != satellite.config_version {
        let sql = "UPDATE satellites SET config_version = ?2 WHERE id = ?1";
        change(tx, sql, params![satellite.id.as_str(), int(version)])?;
    }
    let mut inputs = Vec::new();
    for installation in installations(tx, satellite.team_id.clone())? {
        if !satellite.serves(&installation.team_id, installation.satellite_id.as_ref()) {
            continue;
        }
        let Some(server) = server(tx, installation.server_id.clone())? else { continue };
        let Some(team) = super::accounts::team(tx, installation.team_id.clone())? else { continue };
        if server.status != "active" {
            continue;
        }
        let disabled = list(
            tx,
            r#"SELECT DISTINCT tool_name FROM "mcpToolMetadata"
               WHERE installation_id = ?1 AND is_disabled = 1"#,
            [installation.id.as_str()],
            |row| row.get("tool_name"),
        )?;
        inputs.push(ConfigurationInput {
            members: super::accounts::members(tx, team.id.clone())?,
            users: user_configurations(tx, installation.id.clone())?,
            instances: instances(tx, installation.id.clone())?,
            disabled_tools: disabled.into_iter().collect(),
            installation,
            server,
            team,
        });
    }
    Ok(ConfigurationSource { version, inputs })
}

/// Reads a whole installation.
pub(super) fn read_installation(row: &Row<'_>) -> rusqlite::Result<Installation> {
    Ok(Installation {
        id: id(row, "id")?,
        team_id: id(row, "team_id")?,
        server_id: row.get("server_id")?,
        satellite_id: id_option(row, "satellite_id")?,
        created_by: row.get("created_by")?,
        installation_name: row.get("installation_name")?,
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
