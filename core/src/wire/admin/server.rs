//! Servers: the templates that teams install.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::time::IsoTime;
use crate::view::Transport;
use crate::wire::lenient;

/// A server that can be installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Server {
    /// Its id.
    pub id: String,
    /// `active`, or another word that keeps it from being served.
    pub status: String,
    /// When it was made.
    pub created_at: IsoTime,
    /// All the rest, as it was made.
    #[serde(flatten)]
    pub definition: CreateServer,
}

/// The body that makes a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateServer {
    /// Its name for people.
    pub name: String,
    /// Its name in tool paths; made of the name if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is spoken to.
    pub transport_type: Transport,
    /// `manual`, `github` or `official_registry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its programming language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What runs it, e.g. `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// stdio: how to start it; the first counts.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub packages: Vec<Package>,
    /// http, sse: where it is; the first counts.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub remotes: Vec<Remote>,
    /// Arguments every installation has.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub template_args: Vec<Argument>,
    /// What a team fills in.
    #[serde(default, skip_serializing_if = "Schema::is_empty")]
    pub team_schema: Schema,
    /// What each user fills in.
    #[serde(default, skip_serializing_if = "Schema::is_empty")]
    pub user_schema: Schema,
    /// Whether calls need an OAuth token of the user.
    #[serde(default)]
    pub requires_oauth: bool,
    /// GitHub: the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
    /// GitHub: the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_branch: Option<String>,
    /// GitHub: the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_commit_sha: Option<String>,
}

/// How to start a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Package {
    /// The command and its environment.
    #[serde(default)]
    pub transport: PackageTransport,
}

/// The command of a [`Package`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageTransport {
    /// The executable; `npx` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Environment variables every installation has.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub env: BTreeMap<String, Secret>,
}

/// Where a remote server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remote {
    /// Its URL.
    pub url: Secret,
    /// Further URLs of the same server, at most seven (addition: see
    /// [`ServerEntry::urls`](crate::wire::configuration::ServerEntry::urls)).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub urls: Vec<Secret>,
    /// Headers every installation has.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub headers: BTreeMap<String, Secret>,
}

/// An argument of the template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Argument {
    /// The argument.
    pub value: String,
    /// Its place among all arguments; its index if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
}

/// What somebody fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Schema {
    /// Arguments, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Field>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Field>,
    /// Headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Field>,
    /// Query parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<Field>,
}

impl Schema {
    /// Whether there is nothing to fill in.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
            && self.env.is_empty()
            && self.headers.is_empty()
            && self.query_params.is_empty()
    }

    /// Every field of it.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.args.iter().chain(&self.env).chain(&self.headers).chain(&self.query_params)
    }
}

/// One thing somebody fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Field {
    /// Its name.
    pub name: String,
    /// `string`, `number`, `boolean`, `secret` or `password`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Whether nothing runs without it.
    #[serde(default)]
    pub required: bool,
    /// For an argument: its place among all arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
}

impl Field {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind.as_str(), "secret" | "password")
    }
}

/// `data` with a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerData {
    /// The server.
    pub server: Server,
}

/// `data` with servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServersData {
    /// The servers.
    pub servers: Vec<Server>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
