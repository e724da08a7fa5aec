//! `POST …/heartbeat`: how a satellite is, every 30 seconds.

mod normalized;
mod received;
mod snapshot;

pub use normalized::{
    NormalizedData, NormalizedInfo, NormalizedServer, NormalizedSummary, NormalizedTeam,
    NormalizedTool,
};
pub use received::ReceivedHeartbeat;
pub use snapshot::{InstanceSnapshot, McpStatusSnapshot, McpSummary, ServerStatusCounts, ToolName};

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::cgroup::Limit;
use crate::id::{InstallationId, TeamId};
use crate::isolation::Level;
use crate::time::IsoTime;
use crate::view::{HealthStatus, ProcessStatus, SatelliteStatus};

/// A heartbeat, as a satellite sends it. The Backend reads it as a [`ReceivedHeartbeat`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// How the satellite is.
    pub status: SatelliteStatus,
    /// How its machine is.
    pub system_metrics: SystemMetrics,
    /// HTTP and SSE servers.
    #[serde(default)]
    pub processes: Vec<ProcessInfo>,
    /// Stdio processes, by team.
    #[serde(default)]
    pub processes_by_team: BTreeMap<TeamId, Vec<StdioProcessMetric>>,
    /// The same in normal form, where there are many instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized_data: Option<NormalizedData>,
    /// What runs; missing where there is no instance at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_status: Option<McpStatusSnapshot>,
    /// Errors since the last heartbeat that was answered by 2xx.
    #[serde(default)]
    pub error_count: u64,
    /// The satellite's version.
    #[serde(default)]
    pub version: String,
    /// The satellite's public URL, until the first heartbeat that was answered by 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellite_url: Option<String>,
    /// The additions the satellite offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How long the Backend took for its last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<u64>,
    /// How far processes are isolated; what another version says otherwise is not read.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::known"
    )]
    pub isolation: Option<Level>,
    /// Why the status is not `active`, one phrase each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status_reasons: Vec<String>,
}

/// How the satellite's machine is. A peer whose measurement failed writes `null`; that reads as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemMetrics {
    /// Busy share of all processors since the last heartbeat, 0..=100.
    #[serde(
        serialize_with = "super::lenient::finite",
        deserialize_with = "super::lenient::or_default"
    )]
    pub cpu_usage_percent: f64,
    /// The daemon's resident memory in MiB.
    #[serde(
        serialize_with = "super::lenient::finite",
        deserialize_with = "super::lenient::or_default"
    )]
    pub memory_usage_mb: f64,
    /// Used share of the file system of the state directory, 0..=100.
    #[serde(
        default,
        serialize_with = "super::lenient::finite",
        deserialize_with = "super::lenient::or_default"
    )]
    pub disk_usage_percent: f64,
    /// Seconds since the daemon started.
    #[serde(
        default,
        serialize_with = "super::lenient::finite",
        deserialize_with = "super::lenient::or_default"
    )]
    pub uptime_seconds: f64,
    /// Bytes received by the machine since it started.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub network_rx_bytes: Option<u64>,
    /// Bytes sent by the machine since it started.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub network_tx_bytes: Option<u64>,
}

/// A server reached by HTTP or SSE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessInfo {
    /// Its id, stable for the satellite.
    pub id: String,
    /// Its name.
    pub server_name: String,
    /// Its state.
    pub status: ProxyStatus,
    /// Its last health check.
    pub health_status: HealthStatus,
    /// How it fares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_metrics: Option<PerformanceMetrics>,
}

/// The state of a server reached by HTTP or SSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProxyStatus {
    /// Configured, not reached yet.
    Pending,
    /// Being reached.
    Starting,
    /// Serving.
    Running,
    /// Being let go.
    Stopping,
    /// Let go.
    Stopped,
    /// Out of reach.
    Failed,
}

impl ProxyStatus {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyStatus::Pending => "pending",
            ProxyStatus::Starting => "starting",
            ProxyStatus::Running => "running",
            ProxyStatus::Stopping => "stopping",
            ProxyStatus::Stopped => "stopped",
            ProxyStatus::Failed => "failed",
        }
    }
}

/// How a server reached by HTTP or SSE fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PerformanceMetrics {
    /// Requests in all.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub total_requests: Option<u64>,
    /// Mean time of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_response_time_ms: Option<f64>,
    /// Errors in all.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub error_count: Option<u64>,
    /// Memory in MiB, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_usage_mb: Option<f64>,
}

/// A stdio process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StdioProcessMetric {
    /// Its installation.
    pub installation_id: InstallationId,
    /// The key of the configuration: `{server_slug}-{team_slug}-{user_id}-{installation_id}`.
    pub installation_name: String,
    /// Its state.
    pub status: ProcessStatus,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Seconds since it started.
    #[serde(deserialize_with = "super::lenient::whole")]
    pub uptime_seconds: u64,
    /// Messages in all.
    #[serde(deserialize_with = "super::lenient::whole")]
    pub message_count: u64,
    /// Errors in all.
    #[serde(deserialize_with = "super::lenient::whole")]
    pub error_count: u64,
    /// Its last health check.
    pub health_status: HealthStatus,
    /// When it was last used.
    pub last_activity: IsoTime,
    /// What it uses (addition).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::known"
    )]
    pub resources: Option<ProcessResources>,
}

/// What a process, with everything it started, uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessResources {
    /// Processor time since it started, in milliseconds.
    pub cpu_ms: u64,
    /// The share of one processor, in hundredths, over the last half minute that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
    /// Memory in bytes, without what can be taken back.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
    /// How long its limit held it back, in milliseconds.
    pub throttled_ms: u64,
    /// Periods in which its limit held it back.
    pub throttled_periods: u64,
    /// The limits that it is near.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near_limits: Vec<Limit>,
}

/// The reply to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeartbeatReply {
    /// Always `true`.
    #[serde(default = "super::yes")]
    pub success: bool,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// The additions the Backend grants, of those offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// The reply of `GET …/status`: a satellite in brief.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusReply {
    /// The satellite.
    pub satellite: StatusSatellite,
    /// Its processes.
    pub processes: StatusProcesses,
    /// Its machine, from the last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_metrics: Option<serde_json::Value>,
}

/// The satellite in a [`StatusReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusSatellite {
    /// Its id.
    pub id: crate::id::SatelliteId,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// When it last sent a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<IsoTime>,
}

/// Counts of processes in a [`StatusReply`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusProcesses {
    /// In all.
    pub total: u64,
    /// With a good health check.
    pub healthy: u64,
    /// With a bad one.
    pub unhealthy: u64,
}

#[cfg(test)]
mod tests;
