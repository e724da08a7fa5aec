//! The command poll and command results.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use satellite_core::backend::{Owner, admission, guidance, queue, status};
use satellite_core::id::{SatelliteId, TeamId};
use satellite_core::time::{SECOND, Timestamp};
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::capability::{COMMAND_LEASE, POLL_WAIT};
use satellite_core::wire::command::{
    Command, CommandResult, CommandStatus, CommandType, PollQuery, PollReply, Priority,
};

use super::heartbeat::grants;
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::{
    Completed, Completion, Delivery, JsonText, Satellite, Take, Taken,
};

type PollParameters = Result<Query<PollQuery>, QueryRejection>;

pub(super) async fn poll(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    query: PollParameters,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    hand_out(&backend, &satellite, &headers, query).await
}

pub(super) async fn poll_global(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    query: PollParameters,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    admission::polls_own_scope(&satellite.owner(), &Owner::Global)?;
    hand_out(&backend, &satellite, &headers, query).await
}

pub(super) async fn poll_team(
    State(backend): State<Arc<Backend>>,
    Path((team, satellite)): Path<(TeamId, SatelliteId)>,
    headers: HeaderMap,
    query: PollParameters,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    admission::polls_own_scope(&satellite.owner(), &Owner::Team(team))?;
    hand_out(&backend, &satellite, &headers, query).await
}

async fn hand_out(
    backend: &Backend,
    satellite: &Satellite,
    headers: &HeaderMap,
    query: PollParameters,
) -> Answer {
    let Query(query) =
        query.map_err(|rejection| Failure::invalid(format!("query: {}", rejection.body_text())))?;
    let header = headers.get("x-last-poll").and_then(|value| value.to_str().ok());
    let last_poll =
        header.and_then(Timestamp::from_iso).or(query.last_poll.map(|last_poll| last_poll.0));
    let granted = grants(&satellite.capabilities, POLL_WAIT);
    let hold = guidance::hold_ms(query.wait, granted);
    let until = tokio::time::Instant::now() + Duration::from_millis(hold);
    let taken = loop {
        let notify = backend.waiting.on(&satellite.id);
        // Listening before looking: a command filed in between is not missed.
        let woken = notify.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let taken = take(backend, satellite, query.limit, last_poll).await?;
        // An administrator may close the queue while the poll is held.
        let is_closed = !status::takes_commands(&taken.admin, backend.clock.now());
        if !taken.commands.is_empty() || is_closed || backend.waiting.is_closing() {
            break taken;
        }
        if hold == 0 || tokio::time::timeout_at(until, woken).await.is_err() {
            break taken;
        }
    };
    backend.waiting.forget(&satellite.id);
    let leased = grants(&satellite.capabilities, COMMAND_LEASE);
    let now = backend.clock.now();
    let maintenance = status::in_maintenance(&taken.admin, now);
    let guidance = guidance::guide(taken.most_urgent, maintenance);
    ok(&PollReply {
        commands: taken.commands.into_iter().map(|one| command(one, leased, now)).collect(),
        polling_mode: guidance.polling_mode,
        next_poll_interval: Some(guidance.next_poll_interval),
        maintenance: guidance.maintenance,
        unreadable: Vec::new(),
    })
}

async fn take(
    backend: &Backend,
    satellite: &Satellite,
    limit: Option<u32>,
    last_poll: Option<Timestamp>,
) -> Result<Taken, Failure> {
    let take = Take {
        satellite_id: satellite.id.clone(),
        limit: queue::limit(limit),
        last_poll,
        now: backend.clock.now(),
    };
    Ok(backend.store.take_commands(take).await?)
}

/// A command as the wire carries it; what was not granted is left out.
fn command(delivery: Delivery, leased: bool, now: Timestamp) -> Command {
    let Delivery { command, attempt } = delivery;
    Command {
        id: command.id,
        command_type: CommandType::from_wire(&command.command_type),
        priority: Priority::from_wire(&command.priority).unwrap_or_default(),
        payload: command.payload.value().as_object().cloned().unwrap_or_default(),
        correlation_id: command.correlation_id,
        attempt: leased.then_some(attempt),
        expires_in: leased.then_some(command.expires_at.0.since(now) / SECOND),
        lease_seconds: leased.then_some(queue::LEASE_MS / SECOND),
    }
}

pub(super) async fn result(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let result: CommandResult = body.read("command result")?;
    if result.status == CommandStatus::Pending {
        return Err(Failure::invalid(
            "command result: `status`: must be acknowledged, executing, completed or failed",
        ));
    }
    let completion = Completion {
        satellite_id: satellite.id,
        status: result.status,
        error: result.failure().map(ToOwned::to_owned),
        result: result.result.as_ref().map(JsonText::of),
        started_at: result.started_at,
        duration_ms: result.duration_ms,
        command_id: result.command_id,
        now: backend.clock.now(),
    };
    match backend.store.complete_command(completion).await? {
        Completed::Recorded => ok(&Acknowledgement::new("The result is stored.")),
        Completed::Repeated => {
            ok(&Acknowledgement::new("Nothing changed; the result that came first stands."))
        }
        Completed::Unknown => Err(Failure::not_found("command")),
    }
}
