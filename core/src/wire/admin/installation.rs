//! Installations: servers as teams have them, and their users' instances.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{InstallationId, InstanceId, SatelliteId, TeamId, UserId};
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::view::InstanceStatus;
use crate::wire::configuration::ServerSettings;
use crate::wire::lenient;

/// The body that installs a server for a team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateInstallation {
    /// The server.
    pub server_id: String,
    /// What the team calls it.
    pub installation_name: String,
    /// The satellite that serves it; every one that serves the team if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellite_id: Option<SatelliteId>,
    /// Arguments, in the order of the team's schema.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub team_args: Vec<Option<String>>,
    /// Environment variables.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub team_env: BTreeMap<String, Secret>,
    /// Headers.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub team_headers: BTreeMap<String, Secret>,
    /// Query parameters.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub team_url_query_params: BTreeMap<String, Secret>,
    /// Settings.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub settings: ServerSettings,
}

/// The body that changes an installation; what is missing stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateInstallation {
    /// What the team calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_name: Option<String>,
    /// Arguments, in the order of the team's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_args: Option<Vec<Option<String>>>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_env: Option<BTreeMap<String, Secret>>,
    /// Headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_headers: Option<BTreeMap<String, Secret>>,
    /// Query parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_url_query_params: Option<BTreeMap<String, Secret>>,
    /// Settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ServerSettings>,
}

/// The body with what a user fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserSettings {
    /// Arguments, by the names of the user's schema.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_args: BTreeMap<String, String>,
    /// Environment variables.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_env: BTreeMap<String, Secret>,
    /// Headers.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_headers: BTreeMap<String, Secret>,
    /// Query parameters.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_url_query_params: BTreeMap<String, Secret>,
}

/// An installed server. Its settings' values are not shown again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// The server.
    pub server_id: String,
    /// What the team calls it.
    pub installation_name: String,
    /// The satellite that serves it, if it is bound to one.
    #[serde(default)]
    pub satellite_id: Option<SatelliteId>,
    /// Its settings.
    #[serde(default)]
    pub settings: ServerSettings,
    /// Its users' instances.
    #[serde(default)]
    pub instances: Vec<Instance>,
    /// When it was made.
    pub created_at: IsoTime,
    /// When it was last changed.
    pub updated_at: IsoTime,
}

/// A user's instance of an [`Installation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The user.
    pub user_id: UserId,
    /// Its path segment under `/i/` of a satellite.
    #[serde(default)]
    pub instance_path: Option<String>,
    /// Its status.
    pub status: InstanceStatus,
    /// Why, for people.
    #[serde(default)]
    pub status_message: Option<String>,
    /// Since when.
    #[serde(default)]
    pub status_updated_at: Option<IsoTime>,
}

/// A token that opens one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceToken {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its path segment under `/i/` of a satellite.
    pub instance_path: String,
    /// The token itself. It is shown here only; an earlier one opens nothing any more.
    pub token: Secret,
}

/// `data` with an installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstallationData {
    /// The installation.
    pub installation: Installation,
}

/// `data` with installations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstallationsData {
    /// The installations.
    pub installations: Vec<Installation>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `data` with an instance token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceTokenData {
    /// The token.
    pub instance_token: InstanceToken,
}

/// A link that lets a user connect to a server that wants OAuth. Whoever holds it may: it is good
/// once, and not for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectLink {
    /// The page to open.
    pub url: Secret,
    /// When it can be used no more.
    pub expires_at: IsoTime,
}

/// `data` with a link to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectLinkData {
    /// The link.
    pub connect: ConnectLink,
}
