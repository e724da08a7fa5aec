//! Pairing: `POST /api/satellites/register`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::capability;
use crate::id::{SatelliteId, TeamId};
use crate::isolation::Level;
use crate::limits;
use crate::secret::Secret;

/// Whom a satellite serves. The registration token decides it, never the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SatelliteType {
    /// Every team.
    Global,
    /// One team.
    Team,
}

impl SatelliteType {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            SatelliteType::Global => "global",
            SatelliteType::Team => "team",
        }
    }

    /// Reads the wire's spelling.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "global" => Some(SatelliteType::Global),
            "team" => Some(SatelliteType::Team),
            _ => None,
        }
    }
}

/// The body of a registration. The registration token travels as bearer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegistrationRequest {
    /// The satellite's name: 10 to 32 of `a-z0-9_-`.
    pub name: String,
    /// The transports it serves, and the additions it offers ([`capability::ADDITIONS`]).
    #[serde(default = "transports")]
    pub capabilities: Vec<String>,
    /// Its public base URL, without a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellite_url: Option<String>,
    /// Where it stands; an administrator's matter, read but not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What machine it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_info: Option<SystemInfo>,
    /// How far it isolates processes; what another version says otherwise is not read.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::known"
    )]
    pub isolation: Option<Level>,
}

/// The machine a satellite runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemInfo {
    /// Operating system and release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Processor architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What runs the satellite. Older peers ran on Node, and their Backends store this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_version: Option<String>,
    /// Memory in MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub memory_mb: Option<u64>,
}

impl From<&limits::SystemInfo> for SystemInfo {
    fn from(system: &limits::SystemInfo) -> Self {
        SystemInfo {
            os: Some(system.os.clone()),
            arch: Some(system.arch.clone()),
            node_version: Some(String::from(concat!("satellite-", env!("CARGO_PKG_VERSION")))),
            memory_mb: Some(system.memory_mb),
        }
    }
}

/// The reply to a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegistrationReply {
    /// Always `true`.
    #[serde(default = "super::yes")]
    pub success: bool,
    /// The satellite, with its key.
    pub satellite: RegisteredSatellite,
    /// For people; differs for a first and a repeated registration.
    #[serde(default)]
    pub message: String,
}

/// The satellite in a [`RegistrationReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegisteredSatellite {
    /// Its id; the same for a repeated registration.
    pub id: SatelliteId,
    /// Its name.
    pub name: String,
    /// Whom it serves.
    pub satellite_type: SatelliteType,
    /// The team it serves; a global satellite has none.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// Its status, `inactive` until its first heartbeat.
    #[serde(default)]
    pub status: String,
    /// The key of every later call. It is shown here only.
    pub api_key: Secret,
}

/// The reply of `GET /api/satellites/register/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegistrationStatus {
    /// Always `token_based`.
    pub registration_method: String,
    /// Always `true`.
    pub token_required: bool,
    /// The prefixes of registration tokens.
    pub supported_prefixes: Vec<String>,
    /// For people.
    pub instructions: String,
}

fn transports() -> Vec<String> {
    capability::TRANSPORTS.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    #[test]
    fn a_request_has_the_fields_of_the_contract() {
        let system =
            limits::SystemInfo { os: "linux 6.1".into(), arch: "x86_64".into(), memory_mb: 2_048 };
        let request = RegistrationRequest {
            name: "edge-satellite-01".into(),
            capabilities: transports(),
            satellite_url: None,
            region: None,
            isolation: None,
            system_info: Some(SystemInfo { node_version: None, ..SystemInfo::from(&system) }),
        };
        assert_eq!(
            core::str::from_utf8(&encode(&request)).unwrap(),
            concat!(
                r#"{"name":"edge-satellite-01","capabilities":["stdio","http","sse"],"#,
                r#""system_info":{"os":"linux 6.1","arch":"x86_64","memory_mb":2048}}"#
            )
        );
    }

    #[test]
    fn a_name_is_all_that_a_request_needs() {
        let request: RegistrationRequest =
            decode("registration", br#"{"name":"edge-satellite-01","satellite_type":"global"}"#)
                .unwrap();
        assert_eq!(request.capabilities, capability::TRANSPORTS);
        assert!(decode::<RegistrationRequest>("registration", b"{}").is_err());
    }

    #[test]
    fn a_reply_of_the_field_is_read_and_its_key_is_not_shown() {
        let reply: RegistrationReply = decode(
            "registration reply",
            br#"{"success":true,"satellite":{"id":"sat_1","name":"edge-satellite-01",
                "satellite_type":"global","team_id":null,"status":"inactive",
                "api_key":"deploystack_satellite_api_global_x"},"message":"welcome"}"#,
        )
        .unwrap();
        assert_eq!(reply.satellite.team_id, None);
        assert_eq!(reply.satellite.satellite_type, SatelliteType::Global);
        assert!(!alloc::format!("{reply:?}").contains("deploystack_satellite_api"));
    }
}
