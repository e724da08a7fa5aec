//! The command queue.

use satellite_core::backend::status::takes_commands;
use satellite_core::id::{CommandId, SatelliteId};
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::admin::AdminState;

use super::super::StoreError;
use super::super::records::{
    Completed, Completion, NewCommand, SatelliteCommand, Take, Taken, draw,
};
use super::tables::Tables;

pub(in super::super) fn file_commands(
    tables: &mut Tables,
    commands: Vec<NewCommand>,
) -> Result<(), StoreError> {
    for new in commands {
        if !tables.satellites.contains_key(&new.satellite_id) {
            return Err(StoreError::Missing("satellite"));
        }
        if tables.commands.contains_key(&new.id) {
            return Err(StoreError::Conflict(format!("command {} exists already", new.id)));
        }
        let command = SatelliteCommand {
            id: new.id.clone(),
            satellite_id: new.satellite_id,
            command_type: new.command_type,
            priority: new.priority.as_str().to_owned(),
            payload: new.payload,
            status: "pending".to_owned(),
            target_team_id: new.target_team_id,
            correlation_id: Some(new.correlation_id),
            retry_count: 0,
            max_retries: 3,
            error_message: None,
            result: None,
            started_at: None,
            duration_ms: None,
            leased_until: None,
            expires_at: IsoTime(new.expires_at),
            created_by: new.created_by,
            created_at: IsoTime(new.now),
            updated_at: IsoTime(new.now),
        };
        tables.commands.insert(new.id, command);
    }
    Ok(())
}

pub(in super::super) fn take_commands(
    tables: &mut Tables,
    take: Take,
) -> Result<Taken, StoreError> {
    let mut admin = AdminState::default();
    if let Some(satellite) = tables.satellites.get_mut(&take.satellite_id) {
        admin = satellite.admin();
        if let Some(last_poll) = take.last_poll {
            satellite.last_poll = Some(IsoTime(last_poll));
        }
    }
    if !takes_commands(&admin, take.now) {
        return Ok(Taken { admin, ..Taken::default() });
    }
    let open = tables.commands.values();
    let open = open.filter(|command| command.satellite_id == take.satellite_id).cloned().collect();
    let drawn = draw(open, &take);
    let handed_out = drawn.taken.commands.iter().map(|delivery| delivery.command.clone());
    for command in handed_out.chain(drawn.spent) {
        tables.commands.insert(command.id.clone(), command);
    }
    Ok(Taken { admin, ..drawn.taken })
}

pub(in super::super) fn complete_command(
    tables: &mut Tables,
    completion: Completion,
) -> Result<Completed, StoreError> {
    let command = tables
        .commands
        .get_mut(&completion.command_id)
        .filter(|command| command.satellite_id == completion.satellite_id);
    let Some(command) = command else { return Ok(Completed::Unknown) };
    Ok(if command.report(completion) { Completed::Recorded } else { Completed::Repeated })
}

pub(in super::super) fn command(
    tables: &mut Tables,
    satellite: SatelliteId,
    id: CommandId,
) -> Result<Option<SatelliteCommand>, StoreError> {
    let command = tables.commands.get(&id);
    Ok(command.filter(|command| command.satellite_id == satellite).cloned())
}

pub(in super::super) fn commands(
    tables: &mut Tables,
    satellite: SatelliteId,
    limit: u32,
) -> Result<Vec<SatelliteCommand>, StoreError> {
    let mut commands: Vec<_> = tables
        .commands
        .values()
        .filter(|command| command.satellite_id == satellite)
        .cloned()
        .collect();
    commands.sort_by_key(|command| std::cmp::Reverse(command.created_at));
    commands.truncate(limit as usize);
    Ok(commands)
}

pub(in super::super) fn lapse_commands(
    tables: &mut Tables,
    now: Timestamp,
) -> Result<u64, StoreError> {
    Ok(tables.commands.values_mut().map(|command| u64::from(command.lapse(now))).sum())
}
