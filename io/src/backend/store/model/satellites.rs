//! Satellites as administrators see them.

use satellite_core::id::SatelliteId;
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{Satellite, SatellitePatch};
use super::tables::Tables;

pub(in super::super) fn satellites(tables: &mut Tables) -> Result<Vec<Satellite>, StoreError> {
    let mut satellites: Vec<_> = tables.satellites.values().cloned().collect();
    satellites.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(satellites)
}

pub(in super::super) fn satellite(
    tables: &mut Tables,
    id: SatelliteId,
) -> Result<Option<Satellite>, StoreError> {
    Ok(tables.satellites.get(&id).cloned())
}

pub(in super::super) fn update_satellite(
    tables: &mut Tables,
    id: SatelliteId,
    patch: SatellitePatch,
    now: Timestamp,
) -> Result<Satellite, StoreError> {
    let mut satellite = tables.satellite(&id)?.clone();
    satellite.apply(patch, now);
    if tables.satellites.values().any(|other| other.id != id && other.name == satellite.name) {
        return Err(StoreError::Conflict("satellites.name exists already".to_owned()));
    }
    tables.satellites.insert(id, satellite.clone());
    Ok(satellite)
}

pub(in super::super) fn delete_satellite(
    tables: &mut Tables,
    id: SatelliteId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    tables.retire_key(&id, true, now);
    Ok(tables.drop_satellite(&id))
}

pub(in super::super) fn mark_silent(
    tables: &mut Tables,
    before: Timestamp,
) -> Result<Vec<SatelliteId>, StoreError> {
    let mut silent = Vec::new();
    for satellite in tables.satellites.values_mut() {
        let unheard = satellite.last_heartbeat.is_some_and(|last| last < IsoTime(before));
        if satellite.status == "active" && unheard {
            satellite.status = "inactive".to_owned();
            silent.push(satellite.id.clone());
        }
    }
    Ok(silent)
}
