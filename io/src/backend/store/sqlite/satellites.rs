//! Satellites as administrators see them.

use rusqlite::{Row, Transaction, params};
use satellite_core::id::SatelliteId;
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{AdminState, JsonText, Satellite, SatellitePatch, owner_of};
use super::pairing::retire_keys;
use super::row::{
    change, id, id_option, int, iso, json, json_option, list, moment, moment_option, number, one,
    text, texts,
};

/// Selects whole satellites.
pub(super) const SATELLITE: &str = "SELECT * FROM satellites";

pub(in super::super) fn satellites(tx: &Transaction<'_>) -> Result<Vec<Satellite>, StoreError> {
    list(tx, &format!("{SATELLITE} ORDER BY name"), [], read_satellite)
}

pub(in super::super) fn satellite(
    tx: &Transaction<'_>,
    id: SatelliteId,
) -> Result<Option<Satellite>, StoreError> {
    find(tx, &id)
}

/// One satellite.
pub(super) fn find(
    tx: &Transaction<'_>,
    id: &SatelliteId,
) -> Result<Option<Satellite>, StoreError> {
    one(tx, &format!("{SATELLITE} WHERE id = ?1"), [id.as_str()], read_satellite)
}

pub(in super::super) fn update_satellite(
    tx: &Transaction<'_>,
    id: SatelliteId,
    patch: SatellitePatch,
    now: Timestamp,
) -> Result<Satellite, StoreError> {
    let Some(mut satellite) = find(tx, &id)? else {
        return Err(StoreError::Missing("satellite"));
    };
    satellite.apply(patch, now);
    change(
        tx,
        r#"UPDATE satellites
           SET name = ?2, status = ?3, admin_state = ?4, maintenance_from = ?5,
               maintenance_until = ?6, capabilities = ?7, satellite_url = ?8, region = ?9,
               config = ?10, updated_at = ?11, config_version = ?12
           WHERE id = ?1"#,
        params![
            id.as_str(),
            satellite.name,
            satellite.status,
            satellite.admin_state.as_str(),
            iso(satellite.maintenance_from),
            iso(satellite.maintenance_until),
            JsonText::of(&satellite.capabilities).as_str(),
            satellite.satellite_url,
            satellite.region,
            text(Some(&satellite.config)),
            IsoTime(now).0.to_iso(),
            int(satellite.config_version),
        ],
    )?;
    Ok(satellite)
}

pub(in super::super) fn delete_satellite(
    tx: &Transaction<'_>,
    id: SatelliteId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    retire_keys(tx, "id", id.as_str(), "satellite_deleted", &now.to_iso())?;
    change(
        tx,
        r#"UPDATE "satelliteRetiredKeys" SET reason = 'satellite_deleted' WHERE satellite_id = ?1"#,
        [id.as_str()],
    )?;
    Ok(change(tx, "DELETE FROM satellites WHERE id = ?1", [id.as_str()])? > 0)
}

pub(in super::super) fn mark_silent(
    tx: &Transaction<'_>,
    before: Timestamp,
) -> Result<Vec<SatelliteId>, StoreError> {
    let mut silent: Vec<SatelliteId> = list(
        tx,
        "UPDATE satellites SET status = 'inactive'
         WHERE status = 'active' AND last_heartbeat < ?1 RETURNING id",
        [before.to_iso()],
        |row| id(row, "id"),
    )?;
    silent.sort();
    Ok(silent)
}

/// Reads a whole satellite.
pub(super) fn read_satellite(row: &Row<'_>) -> rusqlite::Result<Satellite> {
    let team_id = id_option(row, "team_id")?;
    Ok(Satellite {
        id: id(row, "id")?,
        name: row.get("name")?,
        satellite_type: owner_of(team_id.clone()).satellite_type().as_str(),
        team_id,
        status: row.get("status")?,
        admin_state: AdminState::read(&row.get::<_, String>("admin_state")?),
        maintenance_from: moment_option(row, "maintenance_from")?,
        maintenance_until: moment_option(row, "maintenance_until")?,
        capabilities: texts(row, "capabilities")?,
        last_heartbeat: moment_option(row, "last_heartbeat")?,
        last_poll: moment_option(row, "last_poll")?,
        system_info: json_option(row, "system_info")?,
        satellite_url: row.get("satellite_url")?,
        region: row.get("region")?,
        mcp_status: json_option(row, "mcp_status")?,
        config: json(row, "config")?,
        config_version: number(row, "config_version")?,
        created_by: row.get("created_by")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
