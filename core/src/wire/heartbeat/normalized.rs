//! `normalized_data`: teams, servers and tools, each once and referring to each other by name, for
//! satellites with many instances.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{InstallationId, TeamId};
use crate::time::IsoTime;
use crate::view::{HealthStatus, Transport};

/// A satellite's instances in normal form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedData {
    /// When this was true.
    pub timestamp: IsoTime,
    /// The satellite.
    pub satellite_info: NormalizedInfo,
    /// Counts.
    pub summary: NormalizedSummary,
    /// Teams, by `{team_slug}_{team_id}`.
    pub teams: BTreeMap<String, NormalizedTeam>,
    /// Instances, by the key of the configuration.
    pub servers: BTreeMap<String, NormalizedServer>,
    /// Tools, by `{server_slug}:{tool}`.
    pub tools: BTreeMap<String, NormalizedTool>,
}

/// The satellite of a [`NormalizedData`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedInfo {
    /// Its id.
    pub satellite_id: String,
    /// Its version.
    pub version: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
}

/// Counts of a [`NormalizedData`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedSummary {
    /// Teams.
    pub total_teams: u64,
    /// Instances.
    pub total_servers: u64,
    /// Tools.
    pub total_tools: u64,
    /// Instances with a process or a connection.
    pub running_servers: u64,
    /// Instances with a good health check.
    pub healthy_servers: u64,
}

/// A team of a [`NormalizedData`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedTeam {
    /// Its id.
    pub team_id: TeamId,
    /// Its name in keys.
    pub team_slug: String,
    /// Its instances: keys of `servers`.
    pub server_ids: Vec<String>,
}

/// An instance of a [`NormalizedData`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedServer {
    /// The key of the configuration.
    pub installation_name: String,
    /// Its installation.
    pub installation_id: InstallationId,
    /// Its server.
    pub server_slug: String,
    /// How it is spoken to.
    pub transport_type: Transport,
    /// Its process's status, or `configured` without one.
    pub status: String,
    /// Its last health check.
    pub health_status: HealthStatus,
    /// Its tools: keys of `tools`.
    pub tool_ids: Vec<String>,
    /// Milliseconds since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Messages in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_count: Option<u64>,
    /// Errors in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_count: Option<u64>,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A tool of a [`NormalizedData`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NormalizedTool {
    /// `{server_slug}:{tool}`
    pub namespaced_name: String,
    /// The tool's own name.
    pub original_name: String,
    /// How its server is spoken to.
    pub transport: Transport,
    /// Its description.
    pub description: String,
}
