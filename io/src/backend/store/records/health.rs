//! Heartbeats, and the processes they tell of.

use satellite_core::backend::processes::ReportedProcess;
use satellite_core::id::{InstallationId, SatelliteId, TeamId};
use satellite_core::time::{IsoTime, Timestamp};
use serde::Serialize;

use super::JsonText;

/// A heartbeat, ready to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatRecord {
    /// The row.
    pub heartbeat: Heartbeat,
    /// The satellite's MCP status; absent clears the stored one.
    pub mcp_status: Option<JsonText>,
    /// The satellite's public URL, where the heartbeat names one.
    pub satellite_url: Option<String>,
    /// Every process the heartbeat tells of, once each.
    pub processes: Vec<ReportedProcess>,
    /// Whether `processes` is the whole list, so that what it leaves out has ended.
    pub whole: bool,
}

/// A row of `satelliteHeartbeats`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heartbeat {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub satellite_id: SatelliteId,
    /// `active`, `degraded` or `error`.
    pub status: String,
    /// As they arrived.
    pub system_metrics: JsonText,
    /// Processes told of.
    pub process_count: u32,
    /// Those of them that are healthy.
    pub healthy_process_count: u32,
    /// Errors since the last one.
    pub error_count: u64,
    /// The Backend's round-trip time as the satellite sees it, in milliseconds.
    pub response_time_ms: Option<u64>,
    /// How long the satellite runs, in seconds.
    pub uptime_seconds: Option<u64>,
    /// The satellite's version.
    pub version: Option<String>,
    /// When it arrived.
    pub timestamp: IsoTime,
}

/// A row of `satelliteProcesses`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Process {
    /// Its id: unique for its satellite.
    pub id: String,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The installation it belongs to.
    pub installation_id: Option<InstallationId>,
    /// Its server's name.
    pub server_name: String,
    /// Its process id.
    pub process_pid: Option<u32>,
    /// `pending`, `starting`, `running`, `stopping`, `stopped` or `failed`.
    pub status: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub health_status: String,
    /// What it measured of itself.
    pub performance_metrics: Option<JsonText>,
    /// The team it belongs to.
    pub team_id: Option<TeamId>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// When it started.
    pub started_at: Option<IsoTime>,
    /// When it ended.
    pub stopped_at: Option<IsoTime>,
    /// When it was first told of.
    pub created_at: IsoTime,
    /// When it was last told of.
    pub updated_at: IsoTime,
}

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Heartbeats kept of a global satellite.
    pub global_heartbeats: u32,
    /// Heartbeats kept of a team's satellite.
    pub team_heartbeats: u32,
    /// Log lines kept of one user's instance, in each of the two log tables.
    pub instance_logs: u32,
    /// Rows older than this are removed: ended commands, events, usage logs, stopped processes, spent
    /// tokens and retired keys.
    pub history_before: Timestamp,
}

/// How many rows a retention run removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Heartbeats.
    pub heartbeats: u64,
    /// Log lines of either kind.
    pub logs: u64,
    /// Everything else.
    pub history: u64,
}
