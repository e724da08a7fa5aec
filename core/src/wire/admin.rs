//! The administration API: `Authorization: Bearer` with the admin token.
//!
//! | what | routes |
//! |---|---|
//! | teams, users, servers | `GET`, `POST /api/{what}`; `GET`, `DELETE /api/{what}/{id}` |
//! | members | `PUT`, `DELETE /api/teams/{team}/members/{user}` |
//! | installations | `GET`, `POST /api/teams/{team}/mcp/installations`; `GET`, `PATCH`, `DELETE …/{id}`; `POST …/{id}/redeploy` |
//! | a user's settings | `PUT …/installations/{id}/users/{user}` |
//! | instance tokens | `POST …/installations/{id}/users/{user}/token` |
//! | links to connect | `POST …/installations/{id}/users/{user}/connect` |
//! | registration tokens | `GET`, `POST /api/satellites/global/registration-tokens`; the same under `/api/teams/{team}`; `DELETE /api/satellites/registration-tokens/{id}` |
//! | access tokens | `POST /api/users/{user}/tokens` |
//! | satellites | `GET /api/satellites/manage`; `GET`, `PATCH`, `DELETE …/{id}`; `PATCH …/{id}/status`; `POST …/{id}/key` |
//! | commands | `GET`, `POST /api/satellites/manage/{id}/commands`; `GET …/commands/{command}` |
//! | heartbeats, events | `GET /api/satellites/manage/{id}/heartbeats`, `…/events?after=` |
//!
//! Every reply is a [`Reply`]; `data` holds one thing under its name in the singular, or a list
//! under its name in the plural, in parts: `limit` and `cursor` ask for one, `next_cursor` leads to
//! the next. Errors have the shape of [`super::error::Problem`].

mod installation;
mod jobs;
mod people;
mod satellite;
mod server;

pub use installation::{
    ConnectLink, ConnectLinkData, CreateInstallation, Installation, InstallationData,
    InstallationsData, Instance, InstanceToken, InstanceTokenData, UpdateInstallation,
    UserSettings,
};
pub use jobs::{JobData, JobRecord, JobsData};
pub use people::{
    AccessToken, AccessTokenData, AccessTokenSummary, AccessTokensData, CreateAccessToken,
    CreateTeam, CreateUser, Member, SetMember, Team, TeamData, TeamsData, User, UserData,
    UsersData,
};
pub use satellite::{
    AdminState, CommandData, CommandRecord, CommandsData, CreateCommand, EventRecord, EventsData,
    HeartbeatRecord, HeartbeatsData, SatelliteData, SatelliteKeyData, SatelliteRecord,
    SatellitesData, UpdateSatellite,
};
pub use server::{
    Argument, CreateServer, Field, Package, PackageTransport, Remote, Schema, Server, ServerData,
    ServersData,
};

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// A reply of the administration API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reply<T> {
    /// Always `true`.
    #[serde(default = "super::yes")]
    pub success: bool,
    /// What was asked for.
    pub data: T,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl<T> Reply<T> {
    /// A reply without a message.
    pub fn new(data: T) -> Self {
        Reply { success: true, data, message: None }
    }

    /// The reply with a message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}
