//! Satellites, their keys, and the tokens that pair them.

use satellite_core::backend::admission::serves_installation;
use satellite_core::backend::registration::Namesake;
use satellite_core::backend::{Owner, status};
use satellite_core::id::{SatelliteId, TeamId};
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::admin;
use serde::{Deserialize, Serialize};

use super::JsonText;

/// Whom a row with this team is for.
pub fn owner_of(team: Option<TeamId>) -> Owner {
    team.map_or(Owner::Global, Owner::Team)
}

/// Satellites of one name, as the rule on names sees them.
pub fn namesakes_of<'a>(satellites: impl IntoIterator<Item = &'a Satellite>) -> Vec<Namesake> {
    let namesake = |it: &Satellite| Namesake { id: it.id.clone(), owner: it.owner() };
    satellites.into_iter().map(namesake).collect()
}

/// What an administrator decided about a satellite. No heartbeat changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// It works.
    #[default]
    Enabled,
    /// It polls slowly and is handed no commands.
    Maintenance,
    /// It is handed nothing.
    Disabled,
}

impl AdminState {
    /// The column's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            AdminState::Enabled => "enabled",
            AdminState::Maintenance => "maintenance",
            AdminState::Disabled => "disabled",
        }
    }

    /// Reads the column's spelling.
    pub fn read(text: &str) -> AdminState {
        match text {
            "maintenance" => AdminState::Maintenance,
            "disabled" => AdminState::Disabled,
            _ => AdminState::Enabled,
        }
    }
}

/// A row of `satellites`, without its key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Satellite {
    /// Its id.
    pub id: SatelliteId,
    /// Its name; unique.
    pub name: String,
    /// `global` or `team`.
    pub satellite_type: &'static str,
    /// The team it serves; a global satellite has none.
    pub team_id: Option<TeamId>,
    /// `active`, `inactive`, `maintenance` or `error`: what heartbeats say of it.
    pub status: String,
    /// What an administrator decided about it.
    pub admin_state: AdminState,
    /// When a maintenance window begins; none: at once.
    pub maintenance_from: Option<IsoTime>,
    /// When it ends; none: when an administrator says so.
    pub maintenance_until: Option<IsoTime>,
    /// What it said it can do.
    pub capabilities: Vec<String>,
    /// When it last sent a heartbeat.
    pub last_heartbeat: Option<IsoTime>,
    /// What it last said of its polls.
    pub last_poll: Option<IsoTime>,
    /// What it runs on.
    pub system_info: Option<JsonText>,
    /// Its public URL; empty when it has none.
    pub satellite_url: String,
    /// Where it is.
    pub region: Option<String>,
    /// Its latest MCP status.
    pub mcp_status: Option<JsonText>,
    /// What is merged over the built-in `satellite_config`.
    pub config: JsonText,
    /// Grows with every change that concerns its configuration.
    pub config_version: u64,
    /// Who created the token it was paired with.
    pub created_by: Option<String>,
    /// When it was first paired.
    pub created_at: IsoTime,
    /// When its row last changed by registration or by an administrator.
    pub updated_at: IsoTime,
}

impl Satellite {
    /// Whom it serves.
    pub fn owner(&self) -> Owner {
        owner_of(self.team_id.clone())
    }

    /// What an administrator decided, with its window.
    pub fn admin(&self) -> admin::AdminState {
        match self.admin_state {
            AdminState::Enabled => admin::AdminState::Enabled,
            AdminState::Maintenance => admin::AdminState::Maintenance {
                from: self.maintenance_from,
                until: self.maintenance_until,
            },
            AdminState::Disabled => admin::AdminState::Disabled,
        }
    }

    /// Takes in a heartbeat.
    pub fn heard(&mut self, at: IsoTime, mcp_status: Option<JsonText>, url: Option<String>) {
        self.last_heartbeat = Some(at);
        self.mcp_status = mcp_status;
        self.status = self.status_at(at.0);
        if let Some(url) = url {
            self.satellite_url = url;
        }
    }

    /// Changes what an administrator may change.
    pub fn apply(&mut self, patch: SatellitePatch, now: Timestamp) {
        if let Some(name) = patch.name {
            self.name = name;
        }
        if let Some(admin_state) = patch.admin_state {
            self.admin_state = admin_state;
        }
        if let Some((from, until)) = patch.maintenance {
            self.maintenance_from = from.map(IsoTime);
            self.maintenance_until = until.map(IsoTime);
        }
        if let Some(capabilities) = patch.capabilities {
            self.capabilities = capabilities;
        }
        if let Some(satellite_url) = patch.satellite_url {
            self.satellite_url = satellite_url;
        }
        if let Some(region) = patch.region {
            self.region = Some(region);
        }
        if let Some(config) = patch.config {
            self.config = config;
            self.config_version += 1;
        }
        self.status = self.status_at(now);
        self.updated_at = IsoTime(now);
    }

    /// Its status at this moment: silence and maintenance windows pass without a change of its row.
    pub fn status_at(&self, now: Timestamp) -> String {
        let last_heartbeat = self.last_heartbeat.map(|last| last.0);
        status::satellite_status(&self.admin(), last_heartbeat, now).to_owned()
    }

    /// Whether it serves an installation of `team` that is pinned to `pin`.
    pub fn serves(&self, team: &TeamId, pin: Option<&SatelliteId>) -> bool {
        serves_installation(&self.id, &self.owner(), team, pin)
    }
}

/// What an administrator may change of a satellite; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SatellitePatch {
    /// Its name.
    pub name: Option<String>,
    /// What was decided about it.
    pub admin_state: Option<AdminState>,
    /// The maintenance window; set or cleared as a whole.
    pub maintenance: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// What it can do.
    pub capabilities: Option<Vec<String>>,
    /// Its public URL.
    pub satellite_url: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// What is merged over the built-in `satellite_config`.
    pub config: Option<JsonText>,
}

/// A row of `satelliteRegistrationTokens`. The token itself is never stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegistrationToken {
    /// Its id.
    pub id: String,
    /// `global` or `team`.
    pub token_type: &'static str,
    /// The team it is for.
    pub team_id: Option<TeamId>,
    /// SHA-256 of the whole token, in hexadecimal; unique.
    #[serde(skip)]
    pub token_hash: String,
    /// The part before the JWT.
    #[serde(skip)]
    pub token_prefix: String,
    /// Who created it.
    pub created_by: String,
    /// What it allows.
    #[serde(skip)]
    pub permissions: Vec<String>,
    /// Whether it is spent.
    pub used: bool,
    /// When it was spent.
    pub used_at: Option<IsoTime>,
    /// On which satellite.
    pub used_by_satellite_id: Option<SatelliteId>,
    /// When it ends.
    pub expires_at: IsoTime,
    /// When it was created.
    pub created_at: IsoTime,
}

/// A registration whose token has passed every check that needs no database.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// SHA-256 of the whole token, in hexadecimal.
    pub token_hash: String,
    /// What the token says it is for; the stored row must agree.
    pub owner: Owner,
    /// The id the satellite gets if its name is unknown.
    pub satellite_id: SatelliteId,
    /// Its name.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Its public URL; empty when it has none.
    pub satellite_url: String,
    /// Where it is, if it says so.
    pub region: Option<String>,
    /// What it runs on.
    pub system_info: Option<JsonText>,
    /// The part of its key by which the key is found.
    pub api_key_lookup: String,
    /// The hash of its key.
    pub api_key_hash: String,
    /// The time.
    pub now: Timestamp,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq)]
pub enum Registered {
    /// It is a satellite; the token is spent.
    Paired {
        /// The satellite.
        satellite: Box<Satellite>,
        /// Whether its name was known before.
        again: bool,
    },
    /// No such token was issued, or it was issued for another scope.
    TokenUnknown,
    /// The token is spent.
    TokenUsed,
    /// The token's time is over.
    TokenExpired,
    /// Another owner has a satellite of this name.
    NameTaken,
}

/// Who holds a key, or held it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyHolder {
    /// The hash of the key.
    pub api_key_hash: String,
    /// Who.
    pub state: KeyState,
}

/// Whether a key is valid.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyState {
    /// It is the key of this satellite.
    Valid(Box<Satellite>),
    /// It was replaced by another.
    Revoked,
    /// Its satellite was deleted.
    Deleted,
}
