//! The command queue.

use satellite_core::backend::admission::serves_installation;
use satellite_core::backend::status::takes_commands;
use satellite_core::id::{CommandId, SatelliteId, TeamId};
use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::records::{
    Completed, Completion, NewCommand, Notice, SatelliteCommand, Take, Taken, draw, owner_of,
};
use super::row::{
    change, get, id, id_option, json, json_option, list, moment, moment_option, number,
    number_option, one, small, values,
};
use super::{Outcome, Tx};

const COMMAND: &str = r#"SELECT * FROM "satelliteCommands""#;
/// What has not ended.
const OPEN: &str = "status IN ('pending', 'acknowledged', 'executing')";

pub(in super::super) async fn file_commands(tx: &Tx<'_>, commands: &[NewCommand]) -> Outcome<()> {
    for command in commands {
        file(tx, command).await?;
    }
    Ok(())
}

async fn file(tx: &Tx<'_>, command: &NewCommand) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO "satelliteCommands" (id, satellite_id, command_type, priority,
             payload, target_team_id, correlation_id, expires_at, created_by, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)"#,
        values![
            &command.id,
            &command.satellite_id,
            &command.command_type,
            command.priority.as_str(),
            &command.payload,
            command.target_team_id.as_ref(),
            &command.correlation_id,
            command.expires_at,
            command.created_by.as_ref(),
            command.now,
        ],
    )
    .await?;
    Ok(())
}

/// Files `notice` to every satellite that serves an installation of `team` pinned to one of `pins`,
/// and counts their configurations on.
pub(super) async fn file_notice(
    tx: &Tx<'_>,
    team: &TeamId,
    pins: &[Option<SatelliteId>],
    notice: &Notice,
) -> Outcome<()> {
    let sql = "SELECT id, team_id FROM satellites WHERE team_id IS NULL OR team_id = $1
               ORDER BY name";
    let satellites: Vec<(SatelliteId, Option<TeamId>)> =
        list(tx, sql, values![team], |row| Ok((id(row, "id")?, id_option(row, "team_id")?)))
            .await?;
    let mut filed = 0;
    for (satellite, owner) in satellites {
        let owner = owner_of(owner);
        let serves =
            |pin: &Option<SatelliteId>| serves_installation(&satellite, &owner, team, pin.as_ref());
        if !pins.iter().any(serves) {
            continue;
        }
        let sql = "UPDATE satellites SET config_version = config_version + 1 WHERE id = $1
                   RETURNING config_version";
        let counted =
            one(tx, sql, values![&satellite], |row| number(row, "config_version")).await?;
        // One that was deleted meanwhile needs no telling.
        let Some(version) = counted else { continue };
        file(tx, &notice.to(&satellite, team, filed, version)).await?;
        filed += 1;
    }
    Ok(())
}

pub(in super::super) async fn take_commands(tx: &Tx<'_>, take: &Take) -> Outcome<Taken> {
    if let Some(last_poll) = take.last_poll {
        let sql = "UPDATE satellites SET last_poll = $2 WHERE id = $1";
        change(tx, sql, values![&take.satellite_id, last_poll]).await?;
    }
    let satellite = super::satellites::find(tx, &take.satellite_id).await?;
    let admin = satellite.map(|satellite| satellite.admin()).unwrap_or_default();
    if !takes_commands(&admin, take.now) {
        return Ok(Taken { admin, ..Taken::default() });
    }
    // What another replica is handing out or ending at this moment is not for this poll.
    let sql = format!("{COMMAND} WHERE satellite_id = $1 AND {OPEN} FOR UPDATE SKIP LOCKED");
    let open = list(tx, &sql, values![&take.satellite_id], read_command).await?;
    let drawn = draw(open, take);
    let handed_out = drawn.taken.commands.iter().map(|delivery| &delivery.command);
    for command in handed_out.chain(&drawn.spent) {
        update(tx, command).await?;
    }
    Ok(Taken { admin, ..drawn.taken })
}

/// Stores everything of a command that can change.
async fn update(tx: &Tx<'_>, command: &SatelliteCommand) -> Outcome<()> {
    change(
        tx,
        r#"UPDATE "satelliteCommands"
           SET status = $2, retry_count = $3, error_message = $4, result = $5, leased_until = $6,
               updated_at = $7, started_at = $8, duration_ms = $9
           WHERE id = $1"#,
        values![
            &command.id,
            &command.status,
            command.retry_count,
            command.error_message.as_ref(),
            command.result.as_ref(),
            command.leased_until,
            command.updated_at,
            command.started_at,
            command.duration_ms,
        ],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn complete_command(
    tx: &Tx<'_>,
    completion: &Completion,
) -> Outcome<Completed> {
    let sql = format!("{COMMAND} WHERE id = $1 AND satellite_id = $2 FOR UPDATE");
    let place = values![&completion.command_id, &completion.satellite_id];
    let Some(mut command) = one(tx, &sql, place, read_command).await? else {
        return Ok(Completed::Unknown);
    };
    if !command.report(completion.clone()) {
        return Ok(Completed::Repeated);
    }
    update(tx, &command).await?;
    Ok(Completed::Recorded)
}

pub(in super::super) async fn command(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    id: &CommandId,
) -> Outcome<Option<SatelliteCommand>> {
    let sql = format!("{COMMAND} WHERE id = $1 AND satellite_id = $2");
    one(tx, &sql, values![id, satellite], read_command).await
}

pub(in super::super) async fn commands(
    tx: &Tx<'_>,
    satellite: &SatelliteId,
    limit: &u32,
) -> Outcome<Vec<SatelliteCommand>> {
    let sql = format!("{COMMAND} WHERE satellite_id = $1 ORDER BY created_at DESC, id LIMIT $2");
    list(tx, &sql, values![satellite, *limit], read_command).await
}

pub(in super::super) async fn lapse_commands(tx: &Tx<'_>, now: &Timestamp) -> Outcome<u64> {
    // Nothing lapses before its end or the end of its lease; the rule itself says the rest.
    let sql = format!(
        "{COMMAND} WHERE {OPEN} AND (expires_at <= $1 OR leased_until <= $1)
         FOR UPDATE SKIP LOCKED"
    );
    let mut lapsed = 0;
    for mut command in list(tx, &sql, values![*now], read_command).await? {
        if command.lapse(*now) {
            update(tx, &command).await?;
            lapsed += 1;
        }
    }
    Ok(lapsed)
}

pub(super) fn read_command(row: &Row) -> Outcome<SatelliteCommand> {
    Ok(SatelliteCommand {
        id: id(row, "id")?,
        satellite_id: id(row, "satellite_id")?,
        command_type: get(row, "command_type")?,
        priority: get(row, "priority")?,
        payload: json(row, "payload")?,
        status: get(row, "status")?,
        target_team_id: id_option(row, "target_team_id")?,
        correlation_id: get(row, "correlation_id")?,
        retry_count: small(row, "retry_count")?,
        max_retries: small(row, "max_retries")?,
        error_message: get(row, "error_message")?,
        result: json_option(row, "result")?,
        started_at: moment_option(row, "started_at")?,
        duration_ms: number_option(row, "duration_ms")?,
        leased_until: moment_option(row, "leased_until")?,
        expires_at: moment(row, "expires_at")?,
        created_by: get(row, "created_by")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
