//! Satellites as administrators see them.

use satellite_core::id::SatelliteId;
use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{AdminState, JsonText, Satellite, SatellitePatch, owner_of};
use super::pairing::retire_keys;
use super::row::{
    change, get, id, id_option, json, json_option, list, moment, moment_option, number, one, texts,
    values,
};
use super::{Outcome, Tx};

/// Selects whole satellites.
pub(super) const SATELLITE: &str = "SELECT * FROM satellites";

pub(in super::super) async fn satellites(tx: &Tx<'_>) -> Outcome<Vec<Satellite>> {
    list(tx, &format!("{SATELLITE} ORDER BY name"), &[], read_satellite).await
}

pub(in super::super) async fn satellite(
    tx: &Tx<'_>,
    id: &SatelliteId,
) -> Outcome<Option<Satellite>> {
    find(tx, id).await
}

/// One satellite.
pub(super) async fn find(tx: &Tx<'_>, id: &SatelliteId) -> Outcome<Option<Satellite>> {
    one(tx, &format!("{SATELLITE} WHERE id = $1"), values![id], read_satellite).await
}

/// One satellite, which no other transaction changes or removes before this one ends.
pub(super) async fn hold(tx: &Tx<'_>, id: &SatelliteId) -> Outcome<Satellite> {
    let sql = format!("{SATELLITE} WHERE id = $1 FOR NO KEY UPDATE");
    let found = one(tx, &sql, values![id], read_satellite).await?;
    Ok(found.ok_or(StoreError::Missing("satellite"))?)
}

pub(in super::super) async fn update_satellite(
    tx: &Tx<'_>,
    id: &SatelliteId,
    patch: &SatellitePatch,
    now: &Timestamp,
) -> Outcome<Satellite> {
    let mut satellite = hold(tx, id).await?;
    satellite.apply(patch.clone(), *now);
    change(
        tx,
        r#"UPDATE satellites
           SET name = $2, status = $3, admin_state = $4, maintenance_from = $5,
               maintenance_until = $6, capabilities = $7, satellite_url = $8, region = $9,
               config = $10, updated_at = $11, config_version = $12
           WHERE id = $1"#,
        values![
            id,
            &satellite.name,
            &satellite.status,
            satellite.admin_state.as_str(),
            satellite.maintenance_from,
            satellite.maintenance_until,
            &JsonText::of(&satellite.capabilities),
            &satellite.satellite_url,
            satellite.region.as_ref(),
            &satellite.config,
            *now,
            satellite.config_version,
        ],
    )
    .await?;
    Ok(satellite)
}

pub(in super::super) async fn delete_satellite(
    tx: &Tx<'_>,
    id: &SatelliteId,
    now: &Timestamp,
) -> Outcome<bool> {
    retire_keys(tx, "id", id.as_str(), "satellite_deleted", *now).await?;
    let sql =
        r#"UPDATE "satelliteRetiredKeys" SET reason = 'satellite_deleted' WHERE satellite_id = $1"#;
    change(tx, sql, values![id]).await?;
    Ok(change(tx, "DELETE FROM satellites WHERE id = $1", values![id]).await? > 0)
}

pub(in super::super) async fn mark_silent(
    tx: &Tx<'_>,
    before: &Timestamp,
) -> Outcome<Vec<SatelliteId>> {
    let sql = "UPDATE satellites SET status = 'inactive'
               WHERE status = 'active' AND last_heartbeat < $1 RETURNING id";
    let mut silent: Vec<SatelliteId> = list(tx, sql, values![*before], |row| id(row, "id")).await?;
    silent.sort();
    Ok(silent)
}

/// Reads a whole satellite.
pub(super) fn read_satellite(row: &Row) -> Outcome<Satellite> {
    let team_id = id_option(row, "team_id")?;
    Ok(Satellite {
        id: id(row, "id")?,
        name: get(row, "name")?,
        satellite_type: owner_of(team_id.clone()).satellite_type().as_str(),
        team_id,
        status: get(row, "status")?,
        admin_state: AdminState::read(&get::<String>(row, "admin_state")?),
        maintenance_from: moment_option(row, "maintenance_from")?,
        maintenance_until: moment_option(row, "maintenance_until")?,
        capabilities: texts(row, "capabilities")?,
        last_heartbeat: moment_option(row, "last_heartbeat")?,
        last_poll: moment_option(row, "last_poll")?,
        system_info: json_option(row, "system_info")?,
        satellite_url: get(row, "satellite_url")?,
        region: get(row, "region")?,
        mcp_status: json_option(row, "mcp_status")?,
        config: json(row, "config")?,
        config_version: number(row, "config_version")?,
        created_by: get(row, "created_by")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
