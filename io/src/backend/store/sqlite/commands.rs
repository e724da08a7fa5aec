//! The command queue.

use rusqlite::{Row, Transaction, params};
use satellite_core::backend::status::takes_commands;
use satellite_core::id::{CommandId, SatelliteId, TeamId};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{
    Completed, Completion, NewCommand, Notice, SatelliteCommand, Take, Taken, draw,
};
use super::row::{
    change, id, id_option, int, iso, json, json_option, list, moment, moment_option, number, one,
    text,
};

const COMMAND: &str = r#"SELECT * FROM "satelliteCommands""#;
/// What has not ended.
const OPEN: &str = "status IN ('pending', 'acknowledged', 'executing')";

pub(in super::super) fn file_commands(
    tx: &Transaction<'_>,
    commands: Vec<NewCommand>,
) -> Result<(), StoreError> {
    commands.iter().try_for_each(|command| file(tx, command))
}

fn file(tx: &Transaction<'_>, command: &NewCommand) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "satelliteCommands" (id, satellite_id, command_type, priority,
             payload, target_team_id, correlation_id, expires_at, created_by, created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)"#,
        params![
            command.id.as_str(),
            command.satellite_id.as_str(),
            command.command_type,
            command.priority.as_str(),
            command.payload.as_str(),
            command.target_team_id.as_ref().map(TeamId::as_str),
            command.correlation_id,
            command.expires_at.to_iso(),
            command.created_by,
            command.now.to_iso(),
        ],
    )?;
    Ok(())
}

/// Files `notice` to every satellite that serves an installation of `team` pinned to one of `pins`,
/// and counts their configurations on.
pub(super) fn file_notice(
    tx: &Transaction<'_>,
    team: &TeamId,
    pins: &[Option<SatelliteId>],
    notice: &Notice,
) -> Result<(), StoreError> {
    let satellites = super::satellites::satellites(tx)?;
    let concerned = satellites
        .iter()
        .filter(|satellite| pins.iter().any(|pin| satellite.serves(team, pin.as_ref())));
    for (number, satellite) in concerned.enumerate() {
        let version = satellite.config_version + 1;
        let sql = "UPDATE satellites SET config_version = ?2 WHERE id = ?1";
        change(tx, sql, params![satellite.id.as_str(), int(version)])?;
        file(tx, &notice.to(&satellite.id, team, number, version))?;
    }
    Ok(())
}

pub(in super::super) fn take_commands(
    tx: &Transaction<'_>,
    take: Take,
) -> Result<Taken, StoreError> {
    if let Some(last_poll) = take.last_poll {
        let sql = "UPDATE satellites SET last_poll = ?2 WHERE id = ?1";
        change(tx, sql, [take.satellite_id.as_str(), &last_poll.to_iso()])?;
    }
    let satellite = super::satellites::find(tx, &take.satellite_id)?;
    let admin = satellite.map(|satellite| satellite.admin()).unwrap_or_default();
    if !takes_commands(&admin, take.now) {
        return Ok(Taken { admin, ..Taken::default() });
    }
    let sql = format!("{COMMAND} WHERE satellite_id = ?1 AND {OPEN}");
    let drawn = draw(list(tx, &sql, [take.satellite_id.as_str()], read_command)?, &take);
    let handed_out = drawn.taken.commands.iter().map(|delivery| &delivery.command);
    handed_out.chain(&drawn.spent).try_for_each(|command| update(tx, command))?;
    Ok(Taken { admin, ..drawn.taken })
}

/// Stores everything of a command that can change.
fn update(tx: &Transaction<'_>, command: &SatelliteCommand) -> Result<(), StoreError> {
    change(
        tx,
        r#"UPDATE "satelliteCommands"
           SET status = ?2, retry_count = ?3, error_message = ?4, result = ?5, leased_until = ?6,
               updated_at = ?7, started_at = ?8, duration_ms = ?9
           WHERE id = ?1"#,
        params![
            command.id.as_str(),
            command.status,
            command.retry_count,
            command.error_message,
            text(command.result.as_ref()),
            iso(command.leased_until),
            command.updated_at.0.to_iso(),
            iso(command.started_at),
            command.duration_ms.map(int),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn complete_command(
    tx: &Transaction<'_>,
    completion: Completion,
) -> Result<Completed, StoreError> {
    let (satellite, id) = (completion.satellite_id.clone(), completion.command_id.clone());
    let Some(mut command) = command(tx, satellite, id)? else { return Ok(Completed::Unknown) };
    if !command.report(completion) {
        return Ok(Completed::Repeated);
    }
    update(tx, &command)?;
    Ok(Completed::Recorded)
}

pub(in super::super) fn command(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    id: CommandId,
) -> Result<Option<SatelliteCommand>, StoreError> {
    let sql = format!("{COMMAND} WHERE id = ?1 AND satellite_id = ?2");
    one(tx, &sql, [id.as_str(), satellite.as_str()], read_command)
}

pub(in super::super) fn commands(
    tx: &Transaction<'_>,
    satellite: SatelliteId,
    limit: u32,
) -> Result<Vec<SatelliteCommand>, StoreError> {
    let sql = format!("{COMMAND} WHERE satellite_id = ?1 ORDER BY created_at DESC, id LIMIT ?2");
    list(tx, &sql, params![satellite.as_str(), limit], read_command)
}

pub(in super::super) fn lapse_commands(
    tx: &Transaction<'_>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut lapsed = 0;
    for mut command in list(tx, &format!("{COMMAND} WHERE {OPEN}"), [], read_command)? {
        if command.lapse(now) {
            update(tx, &command)?;
            lapsed += 1;
        }
    }
    Ok(lapsed)
}

pub(super) fn read_command(row: &Row<'_>) -> rusqlite::Result<SatelliteCommand> {
    Ok(SatelliteCommand {
        id: id(row, "id")?,
        satellite_id: id(row, "satellite_id")?,
        command_type: row.get("command_type")?,
        priority: row.get("priority")?,
        payload: json(row, "payload")?,
        status: row.get("status")?,
        target_team_id: id_option(row, "target_team_id")?,
        correlation_id: row.get("correlation_id")?,
        retry_count: u32::try_from(number(row, "retry_count")?).unwrap_or(u32::MAX),
        max_retries: u32::try_from(number(row, "max_retries")?).unwrap_or(u32::MAX),
        error_message: row.get("error_message")?,
        result: json_option(row, "result")?,
        started_at: moment_option(row, "started_at")?,
        duration_ms: row
            .get::<_, Option<i64>>("duration_ms")?
            .and_then(|duration| u64::try_from(duration).ok()),
        leased_until: moment_option(row, "leased_until")?,
        expires_at: moment(row, "expires_at")?,
        created_by: row.get("created_by")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
