//! A heartbeat as the Backend reads it: what it only stores stays as it came.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ProcessInfo, StdioProcessMetric, SystemMetrics};
use crate::id::TeamId;
use crate::view::SatelliteStatus;
use crate::wire::decode;

/// A heartbeat of any satellite, ours or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedHeartbeat {
    /// How the satellite is.
    pub status: SatelliteStatus,
    /// How its machine is.
    pub system_metrics: SystemMetrics,
    /// HTTP and SSE servers.
    #[serde(default, deserialize_with = "crate::wire::lenient::or_default")]
    pub processes: Vec<ProcessInfo>,
    /// Stdio processes by team, as they came.
    #[serde(default)]
    pub processes_by_team: Option<Box<RawValue>>,
    /// The normal form, as it came.
    #[serde(default)]
    pub normalized_data: Option<Box<RawValue>>,
    /// What runs, as it came; it is stored as this text, and nothing of it is checked.
    #[serde(default)]
    pub mcp_status: Option<Box<RawValue>>,
    /// Errors since the last heartbeat that was answered by 2xx.
    #[serde(default, deserialize_with = "crate::wire::lenient::hint")]
    pub error_count: Option<u64>,
    /// The satellite's version.
    #[serde(default)]
    pub version: Option<String>,
    /// The satellite's public URL. Empty asks the Backend to find out, which it can't.
    #[serde(default)]
    pub satellite_url: Option<String>,
    /// The additions the satellite offers; a peer without them sends none.
    #[serde(default, deserialize_with = "crate::wire::lenient::or_default")]
    pub capabilities: Vec<String>,
    /// How long the Backend took for its last answer.
    #[serde(default, deserialize_with = "crate::wire::lenient::hint")]
    pub response_time_ms: Option<u64>,
    /// Why the status is not `active`, one phrase each.
    #[serde(default, deserialize_with = "crate::wire::lenient::or_default")]
    pub status_reasons: Vec<String>,
}

impl ReceivedHeartbeat {
    /// Reads a heartbeat and checks its bounds.
    ///
    /// # Errors
    ///
    /// One phrase that names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let heartbeat: ReceivedHeartbeat = decode("heartbeat", bytes)?;
        let metrics = &heartbeat.system_metrics;
        for (name, value, most) in [
            ("cpu_usage_percent", metrics.cpu_usage_percent, 100.0),
            ("memory_usage_mb", metrics.memory_usage_mb, f64::MAX),
            ("disk_usage_percent", metrics.disk_usage_percent, 100.0),
            ("uptime_seconds", metrics.uptime_seconds, f64::MAX),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(alloc::format!(
                    "heartbeat: `system_metrics.{name}`: {value} is out of range"
                ));
            }
        }
        Ok(heartbeat)
    }

    /// The stdio processes by team; none where they cannot be read, since older Backends never
    /// read them and so never found fault with them.
    pub fn stdio_processes(&self) -> BTreeMap<TeamId, Vec<StdioProcessMetric>> {
        self.processes_by_team
            .as_ref()
            .and_then(|raw| decode("processes_by_team", raw.get().as_bytes()).ok())
            .unwrap_or_default()
    }
}
