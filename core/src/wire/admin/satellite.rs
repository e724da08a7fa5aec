//! Satellites, their commands, heartbeats and events, as administrators see them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::id::{CommandId, EventId, SatelliteId, TeamId};
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::wire::command::{CommandStatus, CommandType, Priority};
use crate::wire::lenient;
use crate::wire::registration::SatelliteType;

/// A satellite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SatelliteRecord {
    /// Its id.
    pub id: SatelliteId,
    /// Its name.
    pub name: String,
    /// Whom it serves.
    pub satellite_type: SatelliteType,
    /// The team it serves; a global satellite has none.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// `active`, `inactive`, `maintenance` or `error`.
    pub status: String,
    /// What an administrator decided about it.
    #[serde(default)]
    pub admin_state: AdminState,
    /// The transports it serves, and the additions it offers.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Its public URL.
    #[serde(default)]
    pub satellite_url: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub region: Option<String>,
    /// When it last sent a heartbeat.
    #[serde(default)]
    pub last_heartbeat: Option<IsoTime>,
    /// What its last heartbeat said runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_status: Option<Value>,
    /// When it was first paired.
    pub created_at: IsoTime,
    /// When its record was last changed.
    pub updated_at: IsoTime,
}

/// What an administrator decided about a satellite. Heartbeats do not touch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AdminState {
    /// It works.
    #[default]
    Enabled,
    /// It is handed no commands within the window; without bounds, until this is changed.
    Maintenance {
        /// Its beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IsoTime>,
        /// Its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<IsoTime>,
    },
    /// It is handed no commands and counts as inactive.
    Disabled,
}

/// The body that changes a satellite; what is missing stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateSatellite {
    /// Its public URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellite_url: Option<String>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the administrator decides about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_state: Option<AdminState>,
}

/// `data` with a satellite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SatelliteData {
    /// The satellite.
    pub satellite: SatelliteRecord,
}

/// `data` with satellites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SatellitesData {
    /// The satellites.
    pub satellites: Vec<SatelliteRecord>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `data` with a satellite's next key. The one before opens nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SatelliteKeyData {
    /// The key. It is shown here only.
    pub api_key: Secret,
}

/// The body that sends a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateCommand {
    /// What to do; a type without a meaning is refused here, where a person can mend it.
    #[serde(deserialize_with = "known_type")]
    pub command_type: CommandType,
    /// How urgent it is; `normal` if missing, and refused if unknown.
    #[serde(default, deserialize_with = "known_priority")]
    pub priority: Priority,
    /// With what.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub payload: Map<String, Value>,
    /// Seconds after which it must no longer be begun, at most 366 days; 5 minutes if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 31_622_400)))]
    pub expires_in: Option<u64>,
    /// Ties it to others; made up if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

fn known_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CommandType, D::Error> {
    match CommandType::deserialize(deserializer)? {
        CommandType::Unknown(_) => Err(D::Error::custom(
            "must be one of configure, spawn, kill, restart, health_check, \
             invalidate_user_token_cache",
        )),
        known => Ok(known),
    }
}

fn known_priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
    Priority::from_wire(&String::deserialize(deserializer)?)
        .ok_or_else(|| D::Error::custom("must be one of immediate, high, normal, low"))
}

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandRecord {
    /// Its id.
    pub id: CommandId,
    /// The satellite it is for.
    pub satellite_id: SatelliteId,
    /// What to do.
    pub command_type: CommandType,
    /// How urgent it is.
    pub priority: Priority,
    /// With what.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub payload: Map<String, Value>,
    /// How far it got.
    pub status: CommandStatus,
    /// Ties it to others.
    pub correlation_id: String,
    /// The team it is about.
    #[serde(default)]
    pub target_team_id: Option<TeamId>,
    /// How often it was handed out.
    #[serde(default)]
    pub attempt: u64,
    /// What it brought.
    #[serde(default)]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default)]
    pub error_message: Option<String>,
    /// When its satellite began it, by the satellite's clock.
    #[serde(default)]
    pub started_at: Option<IsoTime>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// When it must no longer be begun.
    #[serde(default)]
    pub expires_at: Option<IsoTime>,
    /// When it was made.
    pub created_at: IsoTime,
    /// When it was last changed.
    pub updated_at: IsoTime,
}

/// `data` with a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandData {
    /// The command.
    pub command: CommandRecord,
}

/// `data` with commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandsData {
    /// The commands, the latest first.
    pub commands: Vec<CommandRecord>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeartbeatRecord {
    /// Its id.
    pub id: String,
    /// How the satellite was.
    pub status: String,
    /// How its machine was, as sent.
    pub system_metrics: Value,
    /// Processes it listed.
    pub process_count: u64,
    /// Those of them that were healthy.
    pub healthy_process_count: u64,
    /// Errors since the heartbeat before.
    pub error_count: u64,
    /// How long the Backend took for its last answer.
    #[serde(default)]
    pub response_time_ms: Option<u64>,
    /// Seconds since the satellite started.
    #[serde(default)]
    pub uptime_seconds: Option<u64>,
    /// The satellite's version.
    #[serde(default)]
    pub version: Option<String>,
    /// When it came.
    pub timestamp: IsoTime,
}

/// `data` with heartbeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeartbeatsData {
    /// The heartbeats, the latest first.
    pub heartbeats: Vec<HeartbeatRecord>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An event the Backend has stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventRecord {
    /// The Backend's own number: what `after` refers to.
    pub position: u64,
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub data: Value,
    /// Its id, if the satellite gave one.
    #[serde(default)]
    pub id: Option<EventId>,
    /// Its number, if the satellite gave one.
    #[serde(default)]
    pub seq: Option<u64>,
    /// When it happened.
    pub timestamp: IsoTime,
    /// When it came.
    pub received_at: IsoTime,
}

/// `data` with events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventsData {
    /// The events, the earliest first.
    pub events: Vec<EventRecord>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode;

    #[test]
    fn a_command_is_made_of_known_words_only() {
        let make = |json: &str| decode::<CreateCommand>("command", json.as_bytes());
        assert_eq!(make(r#"{"command_type":"kill"}"#).unwrap().priority, Priority::Normal);
        let error = make(r#"{"command_type":"kil"}"#).unwrap_err();
        assert!(error.contains("`command_type`: must be one of"), "{error}");
        let error = make(r#"{"command_type":"kill","priority":"urgent"}"#).unwrap_err();
        assert!(error.contains("`priority`: must be one of"), "{error}");
    }

    #[test]
    fn an_administrators_word_has_a_state_and_perhaps_a_window() {
        let read = |json: &str| decode::<AdminState>("state", json.as_bytes());
        assert_eq!(read(r#"{"state":"disabled"}"#), Ok(AdminState::Disabled));
        let open = AdminState::Maintenance { from: None, until: None };
        assert_eq!(read(r#"{"state":"maintenance"}"#), Ok(open));
        assert!(read(r#"{"state":"holiday"}"#).is_err());
    }
}
