//! The processes a heartbeat tells of.

use std::collections::BTreeMap;

use satellite_core::id::TeamId;
use satellite_core::time::{SECOND, Timestamp};
use satellite_core::view::{HealthStatus, ProcessStatus};
use satellite_core::wire::decode;
use satellite_core::wire::heartbeat::{McpStatusSnapshot, ReceivedHeartbeat};

use crate::backend::store::records::{JsonText, ReportedProcess};

/// Each process once, although `mcp_status` and `processes_by_team` both name it: the latter comes
/// last, since it says more.
pub(super) fn reported(heartbeat: &ReceivedHeartbeat, now: Timestamp) -> Vec<ReportedProcess> {
    let mut processes = BTreeMap::new();
    for process in &heartbeat.processes {
        let reported = ReportedProcess {
            id: process.id.clone(),
            server_name: process.server_name.clone(),
            status: process.status.as_str().to_owned(),
            health_status: health(process.health_status).to_owned(),
            performance_metrics: process.performance_metrics.as_ref().map(JsonText::of),
            ..ReportedProcess::default()
        };
        processes.insert(process.id.clone(), reported);
    }
    let snapshot = heartbeat
        .mcp_status
        .as_ref()
        .and_then(|raw| decode::<McpStatusSnapshot>("mcp_status", raw.get().as_bytes()).ok());
    for instance in snapshot.map(|snapshot| snapshot.instances).unwrap_or_default() {
        let reported = ReportedProcess {
            installation_id: Some(instance.installation_id),
            pid: instance.pid,
            started_at: started(now, instance.uptime_seconds),
            ..process(
                &instance.installation_name,
                &instance.team_id,
                instance.status,
                instance.health_status,
            )
        };
        processes.insert(instance.installation_name, reported);
    }
    for (team, metrics) in heartbeat.stdio_processes() {
        for metric in metrics {
            let reported = ReportedProcess {
                performance_metrics: Some(JsonText::of(&serde_json::json!({
                    "total_requests": metric.message_count,
                    "error_count": metric.error_count,
                }))),
                installation_id: Some(metric.installation_id),
                pid: metric.pid,
                started_at: started(now, metric.uptime_seconds),
                ..process(&metric.installation_name, &team, metric.status, metric.health_status)
            };
            processes.insert(metric.installation_name, reported);
        }
    }
    processes.into_values().collect()
}

fn process(
    name: &str,
    team: &TeamId,
    status: ProcessStatus,
    health_status: HealthStatus,
) -> ReportedProcess {
    ReportedProcess {
        id: name.to_owned(),
        team_id: Some(team.clone()),
        server_name: name.to_owned(),
        status: match status {
            ProcessStatus::Starting => "starting",
            ProcessStatus::Running => "running",
            ProcessStatus::Terminating => "stopping",
            ProcessStatus::Terminated => "stopped",
            ProcessStatus::Failed => "failed",
        }
        .to_owned(),
        health_status: health(health_status).to_owned(),
        ..ReportedProcess::default()
    }
}

fn started(now: Timestamp, uptime_seconds: u64) -> Option<Timestamp> {
    Some(Timestamp(now.0.saturating_sub(uptime_seconds.saturating_mul(SECOND))))
}

fn health(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Unknown => "unknown",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    }
}
