//! Heartbeats.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use satellite_core::backend::processes;
use satellite_core::backend::registration::base_url;
use satellite_core::backend::roles::Permission;
use satellite_core::id::SatelliteId;
use satellite_core::limits::REPORTED_KEY_MAX_BYTES;
use satellite_core::time::IsoTime;
use satellite_core::view::SatelliteStatus;
use satellite_core::wire::capability::ADDITIONS;
use satellite_core::wire::heartbeat::{
    HeartbeatReply, ReceivedHeartbeat, StatusProcesses, StatusReply, StatusSatellite,
};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::{Heartbeat, HeartbeatRecord, JsonText};

/// Whether an addition is used with a satellite that offers `offered`: this Backend grants all.
pub(super) fn grants(offered: &[String], addition: &str) -> bool {
    ADDITIONS.contains(&addition) && offered.iter().any(|one| one == addition)
}

pub(super) async fn beat(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let heartbeat = ReceivedHeartbeat::decode(&body.0).map_err(Failure::invalid)?;
    let now = backend.clock.now();
    let processes = processes::reported(&heartbeat, now);
    if processes.iter().any(|process| process.id.len() > REPORTED_KEY_MAX_BYTES) {
        let why = format!("a process's name: must have at most {REPORTED_KEY_MAX_BYTES} bytes");
        return Err(Failure::invalid(why));
    }
    let healthy = processes.iter().filter(|process| process.health_status == "healthy").count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let record = HeartbeatRecord {
        heartbeat: Heartbeat {
            id: backend.id("hb_"),
            satellite_id: satellite.id.clone(),
            status: match heartbeat.status {
                SatelliteStatus::Active => "active",
                SatelliteStatus::Degraded => "degraded",
                SatelliteStatus::Error => "error",
            }
            .to_owned(),
            system_metrics: JsonText::of(&heartbeat.system_metrics),
            process_count: count(processes.len()),
            healthy_process_count: count(healthy),
            error_count: heartbeat.error_count.unwrap_or(0),
            response_time_ms: heartbeat.response_time_ms,
            uptime_seconds: Some(heartbeat.system_metrics.uptime_seconds as u64),
            version: heartbeat.version.clone(),
            timestamp: IsoTime(now),
        },
        mcp_status: heartbeat.mcp_status.as_deref().map(JsonText::from),
        satellite_url: base_url(heartbeat.satellite_url.as_deref()),
        whole: heartbeat.processes_by_team.is_some(),
        processes,
    };
    backend.store.record_heartbeat(record).await?;
    let offered = if heartbeat.capabilities.is_empty() {
        &satellite.capabilities
    } else {
        &heartbeat.capabilities
    };
    ok(&HeartbeatReply {
        success: true,
        message: "The heartbeat is stored.".to_owned(),
        capabilities: ADDITIONS
            .iter()
            .filter(|addition| grants(offered, addition))
            .map(|addition| (*addition).to_owned())
            .collect(),
    })
}

/// How a satellite is: for itself, and for the administrator.
pub(super) async fn status(
    State(backend): State<Arc<Backend>>,
    Path(id): Path<SatelliteId>,
    headers: HeaderMap,
) -> Answer {
    let asked = backend.authorise(&headers, Permission::Administer, None, None).await;
    let satellite = match asked {
        Ok(_) => backend.store.satellite(id).await?,
        Err(_) => Some(backend.satellite(&headers, &id).await?),
    };
    let satellite = satellite.ok_or_else(|| Failure::not_found("satellite"))?;
    let processes = backend.store.processes(satellite.id.clone()).await?;
    let count = |health: &str| {
        processes.iter().filter(|process| process.health_status == health).count() as u64
    };
    let latest = backend.store.heartbeats(satellite.id.clone(), 1).await?;
    ok(&StatusReply {
        processes: StatusProcesses {
            total: processes.len() as u64,
            healthy: count("healthy"),
            unhealthy: count("unhealthy"),
        },
        satellite: StatusSatellite {
            status: satellite.status_at(backend.clock.now()),
            id: satellite.id,
            name: satellite.name,
            last_heartbeat: satellite.last_heartbeat,
        },
        system_metrics: latest.first().map(|heartbeat| heartbeat.system_metrics.value()),
    })
}
