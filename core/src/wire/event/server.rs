//! Data of events about servers: status, logs, calls, tools, configuration.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kinds::Bounds;
use crate::id::{InstallationId, TeamId, UserId};
use crate::router::outcome::Outcome;
use crate::time::IsoTime;
use crate::view::InstanceStatus;
use crate::wire::lenient;

/// `mcp.server.status_changed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusChanged {
    /// The installation.
    pub installation_id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    pub user_id: UserId,
    /// The status it has from then on.
    pub status: InstanceStatus,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// When it changed.
    pub timestamp: IsoTime,
}

impl Bounds for StatusChanged {}

/// `mcp.server.logs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerLogs {
    /// The installation.
    pub installation_id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The lines, the oldest first.
    pub logs: Vec<LogEntry>,
}

impl Bounds for ServerLogs {}

/// A line of [`ServerLogs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogEntry {
    /// How much it matters.
    pub level: LogLevel,
    /// The line.
    pub message: String,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When it was written.
    pub timestamp: IsoTime,
}

/// How much a server's line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For whoever develops.
    Debug,
    /// Normal operation.
    Info,
    /// Look at it.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// `mcp.server.log_rate_limit_exceeded`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogRateLimitExceeded {
    /// The installation.
    pub installation_id: InstallationId,
    /// Lines dropped.
    #[serde(deserialize_with = "lenient::whole")]
    pub dropped_count: u64,
    /// Within how long.
    #[serde(deserialize_with = "lenient::whole")]
    pub time_window_seconds: u64,
    /// Lines allowed per second.
    #[serde(deserialize_with = "lenient::whole")]
    pub rate_limit: u64,
}

impl Bounds for LogRateLimitExceeded {}

/// `mcp.request.logs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestLogs {
    /// The installation.
    pub installation_id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// The calls, the oldest first.
    pub requests: Vec<RequestEntry>,
    /// Calls that were too many to be shown (addition).
    #[serde(
        default,
        skip_serializing_if = "lenient::is_zero",
        deserialize_with = "lenient::whole"
    )]
    pub omitted_count: u64,
}

impl Bounds for RequestLogs {}

/// A call of [`RequestLogs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestEntry {
    /// Who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The tool.
    pub tool_name: String,
    /// With what.
    #[serde(default)]
    pub tool_params: Value,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_response: Option<Value>,
    /// How long it took.
    #[serde(deserialize_with = "lenient::whole")]
    pub response_time_ms: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When it was made.
    pub timestamp: IsoTime,
}

/// `mcp.tools.discovered`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolsDiscovered {
    /// The installation.
    pub installation_id: InstallationId,
    /// The key of the configuration.
    pub installation_name: String,
    /// The team.
    pub team_id: TeamId,
    /// Whose instance offers them (addition: without it users overwrite each other's tools).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The server's name in tool paths.
    pub server_slug: String,
    /// How many there are.
    #[serde(deserialize_with = "lenient::whole")]
    pub tool_count: u64,
    /// The sum of their `token_count`.
    #[serde(deserialize_with = "lenient::whole")]
    pub total_tokens: u64,
    /// Each of them.
    pub tools: Vec<DiscoveredTool>,
    /// When they were asked for.
    pub discovered_at: IsoTime,
}

impl Bounds for ToolsDiscovered {}

/// A tool of [`ToolsDiscovered`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiscoveredTool {
    /// Its own name.
    pub tool_name: String,
    /// Its description.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// What it takes, as JSON Schema.
    #[serde(default)]
    pub input_schema: Value,
    /// About how many tokens its definition costs a model.
    #[serde(deserialize_with = "lenient::whole")]
    pub token_count: u64,
}

/// `mcp.tools.updated`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolsUpdated {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// Tools that were not there before.
    pub added_tools: Vec<String>,
    /// Tools that are there no more.
    pub removed_tools: Vec<String>,
    /// How many there are.
    #[serde(deserialize_with = "lenient::whole")]
    pub total_tools: u64,
}

impl Bounds for ToolsUpdated {}

/// `mcp.tool.executed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolExecuted {
    /// The tool.
    pub tool_name: String,
    /// The installation.
    pub server_id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// How long it took.
    #[serde(deserialize_with = "lenient::whole")]
    pub duration_ms: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Who called (addition; the contract's fields name no user).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// How the call ended (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Bounds for ToolExecuted {}

/// `config.refreshed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigRefreshed {
    /// A hash of the configuration, or its `ETag`.
    pub config_hash: String,
    /// Entries in it.
    #[serde(deserialize_with = "lenient::whole")]
    pub server_count: u64,
    /// Teams in it.
    #[serde(deserialize_with = "lenient::whole")]
    pub teams_count: u64,
    /// Whether it differs from the one before.
    pub change_detected: bool,
    /// How long fetching it took.
    #[serde(deserialize_with = "lenient::whole")]
    pub fetch_duration_ms: u64,
}

impl Bounds for ConfigRefreshed {}
