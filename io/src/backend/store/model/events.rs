//! Events, and what they change.

use std::collections::BTreeSet;

use satellite_core::id::{InstallationId, UserId};
use satellite_core::time::IsoTime;

use super::super::StoreError;
use super::super::records::{
    ClientActivity, EventEffect, EventOutcome, EventQuery, EventRecord, Installation, Satellite,
    StoredEvent, Tool, Tools,
};
use super::health::upsert_process;
use super::tables::Tables;

pub(in super::super) fn record_event(
    tables: &mut Tables,
    event: EventRecord,
) -> Result<EventOutcome, StoreError> {
    let satellite = tables.satellite(&event.satellite_id)?.clone();
    let known = tables.events.values().find(|known| {
        known.satellite_id == satellite.id
            && known.event_id.is_some()
            && known.event_id == event.event_id
    });
    if let Some(known) = known {
        return Ok(EventOutcome::Repeated(known.id.clone()));
    }
    let installation = event.installation_id.as_ref().and_then(|id| tables.installations.get(id));
    let owner = installation.map(|found| (&found.team_id, found.satellite_id.as_ref()));
    if event.is_foreign(&satellite, owner) {
        return Ok(EventOutcome::Foreign);
    }
    tables.last_event += 1;
    let stored = StoredEvent {
        number: tables.last_event,
        id: event.id.clone(),
        satellite_id: satellite.id.clone(),
        team_id: event.team(owner.map(|(team, _)| team)).cloned(),
        event_id: event.event_id.clone(),
        seq: event.seq,
        kind: event.kind.clone(),
        data: event.data.clone(),
        timestamp: IsoTime(event.timestamp),
        received_at: IsoTime(event.now),
    };
    let installation = installation.cloned();
    tables.events.insert(stored.number, stored);
    perform(tables, &satellite, &event, installation);
    Ok(EventOutcome::Recorded)
}

fn perform(
    tables: &mut Tables,
    satellite: &Satellite,
    event: &EventRecord,
    installation: Option<Installation>,
) {
    match (&event.effect, installation) {
        (EventEffect::None, _) => {}
        (EventEffect::Process(process), _) => {
            upsert_process(tables, satellite, process, event.now);
        }
        (EventEffect::Use(used), _) => {
            let row = (satellite.id.clone(), event.timestamp, used.clone());
            tables.usage.insert(event.id.clone(), row);
        }
        (EventEffect::Activity(activity), _) => client_activity(tables, event, activity),
        (_, None) => {}
        (EventEffect::Status { user_id, status, message }, Some(installation)) => {
            let instance = tables.instances.values_mut().find(|instance| {
                instance.installation_id == installation.id && instance.user_id == *user_id
            });
            let Some(instance) = instance else { return };
            let owner = (&installation.team_id, installation.satellite_id.as_ref());
            let known = (instance.status.as_str(), instance.status_updated_at);
            if let Some(at) = event.status_counts_from(satellite, owner, known, *status) {
                instance.status = status.as_str().to_owned();
                instance.status_message = message.clone();
                instance.status_updated_at = Some(IsoTime(at));
                instance.updated_at = IsoTime(event.now);
            }
        }
        (EventEffect::Logs(lines), Some(installation)) => {
            for (number, line) in lines.iter().enumerate() {
                let row = (installation.id.clone(), line.clone());
                tables.server_logs.insert(format!("{}_{number}", event.id), row);
            }
        }
        (EventEffect::Requests(lines), Some(installation)) => {
            for (number, line) in lines.iter().enumerate() {
                let row = (installation.id.clone(), line.clone());
                tables.request_logs.insert(format!("{}_{number}", event.id), row);
            }
        }
        (EventEffect::Tools(found), Some(installation)) => tools(tables, &installation.id, found),
    }
}

fn tools(tables: &mut Tables, installation: &InstallationId, found: &Tools) {
    let user = found.user_id.as_ref().map_or("", UserId::as_str).to_owned();
    let names: BTreeSet<&str> = found.tools.iter().map(|tool| tool.tool_name.as_str()).collect();
    tables.tools.retain(|(owner, whose, name), tool| {
        owner != installation || *whose != user || tool.is_disabled || names.contains(name.as_str())
    });
    let disabled: BTreeSet<String> = tables
        .tools
        .iter()
        .filter(|((owner, ..), tool)| owner == installation && tool.is_disabled)
        .map(|((.., name), _)| name.clone())
        .collect();
    for tool in &found.tools {
        let key = (installation.clone(), user.clone(), tool.tool_name.clone());
        let is_disabled = disabled.contains(&tool.tool_name);
        tables.tools.insert(key, Tool { is_disabled, ..tool.clone() });
    }
}

fn client_activity(tables: &mut Tables, event: &EventRecord, told: &ClientActivity) {
    let Some(team) = &event.team_id else { return };
    let key = (
        event.satellite_id.clone(),
        team.clone(),
        told.user_id.clone(),
        format!("oauth:{}", told.oauth_client_id),
    );
    let known = tables.activity.remove(&key);
    let mut activity = told.clone();
    if let Some(known) = known {
        activity.client_name = activity.client_name.or(known.client_name);
        activity.user_agent = activity.user_agent.or(known.user_agent);
        activity.ip_address = activity.ip_address.or(known.ip_address);
        activity.session_id = activity.session_id.or(known.session_id);
        activity.request_count += known.request_count;
        activity.tool_call_count += known.tool_call_count;
        activity.last_activity_at = activity.last_activity_at.max(known.last_activity_at);
    }
    tables.activity.insert(key, activity);
}

pub(in super::super) fn events(
    tables: &mut Tables,
    query: EventQuery,
) -> Result<Vec<StoredEvent>, StoreError> {
    Ok(tables
        .events
        .range(query.after.saturating_add(1)..)
        .map(|(_, event)| event)
        .filter(|event| query.satellite_id.as_ref().is_none_or(|id| event.satellite_id == *id))
        .filter(|event| query.team_id.as_ref().is_none_or(|id| event.team_id.as_ref() == Some(id)))
        .filter(|event| query.kind.as_ref().is_none_or(|kind| event.kind == *kind))
        .take(query.limit as usize)
        .cloned()
        .collect())
}
