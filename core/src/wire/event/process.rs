//! Data of events about processes.
//!
//! `server_id` holds the installation's id and `server_slug` the key of the configuration: that is
//! what Backends have always been sent under these names.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::kinds::Bounds;
use crate::id::{InstallationId, TeamId, UserId};
use crate::time::IsoTime;
use crate::view::Transport;
use crate::wire::lenient;

/// `mcp.server.started`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerStarted {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id; 0 for a server without one.
    #[serde(deserialize_with = "lenient::whole")]
    pub process_id: u64,
    /// How it is spoken to.
    pub transport: Transport,
    /// Its tools, as far as they are known.
    #[serde(deserialize_with = "lenient::whole")]
    pub tool_count: u64,
    /// From the start to the end of the handshake.
    #[serde(deserialize_with = "lenient::whole")]
    pub spawn_duration_ms: u64,
}

impl Bounds for ServerStarted {}

/// `mcp.server.crashed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerCrashed {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id.
    #[serde(deserialize_with = "lenient::whole")]
    pub process_id: u64,
    /// Its exit code; -1 if a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it, or `none`.
    pub signal: String,
    /// How long it lived.
    #[serde(deserialize_with = "lenient::whole")]
    pub uptime_seconds: u64,
    /// Crashes within the window, this one included.
    #[serde(deserialize_with = "lenient::whole")]
    pub crash_count: u64,
    /// Whether it is started again.
    pub will_restart: bool,
}

impl Bounds for ServerCrashed {
    fn complaint(&self) -> Option<&'static str> {
        (self.crash_count == 0).then_some("data: `crash_count`: must be at least 1")
    }
}

/// `mcp.server.restarted`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerRestarted {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id of the one that ended.
    #[serde(deserialize_with = "lenient::whole")]
    pub old_process_id: u64,
    /// The process id of the one that serves.
    #[serde(deserialize_with = "lenient::whole")]
    pub new_process_id: u64,
    /// Why.
    pub restart_reason: RestartReason,
    /// Which restart within the window it is, from 1.
    #[serde(deserialize_with = "lenient::whole")]
    pub attempt_number: u64,
}

impl Bounds for ServerRestarted {}

/// Why a process was restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RestartReason {
    /// It ended unasked.
    Crash,
    /// It no longer answered.
    HealthCheckFailed,
}

/// `mcp.server.dormant`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerDormant {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id of the one that was ended.
    #[serde(deserialize_with = "lenient::whole")]
    pub process_id: u64,
    /// How long nobody had used it.
    #[serde(deserialize_with = "lenient::whole")]
    pub idle_duration_seconds: u64,
    /// When it was last used.
    pub last_activity_at: IsoTime,
}

impl Bounds for ServerDormant {}

/// `mcp.server.respawned`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerRespawned {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id.
    #[serde(deserialize_with = "lenient::whole")]
    pub process_id: u64,
    /// How long it had slept.
    #[serde(deserialize_with = "lenient::whole")]
    pub dormant_duration_seconds: u64,
    /// From the start to the end of the handshake.
    #[serde(deserialize_with = "lenient::whole")]
    pub respawn_duration_ms: u64,
}

impl Bounds for ServerRespawned {}

/// `mcp.server.permanently_failed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerPermanentlyFailed {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// The team.
    pub team_id: TeamId,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Crashes within the window.
    #[serde(deserialize_with = "lenient::whole")]
    pub total_crashes: u64,
    /// How the last one ended, for people.
    pub last_error: String,
    /// When.
    pub failed_at: IsoTime,
}

impl Bounds for ServerPermanentlyFailed {}

/// `mcp.server.stopped`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerStopped {
    /// The installation.
    pub server_id: InstallationId,
    /// The key of the configuration.
    pub server_name: String,
    /// The team.
    pub team_id: TeamId,
    /// The user (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The process id of the one that ended (addition).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub process_id: Option<u64>,
    /// Why, for people.
    pub reason: String,
}

impl Bounds for ServerStopped {}
