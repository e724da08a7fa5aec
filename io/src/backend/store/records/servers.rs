//! Server templates, their installations by teams, and the users' instances of those.

use std::collections::BTreeSet;

use satellite_core::id::{InstallationId, InstanceId, SatelliteId, TeamId, UserId};
use satellite_core::time::{IsoTime, Timestamp};
use serde::Serialize;

use super::{JsonText, Member, Team};

/// A server template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its name in tool paths and keys; unique.
    pub slug: String,
    /// `active`, or anything else: not handed to satellites.
    pub status: String,
    /// `manual`, `github`, `official_registry` or none.
    pub source: Option<String>,
    /// The whole template.
    pub definition: JsonText,
    /// When it was created.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

/// A server as a team installed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// The team.
    pub team_id: TeamId,
    /// The template.
    pub server_id: String,
    /// The satellite it is pinned to.
    pub satellite_id: Option<SatelliteId>,
    /// Who installed it.
    pub created_by: Option<String>,
    /// What the team calls it; unique in the team.
    pub installation_name: String,
    /// The team's arguments, by index.
    pub team_args: Option<JsonText>,
    /// The team's environment.
    pub team_env: Option<JsonText>,
    /// The team's headers.
    pub team_headers: Option<JsonText>,
    /// The team's query parameters.
    pub team_url_query_params: Option<JsonText>,
    /// Its settings.
    pub settings: Option<JsonText>,
    /// Grows with every change.
    pub generation: u64,
    /// When it was created.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

/// What a team may change of an installation; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstallationPatch {
    /// What the team calls it.
    pub installation_name: Option<String>,
    /// The satellite it is pinned to; `Some(None)` unpins it.
    pub satellite_id: Option<Option<SatelliteId>>,
    /// The team's arguments, by index.
    pub team_args: Option<JsonText>,
    /// The team's environment.
    pub team_env: Option<JsonText>,
    /// The team's headers.
    pub team_headers: Option<JsonText>,
    /// The team's query parameters.
    pub team_url_query_params: Option<JsonText>,
    /// Its settings.
    pub settings: Option<JsonText>,
    /// Whether its instances are to be started afresh although nothing else changes.
    pub redeploy: bool,
}

impl Installation {
    /// Changes what a team may change. Another generation means another start: a name or a setting
    /// is no reason for one.
    pub fn apply(&mut self, patch: InstallationPatch, now: Timestamp) {
        let mut restart = patch.redeploy;
        if let Some(name) = patch.installation_name {
            self.installation_name = name;
        }
        if let Some(pin) = patch.satellite_id {
            self.satellite_id = pin;
        }
        for (field, change) in [
            (&mut self.team_args, patch.team_args),
            (&mut self.team_env, patch.team_env),
            (&mut self.team_headers, patch.team_headers),
            (&mut self.team_url_query_params, patch.team_url_query_params),
        ] {
            if change.is_some() && *field != change {
                *field = change;
                restart = true;
            }
        }
        if patch.settings.is_some() {
            self.settings = patch.settings;
        }
        self.generation += u64::from(restart);
        self.updated_at = IsoTime(now);
    }
}

/// One user's instance of an installation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The installation.
    pub installation_id: InstallationId,
    /// The user.
    pub user_id: UserId,
    /// Its path segment under `/i/`; unique.
    pub instance_path: Option<String>,
    /// SHA-256 of its token, in hexadecimal.
    #[serde(skip)]
    pub token_hash: Option<String>,
    /// One of the wire's instance statuses.
    pub status: String,
    /// Why it has that status.
    pub status_message: Option<String>,
    /// When the satellite says it got that status.
    pub status_updated_at: Option<IsoTime>,
    /// When it was created.
    pub created_at: IsoTime,
    /// When it last changed.
    pub updated_at: IsoTime,
}

/// What a user adds to an installation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserConfiguration {
    /// The installation.
    pub installation_id: InstallationId,
    /// The user.
    pub user_id: UserId,
    /// The user's arguments, by name.
    pub user_args: Option<JsonText>,
    /// The user's environment.
    pub user_env: Option<JsonText>,
    /// The user's headers.
    pub user_headers: Option<JsonText>,
    /// The user's query parameters.
    pub user_url_query_params: Option<JsonText>,
    /// When it last changed.
    pub updated_at: IsoTime,
}

/// The tools a satellite found, replacing those it found before.
#[derive(Clone, Debug, PartialEq)]
pub struct Tools {
    /// Whose instance they were found in, where the satellite says so.
    pub user_id: Option<UserId>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// When they were found.
    pub discovered_at: Timestamp,
}

/// A tool of an installation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub tool_name: String,
    /// What it says of itself.
    pub description: String,
    /// Its input schema.
    pub input_schema: JsonText,
    /// What its definition costs a model, in tokens.
    pub token_count: u64,
    /// Whether an administrator switched it off.
    pub is_disabled: bool,
}

/// Everything a satellite's configuration is made of, and its version.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationSource {
    /// Grows with every change that concerns the configuration.
    pub version: u64,
    /// The installations.
    pub inputs: Vec<ConfigurationInput>,
}

/// Everything one installation contributes to a satellite's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationInput {
    /// The installation.
    pub installation: Installation,
    /// Its template.
    pub server: Server,
    /// Its team.
    pub team: Team,
    /// The team's members, by user id.
    pub members: Vec<Member>,
    /// What users added, by user id.
    pub users: Vec<UserConfiguration>,
    /// The instances, by user id.
    pub instances: Vec<Instance>,
    /// Names of tools that are switched off.
    pub disabled_tools: BTreeSet<String>,
}
