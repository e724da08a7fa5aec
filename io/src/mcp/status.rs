//! What load balancers and people ask: is it alive, is it ready, does it reach its Backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use satellite_core::http::{HttpRequest, Method};
use satellite_core::isolation::Level;
use satellite_core::limits::HEALTH_TIMEOUT_MS;
use satellite_core::time::Timestamp;
use satellite_core::view::{InstanceStatus, SatelliteStatus, View, WaitsFor};
use satellite_core::wire::path;
use serde::Serialize;
use tokio::sync::Mutex;

use super::{Surface, reply};
use crate::clock::Clock;

/// How long the answer of a live probe is given to further askers: the route asks nobody's name.
const PROBE_LIFE: Duration = Duration::from_secs(1);

/// The live probe of the Backend, one at a time.
#[derive(Debug)]
pub(super) struct Probe {
    started: Timestamp,
    last: Mutex<Option<(Timestamp, BackendStatus)>>,
}

impl Probe {
    pub(super) fn new(clock: Clock) -> Self {
        Probe { started: clock.now(), last: Mutex::default() }
    }
}

#[derive(Clone, Debug, Serialize)]
struct BackendStatus {
    backend_url: String,
    connection_status: &'static str,
    last_check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

pub(super) async fn backend(State(surface): State<Arc<Surface>>) -> Response {
    let mut last = surface.probe.last.lock().await;
    let now = surface.clock.now();
    let life = u64::try_from(PROBE_LIFE.as_millis()).unwrap_or(u64::MAX);
    if let Some((asked, status)) = &*last
        && now.since(*asked) < life
    {
        return reply::value(StatusCode::OK, status);
    }
    let request = HttpRequest {
        method: Method::Get,
        path: String::from(path::HEALTH),
        bearer: None,
        headers: Vec::new(),
        body: None,
        timeout_ms: HEALTH_TIMEOUT_MS,
    };
    let answer = surface.backend.exchange(request).await;
    let mut status = BackendStatus {
        backend_url: surface.options.backend_url.clone(),
        connection_status: "connected",
        last_check: now.to_iso(),
        response_time_ms: answer.as_ref().ok().map(|answer| answer.elapsed_ms),
        error_message: None,
    };
    match &answer {
        Ok(answer) if answer.is_success() => {}
        Ok(answer) => {
            status.connection_status = "error";
            status.error_message =
                Some(format!("The Backend answered with HTTP {}", answer.status));
        }
        Err(failure) => {
            status.connection_status = "disconnected";
            status.error_message = Some(failure.to_string());
        }
    }
    let response = reply::value(StatusCode::OK, &status);
    *last = Some((now, status));
    response
}

#[derive(Serialize)]
struct Overview {
    service: &'static str,
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<u64>,
}

pub(super) async fn overview(State(surface): State<Arc<Surface>>) -> Response {
    let now = surface.clock.now();
    let (code, status) = match surface.view().health.status {
        SatelliteStatus::Active => (StatusCode::OK, "healthy"),
        SatelliteStatus::Degraded => (StatusCode::OK, "degraded"),
        SatelliteStatus::Error => (StatusCode::INTERNAL_SERVER_ERROR, "error"),
    };
    let shown = &surface.options.shown;
    let overview = Overview {
        service: "satellite",
        status,
        timestamp: now.to_iso(),
        version: shown.show_version.then_some(env!("CARGO_PKG_VERSION")),
        uptime: shown.show_uptime.then(|| now.since(surface.probe.started) / 1_000),
    };
    reply::value(code, &overview)
}

pub(super) async fn live() -> Response {
    #[derive(Serialize)]
    struct Live {
        live: bool,
    }
    reply::value(StatusCode::OK, &Live { live: true })
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    reasons: Vec<String>,
    backend: Path<'a>,
    instances: BTreeMap<&'static str, usize>,
    places: Places,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<&'a Level>,
}

/// Places for processes, and who waits for one.
#[derive(Serialize)]
struct Places {
    taken: usize,
    of: usize,
    starting: usize,
    waiting: usize,
    waiting_for: BTreeMap<&'static str, usize>,
}

/// A path that requests take, and how it did last.
#[derive(Serialize)]
struct Path<'a> {
    state: &'a str,
    age_ms: Option<u64>,
    round_trip_ms: Option<u64>,
    failures: u32,
    last_error: Option<&'a str>,
}

pub(super) async fn ready(State(surface): State<Arc<Surface>>) -> Response {
    let (view, now) = (surface.view(), surface.clock.now());
    let reasons = reasons_against(&view);
    let mut instances: BTreeMap<&'static str, usize> = BTreeMap::new();
    for instance in view.instances.values() {
        *instances.entry(instance.status.as_str()).or_default() += 1;
    }
    let link = &view.link;
    let readiness = Readiness {
        ready: reasons.is_empty(),
        reasons,
        backend: Path {
            state: link.state,
            age_ms: link.last_answer.map(|(at, _)| now.since(at)),
            round_trip_ms: link.last_answer.map(|(_, took)| took),
            failures: link.failures,
            last_error: link.last_error.as_deref(),
        },
        instances,
        places: Places {
            taken: view.places.held,
            of: view.places.capacity,
            starting: view.places.starting,
            waiting: view.places.waiting,
            waiting_for: WaitsFor::ALL
                .map(|what| (what.as_str(), view.places.waiting_for(what)))
                .into(),
        },
        isolation: view.isolation.as_ref(),
    };
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::value(code, &readiness)
}

fn reasons_against(view: &View) -> Vec<String> {
    let mut reasons = Vec::new();
    if view.draining {
        reasons.push(String::from("shutting down"));
    }
    if view.satellite.is_none() {
        reasons.push(String::from("not paired with a Backend"));
    } else if !view.link.configuration_fresh && view.servers.is_empty() {
        reasons.push(String::from("no configuration yet"));
    }
    if view.health.status == SatelliteStatus::Error {
        reasons.extend(view.health.reasons.iter().cloned());
    }
    reasons
}

#[derive(Serialize)]
struct Debug<'a> {
    timestamp: String,
    satellite_info: Option<&'a satellite_core::view::SatelliteIdentity>,
    servers_by_team: BTreeMap<&'a str, TeamServers<'a>>,
    summary: Summary,
}

#[derive(Default, Serialize)]
struct TeamServers<'a> {
    running: Vec<&'a str>,
    dormant: Vec<&'a str>,
    configured: Vec<&'a str>,
}

#[derive(Default, Serialize)]
struct Summary {
    instances: usize,
    online: usize,
    tools: usize,
}

pub(super) async fn debug(State(surface): State<Arc<Surface>>) -> Response {
    #[derive(Serialize)]
    struct Off {
        error: &'static str,
        message: &'static str,
    }
    if !surface.options.shown.debug_route {
        let off = Off {
            error: "Forbidden",
            message: "The debug route is off. Set DEPLOYSTACK_STATUS_SHOW_MCP_DEBUG_ROUTE=true.",
        };
        return reply::value(StatusCode::FORBIDDEN, &off);
    }
    let view = surface.view();
    let mut servers_by_team: BTreeMap<&str, TeamServers<'_>> = BTreeMap::new();
    let mut summary = Summary::default();
    for (key, instance) in &view.instances {
        let team = servers_by_team.entry(key.team.as_str()).or_default();
        let name = instance.names.process.as_str();
        team.configured.push(name);
        if instance.process.is_some() {
            team.running.push(name);
        } else if instance.dormant_since.is_some() {
            team.dormant.push(name);
        }
        summary.instances += 1;
        summary.online += usize::from(instance.status == InstanceStatus::Online);
        summary.tools += instance.inventory.tools.len();
    }
    let debug = Debug {
        timestamp: surface.clock.now().to_iso(),
        satellite_info: view.satellite.as_ref(),
        servers_by_team,
        summary,
    };
    reply::value(StatusCode::OK, &debug)
}

/// A path that leads nowhere.
pub(super) async fn unknown() -> Response {
    reply::error(
        StatusCode::NOT_FOUND,
        None,
        satellite_core::router::outcome::CODE_UNAVAILABLE,
        "There is nothing at this path. MCP clients connect to /mcp or /i/{path}/mcp.",
    )
}
