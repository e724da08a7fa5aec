//! Events, and what each of them changes.

use satellite_core::backend::status::{Reported, StatusReport, report};
use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::view::InstanceStatus;
use serde::Serialize;

use super::{JsonText, ReportedProcess, Satellite, Tools};

/// An event, ready to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// The Backend's id for it.
    pub id: String,
    /// Who sent it.
    pub satellite_id: SatelliteId,
    /// The satellite's own id for it: a second one with the same changes nothing.
    pub event_id: Option<String>,
    /// Its number at the satellite.
    pub seq: Option<u64>,
    /// Its type.
    pub kind: String,
    /// Its data as it arrived.
    pub data: JsonText,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When it arrived.
    pub now: Timestamp,
    /// The installation it is about: the satellite must serve it.
    pub installation_id: Option<InstallationId>,
    /// The team it is about: a team's satellite may name only its own.
    pub team_id: Option<TeamId>,
    /// What it changes beside being recorded.
    pub effect: EventEffect,
}

impl EventRecord {
    /// Whether it is about a team or an installation that `satellite` does not serve. `installation`
    /// is the team and the pin of the installation it names, where that exists.
    pub fn is_foreign(
        &self,
        satellite: &Satellite,
        installation: Option<(&TeamId, Option<&SatelliteId>)>,
    ) -> bool {
        let team = self.team_id.as_ref();
        if let (Some(own), Some(team)) = (&satellite.team_id, team)
            && own != team
        {
            return true;
        }
        installation.is_some_and(|(owner, pin)| {
            !satellite.serves(owner, pin) || team.is_some_and(|team| team != owner)
        })
    }

    /// The team that it is about: the one it names, or that of the installation it names.
    pub fn team<'a>(&'a self, installation: Option<&'a TeamId>) -> Option<&'a TeamId> {
        self.team_id.as_ref().or(installation)
    }

    /// From when `status` is that of an instance, if the instance takes it. `installation` is the
    /// team and the pin of its installation, `known` its status so far and since when.
    pub fn status_counts_from(
        &self,
        satellite: &Satellite,
        installation: (&TeamId, Option<&SatelliteId>),
        known: (&str, Option<IsoTime>),
        status: InstanceStatus,
    ) -> Option<Timestamp> {
        let (team, bound_to) = installation;
        let (known, since) = known;
        let instance = Reported {
            team,
            bound_to,
            status: InstanceStatus::parse(known).unwrap_or(InstanceStatus::Provisioning),
            since: since.map(|since| since.0).unwrap_or_default(),
        };
        let named = self.team_id.as_ref().unwrap_or(team);
        let owner = satellite.owner();
        let (at, now) = (self.timestamp, self.now);
        match report(&satellite.id, &owner, &instance, named, status, at, now) {
            StatusReport::Takes(at) => Some(at),
            StatusReport::Stale | StatusReport::Foreign | StatusReport::NotYours => None,
        }
    }
}

/// What an event changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum EventEffect {
    /// Nothing.
    #[default]
    None,
    /// The status of one user's instance.
    Status {
        /// Whose.
        user_id: UserId,
        /// The status.
        status: InstanceStatus,
        /// Why.
        message: Option<String>,
    },
    /// A process.
    Process(ReportedProcess),
    /// Lines of a server's log.
    Logs(Vec<ServerLog>),
    /// Requests that were made.
    Requests(Vec<RequestLog>),
    /// The tools of an installation, or of one user's instance of it.
    Tools(Tools),
    /// One use of a tool.
    Use(ToolUse),
    /// What a client did.
    Activity(ClientActivity),
}

/// A line of a server's log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerLog {
    /// For whom the server ran.
    pub user_id: Option<UserId>,
    /// `info`, `warn`, `error` or `debug`.
    pub log_level: String,
    /// The line.
    pub message: String,
    /// What came with it.
    pub metadata: Option<JsonText>,
    /// When it was written.
    pub created_at: IsoTime,
}

/// A request that was made of a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestLog {
    /// By whom.
    pub user_id: Option<UserId>,
    /// The tool.
    pub tool_name: String,
    /// Its arguments.
    pub tool_params: Option<JsonText>,
    /// Its answer.
    pub tool_response: Option<JsonText>,
    /// How long it took.
    pub response_time_ms: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it did not.
    pub error_message: Option<String>,
    /// When it was made.
    pub created_at: IsoTime,
}

/// One use of a tool, for `satelliteUsageLogs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolUse {
    /// By whom.
    pub user_id: Option<UserId>,
    /// The process that served it.
    pub process_id: Option<String>,
    /// The tool.
    pub tool_name: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether it succeeded.
    pub success: bool,
    /// Why it did not.
    pub error_message: Option<String>,
}

/// What a client did since the last report: the counters are added to the stored ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientActivity {
    /// The user.
    pub user_id: UserId,
    /// The client.
    pub oauth_client_id: String,
    /// What it calls itself.
    pub client_name: Option<String>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// Where it called from.
    pub ip_address: Option<String>,
    /// Its session.
    pub session_id: Option<String>,
    /// Requests made.
    pub request_count: u64,
    /// Tools called.
    pub tool_call_count: u64,
    /// When it was last seen.
    pub last_activity_at: Timestamp,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is stored.
    Recorded,
    /// It was stored before, under this id.
    Repeated(String),
    /// It is about an installation or team that this satellite does not serve.
    Foreign,
}

/// Which events are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventQuery {
    /// Those of one satellite.
    pub satellite_id: Option<SatelliteId>,
    /// Those about one team.
    pub team_id: Option<TeamId>,
    /// Those of one type.
    pub kind: Option<String>,
    /// Those after this number.
    pub after: u64,
    /// So many at most.
    pub limit: u32,
}

/// A row of `satelliteEvents`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredEvent {
    /// Its place in the order of arrival: what `after` counts by.
    pub number: u64,
    /// The Backend's id for it.
    pub id: String,
    /// Who sent it.
    pub satellite_id: SatelliteId,
    /// The team that it is about, if it is about one.
    pub team_id: Option<TeamId>,
    /// The satellite's own id for it.
    pub event_id: Option<String>,
    /// Its number at the satellite.
    pub seq: Option<u64>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data as it arrived.
    pub data: JsonText,
    /// When it happened.
    pub timestamp: IsoTime,
    /// When it arrived.
    pub received_at: IsoTime,
}
