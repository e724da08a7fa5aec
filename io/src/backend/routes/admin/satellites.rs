//! Satellites, their commands, heartbeats and events.

use axum::extract::Path;
use satellite_core::backend::{admission, registration, status};
use satellite_core::id::{CommandId, EventId, InstallationId, SatelliteId, TeamId};
use satellite_core::time::{DAY, IsoTime, MINUTE, SECOND, Timestamp};
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::admin::{
    AdminState, CommandData, CommandRecord, CommandsData, CreateCommand, EventRecord, EventsData,
    HeartbeatRecord, HeartbeatsData, Reply, SatelliteData, SatelliteRecord, SatellitesData,
    UpdateSatellite,
};
use satellite_core::wire::command::{CommandStatus, CommandType, Priority};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::pages::{OfCommands, OfEvents, OfHeartbeats, OfSatellites, Part};
use super::{created, shown};
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::Authorised;
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::{
    self, EventQuery, JsonText, ListOf, NewCommand, Place, Satellite, SatelliteCommand,
    SatellitePatch,
};

/// How long a command waits unless its creator says otherwise.
const COMMAND_LIFE_MS: u64 = 5 * MINUTE;
/// And how long its creator may have it wait.
const COMMAND_LIFE_MAX_MS: u64 = 366 * DAY;

pub(crate) async fn list(backend: Authorised, part: Part<OfSatellites>) -> Answer {
    let now = backend.clock.now();
    let mut rows = backend.store.satellites_page(part.of(ListOf::SATELLITES)?).await?;
    let next_cursor = part.cut(ListOf::SATELLITES, &mut rows);
    let satellites = rows.into_iter().map(|one| whole(one, now)).collect();
    shown(SatellitesData { satellites, next_cursor })
}

pub(crate) async fn get(backend: Authorised, Path(id): Path<SatelliteId>) -> Answer {
    shown(SatelliteData { satellite: whole(find(&backend, id).await?, backend.clock.now()) })
}

pub(crate) async fn update(backend: Authorised, Path(id): Path<SatelliteId>, body: Body) -> Answer {
    let asked: UpdateSatellite = body.read("satellite")?;
    if asked == UpdateSatellite::default() {
        return Err(Failure::invalid(
            "satellite: name `satellite_url`, `region` or `admin_state` to change",
        ));
    }
    let satellite_url = match asked.satellite_url.as_deref() {
        None | Some("") => asked.satellite_url,
        Some(url) => Some(registration::base_url(Some(url)).ok_or_else(|| {
            Failure::invalid("satellite: `satellite_url`: must be http(s)://host without a path")
        })?),
    };
    let now = backend.clock.now();
    let (admin_state, maintenance) = match asked.admin_state {
        None => (None, None),
        Some(AdminState::Enabled) => (Some(records::AdminState::Enabled), Some((None, None))),
        Some(AdminState::Disabled) => (Some(records::AdminState::Disabled), Some((None, None))),
        Some(AdminState::Maintenance { from, until }) => {
            status::check_window(from, until, now)
                .map_err(|why| Failure::invalid(format!("satellite: `admin_state`: {why}")))?;
            let window = (from.map(|from| from.0), until.map(|until| until.0));
            (Some(records::AdminState::Maintenance), Some(window))
        }
    };
    let patch = SatellitePatch {
        admin_state,
        maintenance,
        satellite_url,
        region: asked.region,
        ..SatellitePatch::default()
    };
    let satellite = backend.store.update_satellite(id, patch, now).await?;
    backend.waiting.wake_all();
    shown(SatelliteData { satellite: whole(satellite, now) })
}

/// The body that sets a satellite's status.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SetStatus {
    /// `active`, `inactive` or `maintenance`.
    status: String,
}

/// The same in the words of a satellite's status: `active`, `inactive` or `maintenance`.
pub(crate) async fn set_status(
    backend: Authorised,
    Path(id): Path<SatelliteId>,
    body: Body,
) -> Answer {
    let SetStatus { status } = body.read("satellite")?;
    let admin_state = match status.as_str() {
        "active" => records::AdminState::Enabled,
        "inactive" => records::AdminState::Disabled,
        "maintenance" => records::AdminState::Maintenance,
        _ => {
            return Err(Failure::invalid(
                "satellite: `status`: must be active, inactive or maintenance",
            ));
        }
    };
    let patch = SatellitePatch {
        admin_state: Some(admin_state),
        maintenance: Some((None, None)),
        ..SatellitePatch::default()
    };
    let now = backend.clock.now();
    let satellite = backend.store.update_satellite(id, patch, now).await?;
    backend.waiting.wake_all();
    let satellite = whole(satellite, now);
    let message = format!("The satellite is {}.", satellite.status);
    ok(&Reply::new(SatelliteData { satellite }).with_message(message))
}

pub(crate) async fn delete(backend: Authorised, Path(id): Path<SatelliteId>) -> Answer {
    if !backend.store.delete_satellite(id, backend.clock.now()).await? {
        return Err(Failure::not_found("satellite"));
    }
    ok(&Acknowledgement::new("The satellite is deleted; its key is void."))
}

pub(crate) async fn create_command(
    backend: Authorised,
    Path(id): Path<SatelliteId>,
    body: Body,
) -> Answer {
    let asked: CreateCommand = body.read("command")?;
    if let CommandType::Unknown(_) = asked.command_type {
        let known: Vec<_> = CommandType::KNOWN.iter().map(CommandType::as_str).collect();
        let why = format!("command: `command_type`: must be one of {}", known.join(", "));
        return Err(Failure::invalid(why));
    }
    let life = asked.expires_in.map_or(COMMAND_LIFE_MS, |seconds| seconds.saturating_mul(SECOND));
    if life > COMMAND_LIFE_MAX_MS {
        let most = COMMAND_LIFE_MAX_MS / SECOND;
        let why = format!("command: `expires_in`: must be at most {most} seconds");
        return Err(Failure::invalid(why));
    }
    let satellite = find(&backend, id).await?;
    let team = asked.payload.get("team_id").and_then(Value::as_str).map(TeamId::new);
    admission::takes_command(&satellite.owner(), team.as_ref())?;
    let mut payload = asked.payload;
    if let Some(id) = payload.get("installation_id").and_then(Value::as_str)
        && let Some(installation) = backend.store.installation(InstallationId::new(id)).await?
    {
        admission::takes_installation(
            &satellite.id,
            &satellite.owner(),
            team.as_ref(),
            (&installation.id, &installation.team_id),
            installation.satellite_id.as_ref(),
        )?;
        // What is meant is what runs at this moment, not what may have replaced it on the way.
        if matches!(asked.command_type, CommandType::Kill | CommandType::Restart) {
            let generation = Value::from(installation.generation);
            payload.entry("generation").or_insert(generation);
        }
    }
    let now = backend.clock.now();
    let command = NewCommand {
        id: CommandId::from(backend.id("cmd_")),
        satellite_id: satellite.id.clone(),
        command_type: asked.command_type.as_str().to_owned(),
        priority: asked.priority,
        payload: JsonText::of(&payload),
        target_team_id: team,
        correlation_id: asked.correlation_id.unwrap_or_else(|| backend.id("corr_")),
        expires_at: now.after(life),
        created_by: Some(backend.actor.to_string()),
        now,
    };
    let id = command.id.clone();
    backend.store.file_commands(vec![command]).await?;
    backend.waiting.wake_all();
    let command = backend.store.command(satellite.id, id).await?;
    let command = command.ok_or_else(|| Failure::not_found("command"))?;
    Ok(created(CommandData { command: whole_command(command) }))
}

pub(crate) async fn commands(
    backend: Authorised,
    Path(id): Path<SatelliteId>,
    part: Part<OfCommands>,
) -> Answer {
    let satellite = find(&backend, id).await?;
    let page = part.of(ListOf::COMMANDS)?;
    let mut rows = backend.store.commands_page(satellite.id, page).await?;
    let next_cursor = part.cut(ListOf::COMMANDS, &mut rows);
    let commands = rows.into_iter().map(whole_command).collect();
    shown(CommandsData { commands, next_cursor })
}

pub(crate) async fn command(
    backend: Authorised,
    Path((satellite, id)): Path<(SatelliteId, CommandId)>,
) -> Answer {
    let command = backend.store.command(satellite, id).await?;
    let command = command.ok_or_else(|| Failure::not_found("command"))?;
    shown(CommandData { command: whole_command(command) })
}

pub(crate) async fn heartbeats(
    backend: Authorised,
    Path(id): Path<SatelliteId>,
    part: Part<OfHeartbeats>,
) -> Answer {
    let satellite = find(&backend, id).await?;
    let page = part.of(ListOf::HEARTBEATS)?;
    let mut rows = backend.store.heartbeats_page(satellite.id, page).await?;
    let next_cursor = part.cut(ListOf::HEARTBEATS, &mut rows);
    let heartbeats = rows.into_iter().map(|row| HeartbeatRecord {
        id: row.id,
        status: row.status,
        system_metrics: row.system_metrics.value(),
        process_count: u64::from(row.process_count),
        healthy_process_count: u64::from(row.healthy_process_count),
        error_count: row.error_count,
        response_time_ms: row.response_time_ms,
        uptime_seconds: row.uptime_seconds,
        version: row.version,
        timestamp: row.timestamp,
    });
    shown(HeartbeatsData { heartbeats: heartbeats.collect(), next_cursor })
}

pub(crate) async fn events(
    backend: Authorised,
    Path(id): Path<SatelliteId>,
    part: Part<OfEvents>,
) -> Answer {
    let satellite = find(&backend, id).await?;
    let of = EventQuery { satellite_id: Some(satellite.id), ..EventQuery::default() };
    show_events(&backend, of, &part).await
}

pub(crate) async fn all_events(backend: Authorised, part: Part<OfEvents>) -> Answer {
    show_events(&backend, EventQuery::default(), &part).await
}

/// What one team's servers told and were given: nothing of another's.
pub(crate) async fn team_events(
    backend: Authorised,
    Path(id): Path<TeamId>,
    part: Part<OfEvents>,
) -> Answer {
    let team = backend.store.team(id).await?.ok_or_else(|| Failure::not_found("team"))?;
    let of = EventQuery { team_id: Some(team.id), ..EventQuery::default() };
    show_events(&backend, of, &part).await
}

async fn show_events(backend: &Backend, of: EventQuery, part: &Part<OfEvents>) -> Answer {
    let (limit, after) = part.number()?;
    let after = after.or(part.asked.after).unwrap_or(0);
    let query = EventQuery { kind: part.asked.kind.clone(), after, limit, ..of };
    let mut rows = backend.store.events(query).await?;
    let next_cursor = part.cut_at(&mut rows, |row| Some(Place::Number(row.number)));
    let events = rows.into_iter().map(|row| EventRecord {
        position: row.number,
        satellite_id: row.satellite_id,
        kind: row.kind,
        data: row.data.value(),
        id: row.event_id.map(EventId::from),
        seq: row.seq,
        timestamp: row.timestamp,
        received_at: row.received_at,
    });
    shown(EventsData { events: events.collect(), next_cursor })
}

async fn find(backend: &Backend, id: SatelliteId) -> Result<Satellite, Failure> {
    backend.store.satellite(id).await?.ok_or_else(|| Failure::not_found("satellite"))
}

fn whole(row: Satellite, now: Timestamp) -> SatelliteRecord {
    SatelliteRecord {
        satellite_type: row.owner().satellite_type(),
        admin_state: row.admin(),
        status: row.status_at(now),
        id: row.id,
        name: row.name,
        team_id: row.team_id,
        capabilities: row.capabilities,
        satellite_url: (!row.satellite_url.is_empty()).then_some(row.satellite_url),
        region: row.region,
        last_heartbeat: row.last_heartbeat,
        mcp_status: row.mcp_status.map(|status| status.value()),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn whole_command(row: SatelliteCommand) -> CommandRecord {
    let begun = row.leased_until.is_some();
    CommandRecord {
        attempt: if begun { u64::from(row.retry_count) + 1 } else { 0 },
        command_type: CommandType::from_wire(&row.command_type),
        priority: Priority::from_wire(&row.priority).unwrap_or_default(),
        payload: row.payload.value().as_object().cloned().unwrap_or_default(),
        status: CommandStatus::from_wire(&row.status).unwrap_or(CommandStatus::Failed),
        correlation_id: row.correlation_id.unwrap_or_default(),
        target_team_id: row.target_team_id,
        result: row.result.map(|result| result.value()),
        error_message: row.error_message,
        started_at: row.started_at,
        duration_ms: row.duration_ms,
        expires_at: Some(IsoTime(row.expires_at.0)),
        created_at: row.created_at,
        updated_at: row.updated_at,
        id: row.id,
        satellite_id: row.satellite_id,
    }
}
