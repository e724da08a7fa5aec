//! The tables, ordered by their keys.

use std::collections::BTreeMap;

use satellite_core::id::{CommandId, InstallationId, InstanceId, SatelliteId, TeamId, UserId};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{
    AccessToken, ClientActivity, Heartbeat, Installation, Instance, JobState, Member, Notice,
    OauthClient, OauthFlow, OauthToken, Process, RegistrationToken, RequestLog, Satellite,
    SatelliteCommand, Server, ServerLog, StoredEvent, Team, Tool, ToolUse, User, UserConfiguration,
};

/// A key that was valid once.
#[derive(Clone, Debug)]
pub(in super::super) struct RetiredKey {
    pub(super) hash: String,
    pub(super) satellite: SatelliteId,
    pub(super) deleted: bool,
    pub(super) at: Timestamp,
}

/// Everything the Backend keeps.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Tables {
    pub(super) teams: BTreeMap<TeamId, Team>,
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) members: BTreeMap<(TeamId, UserId), Member>,
    pub(super) access_tokens: BTreeMap<String, AccessToken>,
    pub(super) satellites: BTreeMap<SatelliteId, Satellite>,
    /// Lookup and hash of each satellite's key.
    pub(super) keys: BTreeMap<SatelliteId, (String, String)>,
    pub(super) retired_keys: BTreeMap<String, RetiredKey>,
    pub(super) registration_tokens: BTreeMap<String, RegistrationToken>,
    pub(super) commands: BTreeMap<CommandId, SatelliteCommand>,
    pub(super) processes: BTreeMap<(SatelliteId, String), Process>,
    pub(super) heartbeats: BTreeMap<String, Heartbeat>,
    pub(super) events: BTreeMap<u64, StoredEvent>,
    /// The number of the last event, also of one that is gone.
    pub(super) last_event: u64,
    pub(super) usage: BTreeMap<String, (SatelliteId, Timestamp, ToolUse)>,
    pub(super) activity: BTreeMap<(SatelliteId, TeamId, UserId, String), ClientActivity>,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) jobs: BTreeMap<String, JobState>,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) installations: BTreeMap<InstallationId, Installation>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) user_configurations: BTreeMap<(InstallationId, UserId), UserConfiguration>,
    /// By installation, user (or nobody) and name.
    pub(super) tools: BTreeMap<(InstallationId, String, String), Tool>,
    pub(super) oauth_tokens: BTreeMap<(InstallationId, UserId), OauthToken>,
    pub(super) oauth_flows: BTreeMap<String, OauthFlow>,
    /// By issuer and the address of its answers.
    pub(super) oauth_clients: BTreeMap<(String, String), OauthClient>,
    pub(super) server_logs: BTreeMap<String, (InstallationId, ServerLog)>,
    pub(super) request_logs: BTreeMap<String, (InstallationId, RequestLog)>,
}

impl Tables {
    pub(super) fn satellite(&self, id: &SatelliteId) -> Result<&Satellite, StoreError> {
        self.satellites.get(id).ok_or(StoreError::Missing("satellite"))
    }

    pub(super) fn installation(&self, id: &InstallationId) -> Result<&Installation, StoreError> {
        self.installations.get(id).ok_or(StoreError::Missing("installation"))
    }

    /// Files `notice` to every satellite that serves an installation of `team` pinned to one of
    /// `pins`, and counts their configurations on.
    pub(super) fn file_notice(
        &mut self,
        team: &TeamId,
        pins: &[Option<SatelliteId>],
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let mut concerned: Vec<&mut Satellite> = self
            .satellites
            .values_mut()
            .filter(|satellite| pins.iter().any(|pin| satellite.serves(team, pin.as_ref())))
            .collect();
        concerned.sort_by(|left, right| left.name.cmp(&right.name));
        let commands = concerned
            .into_iter()
            .enumerate()
            .map(|(number, satellite)| {
                satellite.config_version += 1;
                notice.to(&satellite.id, team, number, satellite.config_version)
            })
            .collect();
        super::commands::file_commands(self, commands)
    }

    /// Removes a satellite and all that is its.
    pub(super) fn drop_satellite(&mut self, id: &SatelliteId) -> bool {
        self.commands.retain(|_, command| command.satellite_id != *id);
        self.processes.retain(|(satellite, _), _| satellite != id);
        self.heartbeats.retain(|_, heartbeat| heartbeat.satellite_id != *id);
        self.events.retain(|_, event| event.satellite_id != *id);
        self.usage.retain(|_, (satellite, ..)| satellite != id);
        self.activity.retain(|(satellite, ..), _| satellite != id);
        for installation in self.installations.values_mut() {
            if installation.satellite_id.as_ref() == Some(id) {
                installation.satellite_id = None;
            }
        }
        self.keys.remove(id);
        self.satellites.remove(id).is_some()
    }

    /// Removes an installation and all that is its.
    pub(super) fn drop_installation(&mut self, id: &InstallationId) {
        self.instances.retain(|_, instance| instance.installation_id != *id);
        self.user_configurations.retain(|(installation, _), _| installation != id);
        self.tools.retain(|(installation, ..), _| installation != id);
        self.server_logs.retain(|_, (installation, _)| installation != id);
        self.request_logs.retain(|_, (installation, _)| installation != id);
        for process in self.processes.values_mut() {
            if process.installation_id.as_ref() == Some(id) {
                process.installation_id = None;
            }
        }
        self.installations.remove(id);
        self.drop_loose_connections();
    }

    /// Removes a user's place in a team and all that hangs on it.
    pub(super) fn drop_member(&mut self, team: &TeamId, user: &UserId) {
        let theirs = |installation: &InstallationId| {
            self.installations.get(installation).is_some_and(|found| found.team_id == *team)
        };
        self.instances
            .retain(|_, instance| instance.user_id != *user || !theirs(&instance.installation_id));
        self.user_configurations
            .retain(|(installation, owner), _| owner != user || !theirs(installation));
        self.access_tokens.retain(|_, token| token.user_id != *user || token.team_id != *team);
        self.drop_loose_connections();
        self.members.remove(&(team.clone(), user.clone()));
    }
}
