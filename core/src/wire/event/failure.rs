//! Data of events about what went wrong.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::kinds::Bounds;
use crate::id::{InstallationId, TeamId, UserId};
use crate::wire::lenient;

/// `config.error`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigError {
    /// What kind of failure.
    pub error_type: ConfigErrorType,
    /// What happened, for people.
    pub error_message: String,
    /// The status code, if there was an answer. `null` if not.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// Seconds until the next attempt.
    #[serde(deserialize_with = "lenient::whole")]
    pub retry_in: u64,
}

impl Bounds for ConfigError {}

/// Why a configuration could not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConfigErrorType {
    /// The Backend could not be reached.
    Network,
    /// It refused the key.
    Auth,
    /// It failed, or its answer could not be read.
    ServerError,
}

/// `security.auth.failed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecurityAuthFailed {
    /// The team, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// The client, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// Refusals before this one that were too many to be told one by one (addition).
    #[serde(
        default,
        skip_serializing_if = "lenient::is_zero",
        deserialize_with = "lenient::whole"
    )]
    pub suppressed_count: u64,
}

impl Bounds for SecurityAuthFailed {}

/// `security.credentials.accessed` (addition): values that a team or a user gave in secret were
/// handed to a server. It has their names, and has no place for a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CredentialsAccessed {
    /// The team.
    pub team_id: TeamId,
    /// The user.
    pub user_id: UserId,
    /// The installation.
    pub installation_id: InstallationId,
    /// The key of the configuration.
    pub server_slug: String,
    /// Which of the instance's processes or conversations, counted from 1.
    #[serde(deserialize_with = "lenient::whole")]
    pub incarnation: u64,
    /// Variables in its process's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Headers of the requests to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Parameters in the query of its address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_parameters: Vec<String>,
    /// Whether requests to it bear the user's access token.
    #[serde(default)]
    pub access_token: bool,
}

impl Bounds for CredentialsAccessed {}

/// `resource.limit.exceeded`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitExceeded {
    /// The team.
    pub team_id: TeamId,
    /// Of what there was too little.
    pub resource_type: ResourceType,
    /// How much was used.
    #[serde(serialize_with = "lenient::finite")]
    pub current_value: f64,
    /// How much may be.
    #[serde(serialize_with = "lenient::finite")]
    pub limit_value: f64,
    /// The installation, where it is one instance's limit (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<InstallationId>,
    /// The user of that instance (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The share of the limit that was used, in hundredths (addition).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub percent: Option<u64>,
    /// What happened and how to raise the limit, for people (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Bounds for LimitExceeded {}

/// What there can be too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ResourceType {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Processes.
    Processes,
}

/// `satellite.events.gap`: an addition, so that nothing is lost silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventsGap {
    /// The number of the first event lost.
    pub from_seq: u64,
    /// The number of the last event lost.
    pub to_seq: u64,
    /// How many were lost.
    pub count: u64,
    /// Why, for people.
    pub reason: String,
}

impl Bounds for EventsGap {
    fn complaint(&self) -> Option<&'static str> {
        (self.to_seq < self.from_seq).then_some("data: `to_seq`: must not be less than `from_seq`")
    }
}
