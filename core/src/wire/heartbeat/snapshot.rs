//! `mcp_status`: what runs, without descriptions and schemas.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{InstallationId, InstanceId, TeamId, UserId};
use crate::view::{HealthStatus, ProcessStatus, Transport};

/// What runs on a satellite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct McpStatusSnapshot {
    /// Counts.
    pub summary: McpSummary,
    /// Every instance but the dormant ones, which are only counted.
    pub instances: Vec<InstanceSnapshot>,
    /// Every tool's path, up to a bound.
    pub tool_names: Vec<ToolName>,
    /// Servers by status.
    pub server_status_counts: ServerStatusCounts,
}

/// Counts of a [`McpStatusSnapshot`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct McpSummary {
    /// Instances listed.
    pub total_instances: u64,
    /// Those of them that are `running`.
    pub active_instances: u64,
    /// Instances that sleep without a process.
    pub dormant_instances: u64,
    /// Tools.
    pub total_tools: u64,
    /// Servers that are `online`.
    pub online_servers: u64,
    /// Servers that are `offline`.
    pub offline_servers: u64,
    /// Servers that are in `error`.
    pub error_servers: u64,
}

/// An instance of a [`McpStatusSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceSnapshot {
    /// Its installation.
    pub installation_id: InstallationId,
    /// The key of the configuration: `{server_slug}-{team_slug}-{user_id}-{installation_id}`.
    pub installation_name: String,
    /// Its id at the Backend; `unknown` if the configuration named none.
    pub instance_id: InstanceId,
    /// Its user.
    pub user_id: UserId,
    /// Its team.
    pub team_id: TeamId,
    /// Its process's status; a frozen one is `running`.
    pub status: ProcessStatus,
    /// How it is spoken to.
    pub transport_type: Transport,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Messages in all.
    pub message_count: u64,
    /// Errors in all.
    pub error_count: u64,
    /// Its last health check.
    pub health_status: HealthStatus,
    /// Its process id, if it has a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A tool of a [`McpStatusSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolName {
    /// `{server_slug}:{tool}`
    pub namespaced_name: String,
    /// Its server.
    pub server_slug: String,
    /// How the server is spoken to.
    pub transport: Transport,
}

/// Servers by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerStatusCounts {
    /// `online`
    pub online: u64,
    /// `offline`
    pub offline: u64,
    /// `error`
    pub error: u64,
    /// `requires_reauth`
    pub requires_reauth: u64,
}
