//! The processes that a heartbeat tells of, as the Backend keeps them.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::id::{InstallationId, TeamId};
use crate::time::{SECOND, Timestamp};
use crate::view::{HealthStatus, ProcessStatus};
use crate::wire::decode;
use crate::wire::heartbeat::{McpStatusSnapshot, ReceivedHeartbeat};

/// A process as a heartbeat or an event tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportedProcess {
    /// Its id: unique for its satellite.
    pub id: String,
    /// The installation it belongs to, if named.
    pub installation_id: Option<InstallationId>,
    /// The team it belongs to, if named.
    pub team_id: Option<TeamId>,
    /// Its server's name.
    pub server_name: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// `pending`, `starting`, `running`, `stopping`, `stopped` or `failed`.
    pub status: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health_status: String,
    /// What it measured of itself.
    pub performance_metrics: Option<Value>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// When it started, where that is known.
    pub started_at: Option<Timestamp>,
}

/// Each process once, although `mcp_status` and `processes_by_team` both name it: the latter comes
/// last, since it says more.
pub fn reported(heartbeat: &ReceivedHeartbeat, now: Timestamp) -> Vec<ReportedProcess> {
    let mut processes = BTreeMap::new();
    for process in &heartbeat.processes {
        let reported = ReportedProcess {
            id: process.id.clone(),
            server_name: process.server_name.clone(),
            status: process.status.as_str().to_owned(),
            health_status: health(process.health_status).to_owned(),
            performance_metrics: process
                .performance_metrics
                .as_ref()
                .and_then(|metrics| serde_json::to_value(metrics).ok()),
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
                performance_metrics: Some(json!({
                    "total_requests": metric.message_count,
                    "error_count": metric.error_count,
                })),
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(100 * SECOND);

    fn told(text: &str) -> Vec<ReportedProcess> {
        reported(&ReceivedHeartbeat::decode(text.as_bytes()).unwrap(), NOW)
    }

    #[test]
    fn a_process_that_two_lists_name_counts_once_with_what_the_richer_one_says() {
        let heartbeat = r#"{"status":"active","system_metrics":{"cpu_usage_percent":1,
            "memory_usage_mb":2,"disk_usage_percent":3,"uptime_seconds":4},
            "processes":[
              {"id":"a","server_name":"a","status":"starting","health_status":"unknown"},
              {"id":"b","server_name":"b","status":"running","health_status":"unhealthy"}],
            "processes_by_team":{"t":[{"installation_id":"i","installation_name":"a",
              "status":"terminating","health_status":"healthy","pid":7,"uptime_seconds":40,
              "message_count":5,"error_count":1,"last_activity":"2026-01-01T00:00:00.000Z"}]}}"#;
        let told = told(heartbeat);
        let [a, b] = &told[..] else { panic!("{told:?}") };
        assert_eq!((a.id.as_str(), a.status.as_str(), a.pid), ("a", "stopping", Some(7)));
        assert_eq!(a.started_at, Some(Timestamp(60 * SECOND)));
        assert_eq!(a.team_id, Some(TeamId::from("t")));
        assert_eq!(a.performance_metrics, Some(json!({"total_requests": 5, "error_count": 1})));
        assert_eq!((b.status.as_str(), b.health_status.as_str()), ("running", "unhealthy"));
    }

    #[test]
    fn lists_that_cannot_be_read_name_nothing() {
        let heartbeat = r#"{"status":"active","system_metrics":{"cpu_usage_percent":1,
            "memory_usage_mb":2,"disk_usage_percent":3,"uptime_seconds":4},"processes":[],
            "processes_by_team":{"t":"?"},"mcp_status":7}"#;
        assert_eq!(told(heartbeat), []);
    }
}
