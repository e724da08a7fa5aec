//! Events, and what they change.

mod effect;

use satellite_core::id::{SatelliteId, TeamId};
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{EventOutcome, EventQuery, EventRecord, StoredEvent};
use super::row::{
    Value, change, get, id, id_option, json, list, moment, number, number_option, one, values,
};
use super::satellites::find;
use super::{Outcome, Tx};

/// Who writes events holds this lock with others, who reads them holds it alone: a reader who was
/// given number 7 must not see 6 appear behind it. The number is "events" in ASCII.
const ORDER: i64 = 0x6576_656e_7473;

pub(in super::super) async fn record_event(
    tx: &Tx<'_>,
    event: &EventRecord,
) -> Outcome<EventOutcome> {
    let Some(satellite) = find(tx, &event.satellite_id).await? else {
        return Err(StoreError::Missing("satellite").into());
    };
    if let Some(known) = known(tx, event).await? {
        return Ok(EventOutcome::Repeated(known));
    }
    let installation: Option<(TeamId, Option<SatelliteId>)> = match &event.installation_id {
        Some(installation) => {
            let sql = r#"SELECT team_id, satellite_id FROM "mcpServerInstallations" WHERE id = $1"#;
            one(tx, sql, values![installation], |row| {
                Ok((id(row, "team_id")?, id_option(row, "satellite_id")?))
            })
            .await?
        }
        None => None,
    };
    let installation = installation.as_ref().map(|(team, pin)| (team, pin.as_ref()));
    if event.is_foreign(&satellite, installation) {
        return Ok(EventOutcome::Foreign);
    }
    tx.batch_execute(&format!("SELECT pg_advisory_xact_lock_shared({ORDER})")).await?;
    let recorded = change(
        tx,
        r#"INSERT INTO "satelliteEvents"
             (id, satellite_id, event_id, seq, type, data, timestamp, received_at, team_id)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (satellite_id, event_id) DO NOTHING"#,
        values![
            &event.id,
            &satellite.id,
            event.event_id.as_ref(),
            event.seq,
            &event.kind,
            &event.data,
            event.timestamp,
            event.now,
            event.team(installation.map(|(team, _)| team)).map(TeamId::as_str),
        ],
    )
    .await?;
    if recorded == 0 {
        // Another replica was given the same event at the same time.
        let known = known(tx, event).await?;
        return Ok(EventOutcome::Repeated(known.unwrap_or_else(|| event.id.clone())));
    }
    effect::perform(tx, &satellite, event, installation).await?;
    Ok(EventOutcome::Recorded)
}

/// Under which id the event was stored before.
async fn known(tx: &Tx<'_>, event: &EventRecord) -> Outcome<Option<String>> {
    let Some(event_id) = &event.event_id else { return Ok(None) };
    let sql = r#"SELECT id FROM "satelliteEvents" WHERE satellite_id = $1 AND event_id = $2"#;
    one(tx, sql, values![&event.satellite_id, event_id], |row| get(row, "id")).await
}

pub(in super::super) async fn events(tx: &Tx<'_>, query: &EventQuery) -> Outcome<Vec<StoredEvent>> {
    tx.batch_execute(&format!("SELECT pg_advisory_xact_lock({ORDER})")).await?;
    // A text of its own for each filter, so that each has the plan that fits it.
    let mut sql = String::from(r#"SELECT * FROM "satelliteEvents" WHERE number > $1"#);
    let mut values = vec![Value::from(query.after), Value::from(query.limit)];
    let satellite = query.satellite_id.as_ref().map(SatelliteId::as_str);
    let team = query.team_id.as_ref().map(TeamId::as_str);
    let filters = [("satellite_id", satellite), ("team_id", team), ("type", query.kind.as_deref())];
    for (column, value) in filters {
        if let Some(value) = value {
            values.push(value.into());
            sql.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    sql.push_str(" ORDER BY number LIMIT $2");
    list(tx, &sql, &values, read_event).await
}

fn read_event(row: &Row) -> Outcome<StoredEvent> {
    Ok(StoredEvent {
        number: number(row, "number")?,
        id: get(row, "id")?,
        satellite_id: id(row, "satellite_id")?,
        team_id: id_option(row, "team_id")?,
        event_id: get(row, "event_id")?,
        seq: number_option(row, "seq")?,
        kind: get(row, "type")?,
        data: json(row, "data")?,
        timestamp: moment(row, "timestamp")?,
        received_at: moment(row, "received_at")?,
    })
}
