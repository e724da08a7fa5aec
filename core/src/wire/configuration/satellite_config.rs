//! `satellite_config`: a satellite's own settings, as the Backend would have them. A peer's larger
//! limits never raise the operator's.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::super::registration::SatelliteType;
use crate::limits;
use crate::time::SECOND;
use crate::wire::lenient;

/// A satellite's own settings. Every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SatelliteConfig {
    /// How often to poll, until the Backend guides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling_intervals: Option<PollingIntervals>,
    /// How much servers may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// What teams may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_settings: Option<TeamSettings>,
    /// What to log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// How to call out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

impl SatelliteConfig {
    /// What our Backend sends to a satellite of this type.
    pub fn standard(satellite_type: SatelliteType) -> Self {
        let one = |text: &str| Vec::from([String::from(text)]);
        SatelliteConfig {
            polling_intervals: Some(PollingIntervals {
                normal: Some(limits::POLL_NORMAL_MS / SECOND),
                immediate: Some(limits::POLL_IMMEDIATE_MS / SECOND),
                error_backoff_max: Some(limits::BACKOFF_MAX_MS / SECOND),
            }),
            resource_limits: Some(ResourceLimits {
                max_processes: Some(50),
                max_memory_per_process: Some(String::from("100MB")),
                max_cpu_percent: Some(10),
                idle_timeout_seconds: Some(300),
            }),
            team_settings: Some(TeamSettings {
                allowed_servers: one("*"),
                security_policies: Vec::new(),
                isolation_level: Some(String::from(match satellite_type {
                    SatelliteType::Global => "process",
                    SatelliteType::Team => "none",
                })),
            }),
            logging: Some(Logging {
                level: Some(String::from("info")),
                enable_audit: Some(true),
                retention_days: Some(30),
            }),
            network: Some(Network {
                timeout_seconds: Some(30),
                retry_attempts: Some(3),
                proxy_url: None,
            }),
        }
    }
}

/// How often to poll, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollingIntervals {
    /// Ordinarily.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub normal: Option<u64>,
    /// While something urgent waits.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub immediate: Option<u64>,
    /// At most, after failures.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub error_backoff_max: Option<u64>,
}

/// How much servers may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceLimits {
    /// Processes of the satellite.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub max_processes: Option<u64>,
    /// Memory of one process, as text such as `100MB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_per_process: Option<String>,
    /// Share of one processor for one process.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub max_cpu_percent: Option<u64>,
    /// Idle time after which a process is ended (addition).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub idle_timeout_seconds: Option<u64>,
}

impl ResourceLimits {
    /// The memory of one process in bytes, if it is stated and can be read. The units are powers
    /// of 1024, as those of control groups.
    pub fn memory_bytes(&self) -> Option<u64> {
        let text = self.max_memory_per_process.as_deref()?.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let factor = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "K" | "KB" | "KIB" => 1 << 10,
            "M" | "MB" | "MIB" => 1 << 20,
            "G" | "GB" | "GIB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor)
    }
}

/// What teams may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TeamSettings {
    /// Servers that may run; `*` means all.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub allowed_servers: Vec<String>,
    /// Reserved by the contract.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub security_policies: Vec<serde_json::Value>,
    /// `none`, `process` or `container`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation_level: Option<String>,
}

/// What to log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Logging {
    /// From which level on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whether to log who did what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_audit: Option<bool>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub retention_days: Option<u64>,
}

/// How to call out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Network {
    /// How long a request may take.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub timeout_seconds: Option<u64>,
    /// How often to try.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub retry_attempts: Option<u64>,
    /// Through which proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
}
