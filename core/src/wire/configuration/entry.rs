//! An entry of `mcp_servers` as it stands on the wire: flat, and tolerant of anything missing.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{InstallationId, InstanceId, TeamId, UserId};
use crate::secret::Secret;
use crate::wire::lenient;

/// An entry as the Backend writes it. [`super::Server`] is what a satellite makes of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerEntry {
    /// The installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<InstallationId>,
    /// The user's instance, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// The team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// The team's name in keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_slug: Option<String>,
    /// The server's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The server's name in tool paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_slug: Option<String>,
    /// What the team calls the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_name: Option<String>,
    /// `stdio`, `http` or `sse`.
    #[serde(default, alias = "type", skip_serializing_if = "Option::is_none")]
    pub transport_type: Option<String>,
    /// Whether it is served at all; missing means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The user's name in keys; older peers send the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_slug: Option<String>,
    /// The instance's status at the Backend. No reason to restart anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_status: Option<String>,
    /// Whether calls need an OAuth token of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_oauth: Option<bool>,
    /// `manual`, `github` or `official_registry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The server's programming language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What runs it, e.g. `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// stdio: the executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// stdio: its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// stdio: its own environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, Secret>>,
    /// http, sse: the URL. It may carry secrets in its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// http, sse: further URLs of the same server, at most seven (addition: calls are spread over
    /// all of them, and go on where one fails). Without `url` the first takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<Secret>>,
    /// http, sse: headers of every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, Secret>>,
    /// http, sse: query parameters to add to the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_query_params: Option<BTreeMap<String, Secret>>,
    /// http, sse: how long a request may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub timeout: Option<u64>,
    /// Which of the values above must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_metadata: Option<SecretNames>,
    /// The installation's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ServerSettings>,
    /// GitHub: the commit to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit_sha: Option<String>,
    /// GitHub: the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    /// GitHub: the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_branch: Option<String>,
    /// The instance's path segment under `/i/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_path: Option<String>,
    /// SHA-256 of the instance's token, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_token_hash: Option<String>,
    /// Tools an administrator switched off (addition: so that a restart does not forget them).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_tools: Option<Vec<String>>,
    /// Grows when the instance must be started anew, as by a redeploy (addition
    /// `config-version`).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::hint")]
    pub generation: Option<u64>,
}

/// Names of values that must not be shown, and positions of those without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretNames {
    /// Of query parameters.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub query_params: Vec<String>,
    /// Of headers.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub headers: Vec<String>,
    /// Of environment variables.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub env: Vec<String>,
    /// Positions in `args`, from 0 (addition: arguments have no names).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub args: Vec<usize>,
}

impl SecretNames {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.query_params.is_empty()
            && self.headers.is_empty()
            && self.env.is_empty()
            && self.args.is_empty()
    }
}

/// An installation's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerSettings {
    /// Whether calls are reported in detail (`mcp.request.logs`); missing means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_logging_enabled: Option<bool>,
    /// Whatever else there is.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}
