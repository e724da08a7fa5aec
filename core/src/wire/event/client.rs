//! Data of events about MCP clients.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::kinds::Bounds;
use crate::id::{TeamId, UserId};
use crate::time::IsoTime;
use crate::wire::lenient;

/// `mcp.client.activity`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientActivity {
    /// The user.
    pub user_id: UserId,
    /// The team.
    pub team_id: TeamId,
    /// The client, as the token names it.
    pub oauth_client_id: String,
    /// The client, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Its `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Requests since the last such event.
    #[serde(deserialize_with = "lenient::whole")]
    pub request_count: u64,
    /// Those of them that called a tool.
    #[serde(deserialize_with = "lenient::whole")]
    pub tool_call_count: u64,
    /// When the last of them came.
    pub last_activity_at: IsoTime,
}

impl Bounds for ClientActivity {
    fn complaint(&self) -> Option<&'static str> {
        (self.request_count == 0).then_some("data: `request_count`: must be at least 1")
    }
}

/// `mcp.client.connected`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientConnected {
    /// Its session.
    pub session_id: String,
    /// `vscode`, `cursor`, `claude` or `unknown`.
    pub client_type: String,
    /// Its `User-Agent`.
    pub user_agent: String,
    /// The team.
    pub team_id: TeamId,
    /// `sse` or `http`.
    pub transport: String,
    /// Its address.
    pub ip_address: String,
}

impl Bounds for ClientConnected {}

/// `mcp.client.disconnected`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientDisconnected {
    /// Its session.
    pub session_id: String,
    /// The team.
    pub team_id: TeamId,
    /// How long the session lasted.
    #[serde(deserialize_with = "lenient::whole")]
    pub connection_duration_seconds: u64,
    /// Tools called in it.
    #[serde(deserialize_with = "lenient::whole")]
    pub tool_execution_count: u64,
    /// Why it ended.
    pub disconnect_reason: DisconnectReason,
}

impl Bounds for ClientDisconnected {}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisconnectReason {
    /// The client ended it.
    ClientClose,
    /// There was no traffic for too long.
    Timeout,
    /// Something failed.
    Error,
}
