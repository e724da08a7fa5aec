//! Events, and what they change.

mod effect;

use rusqlite::{Row, Transaction, params};
use satellite_core::id::{SatelliteId, TeamId};

use super::super::StoreError;
use super::super::records::{EventOutcome, EventQuery, EventRecord, StoredEvent};
use super::row::{change, id, id_option, int, json, list, moment, number, number_option, one};
use super::satellites::find;

pub(in super::super) fn record_event(
    tx: &Transaction<'_>,
    event: EventRecord,
) -> Result<EventOutcome, StoreError> {
    let Some(satellite) = find(tx, &event.satellite_id)? else {
        return Err(StoreError::Missing("satellite"));
    };
    if let Some(event_id) = &event.event_id {
        let sql = r#"SELECT id FROM "satelliteEvents" WHERE satellite_id = ?1 AND event_id = ?2"#;
        let known = one(tx, sql, [satellite.id.as_str(), event_id], |row| row.get(0))?;
        if let Some(known) = known {
            return Ok(EventOutcome::Repeated(known));
        }
    }
    let installation: Option<(TeamId, Option<SatelliteId>)> = match &event.installation_id {
        Some(installation) => one(
            tx,
            r#"SELECT team_id, satellite_id FROM "mcpServerInstallations" WHERE id = ?1"#,
            [installation.as_str()],
            |row| Ok((id(row, "team_id")?, id_option(row, "satellite_id")?)),
        )?,
        None => None,
    };
    let installation = installation.as_ref().map(|(team, pin)| (team, pin.as_ref()));
    if event.is_foreign(&satellite, installation) {
        return Ok(EventOutcome::Foreign);
    }
    change(
        tx,
        r#"INSERT INTO "satelliteEvents"
             (id, satellite_id, event_id, seq, type, data, timestamp, received_at, team_id)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"#,
        params![
            event.id,
            satellite.id.as_str(),
            event.event_id,
            event.seq.map(int),
            event.kind,
            event.data.as_str(),
            event.timestamp.to_iso(),
            event.now.to_iso(),
            event.team(installation.map(|(team, _)| team)).map(TeamId::as_str),
        ],
    )?;
    effect::perform(tx, &satellite, &event, installation)?;
    Ok(EventOutcome::Recorded)
}

pub(in super::super) fn events(
    tx: &Transaction<'_>,
    query: EventQuery,
) -> Result<Vec<StoredEvent>, StoreError> {
    list(
        tx,
        r#"SELECT * FROM "satelliteEvents"
           WHERE number > ?1 AND (?2 IS NULL OR satellite_id = ?2) AND (?3 IS NULL OR type = ?3)
             AND (?5 IS NULL OR team_id = ?5)
           ORDER BY number LIMIT ?4"#,
        params![
            int(query.after),
            query.satellite_id.as_ref().map(SatelliteId::as_str),
            query.kind,
            query.limit,
            query.team_id.as_ref().map(TeamId::as_str),
        ],
        read_event,
    )
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        number: number(row, "number")?,
        id: row.get("id")?,
        satellite_id: id(row, "satellite_id")?,
        team_id: id_option(row, "team_id")?,
        event_id: row.get("event_id")?,
        seq: number_option(row, "seq")?,
        kind: row.get("type")?,
        data: json(row, "data")?,
        timestamp: moment(row, "timestamp")?,
        received_at: moment(row, "received_at")?,
    })
}
