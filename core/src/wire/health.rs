//! `GET /api/health`: whether the Backend answers. Only the status code matters to a satellite.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::time::IsoTime;

/// The Backend's answer to a health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// `ok` while the Backend's storage answers.
    #[serde(default)]
    pub status: String,
    /// The Backend's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<IsoTime>,
    /// The Backend's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What `GET /api/status/backend` of a satellite answers, always with 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackendStatus {
    /// The Backend's URL.
    pub backend_url: String,
    /// Whether it answered.
    pub connection_status: ConnectionStatus,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<u64>,
    /// When that was tried.
    pub last_check: IsoTime,
    /// Why it did not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// The result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConnectionStatus {
    /// It answered with 2xx.
    Connected,
    /// It could not be reached.
    Disconnected,
    /// It answered with an error.
    Error,
}
