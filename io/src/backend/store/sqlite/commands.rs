//! The command queue.

use rusqlite::{Row, Transaction, params};
use satellite_core::id::{CommandId, SatelliteId, TeamId};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{
    Completed, Completion, Delivery, NewCommand, Notice, Reported, SatelliteCommand, Take, Taken,
};
use super::row::{
    change, id, id_option, json, json_option, list, moment, moment_option, number, one, text,
};

const COMMAND: &str = r#"SELECT * FROM "satelliteCommands""#;

pub(in super::super) fn file_commands(
    tx: &Transaction<'_>,
    commands: Vec<NewCommand>,
) -> Result<(), StoreError> {
    commands.iter().try_for_each(|command| file(tx, command))
}

fn file(tx: &Transaction<'_>, command: &NewCommand) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "satelliteCommands" (id, satellite_id, command_type, priority, priority_rank,
             payload, target_team_id, correlation_id, expires_at, created_by, created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)"#,
        params![
            command.id.as_str(),
            command.satellite_id.as_str(),
            command.command_type,
            command.priority,
            command.priority_rank,
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

/// Files `notice` to every satellite that serves an installation of `team` pinned to one of `pins`.
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
        file(tx, &notice.to(&satellite.id, team, number))?;
    }
    Ok(())
}

pub(in super::super) fn take_commands(
    tx: &Transaction<'_>,
    take: Take,
) -> Result<Taken, StoreError> {
    lapse(tx, Some(&take.satellite_id), take.now)?;
    if let Some(last_poll) = take.last_poll {
        let sql = "UPDATE satellites SET last_poll = ?2 WHERE id = ?1";
        change(tx, sql, [take.satellite_id.as_str(), &last_poll.to_iso()])?;
    }
    let sql = format!(
        "{COMMAND} WHERE satellite_id = ?1 AND status = 'pending'
         ORDER BY priority_rank, created_at, id LIMIT ?2"
    );
    let waiting = list(
        tx,
        &sql,
        params![take.satellite_id.as_str(), i64::from(take.limit) + 1],
        read_command,
    )?;
    let mut waiting = waiting.into_iter();
    let mut taken = Taken::default();
    for mut command in waiting.by_ref().take(take.limit as usize) {
        command.hand_out(take.now, take.lease_ms);
        change(
            tx,
            r#"UPDATE "satelliteCommands"
               SET status = 'acknowledged', leased_until = ?2, updated_at = ?3 WHERE id = ?1"#,
            [command.id.as_str(), &take.now.after(take.lease_ms).to_iso(), &take.now.to_iso()],
        )?;
        taken.commands.push(Delivery { attempt: command.retry_count + 1, command });
    }
    taken.waiting = waiting.next().map(|command| command.priority);
    Ok(taken)
}

pub(in super::super) fn complete_command(
    tx: &Transaction<'_>,
    completion: Completion,
) -> Result<Completed, StoreError> {
    let Some(command) = command(tx, completion.satellite_id, completion.command_id)? else {
        return Ok(Completed::Unknown);
    };
    if command.reported_at.is_some() {
        return Ok(Completed::AlreadyEnded);
    }
    let now = completion.now.to_iso();
    match completion.reported {
        Reported::Progress { status, lease_ms } => change(
            tx,
            r#"UPDATE "satelliteCommands"
               SET status = ?2, leased_until = ?3, updated_at = ?4 WHERE id = ?1"#,
            [command.id.as_str(), status, &completion.now.after(lease_ms).to_iso(), &now],
        )?,
        Reported::End { success, result, error } => change(
            tx,
            r#"UPDATE "satelliteCommands"
               SET status = ?2, result = ?3, error_message = ?4, leased_until = NULL,
                   reported_at = ?5, updated_at = ?5
               WHERE id = ?1"#,
            params![
                command.id.as_str(),
                if success { "completed" } else { "failed" },
                text(result.as_ref()),
                error,
                now,
            ],
        )?,
    };
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
    lapse(tx, None, now)
}

/// Ends what is stale, takes back what was not reported in time.
fn lapse(
    tx: &Transaction<'_>,
    satellite: Option<&SatelliteId>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = format!(
        "{COMMAND} WHERE (?1 IS NULL OR satellite_id = ?1)
           AND ((status = 'pending' AND expires_at <= ?2)
             OR (status IN ('acknowledged', 'executing') AND leased_until <= ?2))"
    );
    let due =
        list(tx, &sql, params![satellite.map(SatelliteId::as_str), now.to_iso()], read_command)?;
    let mut lapsed = 0;
    for mut command in due {
        if command.lapse(now) {
            lapsed += change(
                tx,
                r#"UPDATE "satelliteCommands"
                   SET status = ?2, retry_count = ?3, error_message = ?4, leased_until = NULL,
                       updated_at = ?5
                   WHERE id = ?1"#,
                params![
                    command.id.as_str(),
                    command.status,
                    command.retry_count,
                    command.error_message,
                    now.to_iso(),
                ],
            )?;
        }
    }
    Ok(lapsed)
}

fn read_command(row: &Row<'_>) -> rusqlite::Result<SatelliteCommand> {
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
        leased_until: moment_option(row, "leased_until")?,
        expires_at: moment(row, "expires_at")?,
        reported_at: moment_option(row, "reported_at")?,
        created_by: row.get("created_by")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
