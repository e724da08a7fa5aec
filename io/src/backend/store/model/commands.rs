//! The command queue.

use satellite_core::id::{CommandId, SatelliteId};
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{
    Completed, Completion, Delivery, NewCommand, Reported, SatelliteCommand, Take, Taken,
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
            priority: new.priority,
            payload: new.payload,
            status: "pending".to_owned(),
            target_team_id: new.target_team_id,
            correlation_id: Some(new.correlation_id),
            retry_count: 0,
            max_retries: 3,
            error_message: None,
            result: None,
            leased_until: None,
            expires_at: IsoTime(new.expires_at),
            reported_at: None,
            created_by: new.created_by,
            created_at: IsoTime(new.now),
            updated_at: IsoTime(new.now),
        };
        tables.commands.insert(new.id, (new.priority_rank, command));
    }
    Ok(())
}

pub(in super::super) fn take_commands(
    tables: &mut Tables,
    take: Take,
) -> Result<Taken, StoreError> {
    lapse(tables, Some(&take.satellite_id), take.now);
    if let Some(satellite) = tables.satellites.get_mut(&take.satellite_id)
        && let Some(last_poll) = take.last_poll
    {
        satellite.last_poll = Some(IsoTime(last_poll));
    }
    let mut waiting: Vec<&mut (u8, SatelliteCommand)> = tables
        .commands
        .values_mut()
        .filter(|(_, command)| {
            command.satellite_id == take.satellite_id && command.status == "pending"
        })
        .collect();
    waiting.sort_by_key(|(rank, command)| (*rank, command.created_at));
    let mut waiting = waiting.into_iter();
    let mut taken = Taken::default();
    for (_, command) in waiting.by_ref().take(take.limit as usize) {
        command.hand_out(take.now, take.lease_ms);
        let attempt = command.retry_count + 1;
        taken.commands.push(Delivery { attempt, command: command.clone() });
    }
    taken.waiting = waiting.next().map(|(_, command)| command.priority.clone());
    Ok(taken)
}

pub(in super::super) fn complete_command(
    tables: &mut Tables,
    completion: Completion,
) -> Result<Completed, StoreError> {
    let command = tables
        .commands
        .get_mut(&completion.command_id)
        .map(|(_, command)| command)
        .filter(|command| command.satellite_id == completion.satellite_id);
    let Some(command) = command else { return Ok(Completed::Unknown) };
    if command.reported_at.is_some() {
        return Ok(Completed::AlreadyEnded);
    }
    let now = IsoTime(completion.now);
    match completion.reported {
        Reported::Progress { status, lease_ms } => {
            command.status = status.to_owned();
            command.leased_until = Some(IsoTime(completion.now.after(lease_ms)));
        }
        Reported::End { success, result, error } => {
            command.status = if success { "completed" } else { "failed" }.to_owned();
            command.result = result;
            command.error_message = error;
            command.leased_until = None;
            command.reported_at = Some(now);
        }
    }
    command.updated_at = now;
    Ok(Completed::Recorded)
}

pub(in super::super) fn command(
    tables: &mut Tables,
    satellite: SatelliteId,
    id: CommandId,
) -> Result<Option<SatelliteCommand>, StoreError> {
    let command = tables.commands.get(&id).map(|(_, command)| command);
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
        .map(|(_, command)| command)
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
    Ok(lapse(tables, None, now))
}

fn lapse(tables: &mut Tables, satellite: Option<&SatelliteId>, now: Timestamp) -> u64 {
    tables
        .commands
        .values_mut()
        .map(|(_, command)| command)
        .filter(|command| satellite.is_none_or(|id| command.satellite_id == *id))
        .map(|command| u64::from(command.lapse(now)))
        .sum()
}
