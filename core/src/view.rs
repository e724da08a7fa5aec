//! The one published state. Heartbeat, tool lists, routers and status pages all read it, so no two
//! of them can disagree.

pub mod figures;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use figures::{Calls, Figures, TeamFigures};

use crate::id::{Incarnation, InstallationId, InstanceId, InstanceKey, SatelliteId, TeamId};
use crate::isolation::Level;
use crate::limits::EVENT_QUEUE_MAX_BYTES;
use crate::redaction::Redaction;
use crate::time::Timestamp;

/// Everything the outside may know of a satellite, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Grows with every change.
    pub revision: u64,
    /// The satellite as the Backend knows it, once paired.
    pub satellite: Option<SatelliteIdentity>,
    /// The conversation with the Backend.
    pub link: LinkView,
    /// `active`, `degraded` or `error`, with the reasons for the latter two.
    pub health: SatelliteHealth,
    /// Every installation, by id.
    pub servers: BTreeMap<InstallationId, ServerView>,
    /// Every instance, by key.
    pub instances: BTreeMap<InstanceKey, Arc<InstanceView>>,
    /// Which instance an instance path leads to.
    pub paths: BTreeMap<String, InstanceKey>,
    /// What is counted and measured of each instance with a process.
    pub figures: Arc<BTreeMap<InstanceKey, Figures>>,
    /// What the processes of each team use together, where that was measured.
    pub teams: Arc<BTreeMap<TeamId, TeamFigures>>,
    /// Calls of each team's tools since the start.
    pub calls: Arc<BTreeMap<TeamId, Calls>>,
    /// Events that wait for the Backend, and how many may.
    pub outbox: OutboxView,
    /// Places for processes, and how many starts wait for one.
    pub places: PlacesView,
    /// Errors since the last heartbeat the Backend confirmed.
    pub error_count: u64,
    /// Events that were refused by a machine, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// How far processes are isolated, where that is known.
    pub isolation: Option<Level>,
    /// Whether the satellite is shutting down and takes no new work.
    pub draining: bool,
}

/// Who a satellite is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SatelliteIdentity {
    /// Its id.
    pub id: SatelliteId,
    /// Its name.
    pub name: String,
    /// The team it serves; a global satellite has none.
    pub team: Option<TeamId>,
}

/// The conversation with the Backend, as a status page shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkView {
    /// The link machine's state.
    pub state: &'static str,
    /// When the Backend last answered, and after how many milliseconds.
    pub last_answer: Option<(Timestamp, u64)>,
    /// Failures since.
    pub failures: u32,
    /// What the last failure was.
    pub last_error: Option<String>,
    /// Whether the configuration in force came from the Backend since the start.
    pub configuration_fresh: bool,
}

/// The satellite's own condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SatelliteHealth {
    /// The published status.
    pub status: SatelliteStatus,
    /// Why it is not `active`, one phrase each.
    pub reasons: BTreeSet<String>,
}

/// The heartbeat's `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SatelliteStatus {
    /// All is well.
    #[default]
    Active,
    /// It works with restrictions.
    Degraded,
    /// Nothing can be started.
    Error,
}

/// Events that wait for the Backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxView {
    /// How many wait.
    pub waiting: usize,
    /// How many may.
    pub capacity: usize,
    /// Their length in bytes; at most [`crate::limits::EVENT_QUEUE_MAX_BYTES`].
    pub bytes: usize,
    /// How many were dropped since the start.
    pub dropped: u64,
}

impl OutboxView {
    /// Whether half of what may wait does, by number or by length.
    pub fn is_half_full(&self) -> bool {
        self.waiting > 0
            && (self.waiting.saturating_mul(2) >= self.capacity
                || self.bytes.saturating_mul(2) >= EVENT_QUEUE_MAX_BYTES)
    }
}

/// Places for processes: an instance takes one from its start until its process has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacesView {
    /// How many are taken.
    pub held: usize,
    /// How many there are.
    pub capacity: usize,
    /// Starts under way.
    pub starting: usize,
    /// How many starts may be under way at once.
    pub starts_max: usize,
    /// Starts that wait for their turn.
    pub waiting: usize,
    /// Those of them that hold a place already, and wait only for other starts to be over.
    pub waiting_in_place: usize,
    /// How many places a team may take, if that is bounded.
    pub team_quota: Option<usize>,
    /// Teams that have taken as many as they may, and how many of their starts wait for that.
    pub full_teams: BTreeMap<TeamId, usize>,
    /// How long a call waits for its instance's turn, in milliseconds.
    pub wait_ms: u64,
}

/// What a start waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// A place of its team.
    TeamPlace,
    /// A place of the satellite.
    Place,
    /// The end of other starts.
    OtherStarts,
}

impl WaitsFor {
    /// All of them.
    pub const ALL: [WaitsFor; 3] = [WaitsFor::TeamPlace, WaitsFor::Place, WaitsFor::OtherStarts];

    /// Its name in status pages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            WaitsFor::TeamPlace => "team_place",
            WaitsFor::Place => "place",
            WaitsFor::OtherStarts => "other_starts",
        }
    }
}

impl PlacesView {
    /// How many starts wait for this.
    pub fn waiting_for(&self, what: WaitsFor) -> usize {
        let of_teams = self.full_teams.values().sum();
        let others = self.waiting.saturating_sub(of_teams).saturating_sub(self.waiting_in_place);
        let is_full = self.held >= self.capacity;
        match what {
            WaitsFor::TeamPlace => of_teams,
            WaitsFor::Place if is_full => others,
            WaitsFor::Place => 0,
            WaitsFor::OtherStarts if is_full => self.waiting_in_place,
            WaitsFor::OtherStarts => self.waiting_in_place.saturating_add(others),
        }
    }

    /// What the starts of a team that wait do so for.
    pub fn waits_for(&self, team: &TeamId) -> WaitsFor {
        if self.full_teams.contains_key(team) {
            WaitsFor::TeamPlace
        } else if self.held >= self.capacity {
            WaitsFor::Place
        } else {
            WaitsFor::OtherStarts
        }
    }
}

/// An installation, with the status of its best instance.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerView {
    /// The team that installed it.
    pub team: TeamId,
    /// Its published status.
    pub status: ServerStatus,
    /// Its names.
    pub names: Arc<ServerNames>,
}

/// A server's status: that of its best instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// An instance serves.
    Online,
    /// An instance is being asked for its tools.
    DiscoveringTools,
    /// An instance is being started or reached.
    Connecting,
    /// Nothing runs, and nothing is wrong.
    Offline,
    /// The user must authorise again.
    RequiresReauth,
    /// Something is wrong.
    Error,
}

/// An instance's published status, as the wire spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// The user has still to fill in settings.
    AwaitingUserConfig,
    /// Configured, not started.
    Provisioning,
    /// A command to start it has arrived.
    CommandReceived,
    /// Being started or reached.
    Connecting,
    /// Being asked for its tools.
    DiscoveringTools,
    /// Accepted from peers, never published by us.
    SyncingTools,
    /// Serving.
    Online,
    /// Waiting to be started again.
    Restarting,
    /// Not reachable, and nothing else is known to be wrong.
    Offline,
    /// Something is wrong.
    Error,
    /// The user must authorise again.
    RequiresReauth,
    /// It crashed too often; only a command brings it back.
    PermanentlyFailed,
}

impl InstanceStatus {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceStatus::AwaitingUserConfig => "awaiting_user_config",
            InstanceStatus::Provisioning => "provisioning",
            InstanceStatus::CommandReceived => "command_received",
            InstanceStatus::Connecting => "connecting",
            InstanceStatus::DiscoveringTools => "discovering_tools",
            InstanceStatus::SyncingTools => "syncing_tools",
            InstanceStatus::Online => "online",
            InstanceStatus::Restarting => "restarting",
            InstanceStatus::Offline => "offline",
            InstanceStatus::Error => "error",
            InstanceStatus::RequiresReauth => "requires_reauth",
            InstanceStatus::PermanentlyFailed => "permanently_failed",
        }
    }

    /// The status spelled `text` on the wire, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        let text: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        InstanceStatus::deserialize(text).ok()
    }
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A child process.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// The older HTTP with server-sent events.
    Sse,
}

impl Transport {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Stdio => "stdio",
            Transport::Http => "http",
            Transport::Sse => "sse",
        }
    }
}

/// What a server is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNames {
    /// The key of the configuration: `{server_slug}-{team_slug}-{user_id}-{installation_id}`.
    pub process: String,
    /// The name for people.
    pub server: String,
    /// The name in tool paths.
    pub slug: String,
    /// The team's name in keys.
    pub team_slug: String,
    /// What the team calls the installation.
    pub installation: String,
}

/// An instance, at one moment.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Its key.
    pub key: InstanceKey,
    /// Its id at the Backend, once there is one.
    pub instance_id: Option<InstanceId>,
    /// Its server's names.
    pub names: Arc<ServerNames>,
    /// How it is spoken to.
    pub transport: Transport,
    /// How long a call of it may take, in milliseconds, counted anew by each progress notification.
    pub call_timeout_ms: u64,
    /// Its published status.
    pub status: InstanceStatus,
    /// Why it has that status, for people.
    pub status_message: Option<String>,
    /// Its process, while there is one.
    pub process: Option<ProcessView>,
    /// Since when it sleeps without a process, its tools still known.
    pub dormant_since: Option<Timestamp>,
    /// Since when its process stands still, until it is wanted.
    pub frozen_since: Option<Timestamp>,
    /// Since when its start waits for its turn.
    pub waits_since: Option<Timestamp>,
    /// Where calls go: set while a relay is ready to take them.
    pub ready: Option<Incarnation>,
    /// What it offers, as last discovered.
    pub inventory: Arc<Inventory>,
    /// Tools an administrator switched off.
    pub disabled_tools: Arc<BTreeSet<String>>,
    /// Its own path under `/i/`, and the SHA-256 of its token in hexadecimal.
    pub address: Option<InstanceAddress>,
    /// Whether its calls are reported in detail.
    pub request_logging: bool,
    /// Keeps its secrets out of what is told of it.
    pub redaction: Arc<Redaction>,
    /// Messages sent to it in all.
    pub message_count: u64,
    /// Errors in all.
    pub error_count: u64,
    /// When it was last used.
    pub last_activity: Timestamp,
    /// Whether its last health check succeeded.
    pub health: HealthStatus,
    /// When that was known: its age says how much it is worth.
    pub health_at: Option<Timestamp>,
    /// Restarts after crashes since the satellite started.
    pub restarts: u64,
}

/// The way to one instance from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceAddress {
    /// The path segment under `/i/`.
    pub path: String,
    /// SHA-256 of the instance token, in lower-case hexadecimal.
    pub token_hash: String,
}

/// A process, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// Which of the instance's processes it is.
    pub incarnation: Incarnation,
    /// Its process id, once it runs.
    pub pid: Option<u32>,
    /// Its status.
    pub status: ProcessStatus,
    /// When it was started.
    pub since: Timestamp,
}

/// A process's status, as the wire spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProcessStatus {
    /// Started, not yet through its handshake.
    Starting,
    /// Serving.
    Running,
    /// Told to end.
    Terminating,
    /// Ended as told.
    Terminated,
    /// Ended by itself, or never started.
    Failed,
}

/// Whether the last health check succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// It answered.
    Healthy,
    /// It did not.
    Unhealthy,
}

/// What a server offers, as its own words (raw JSON) and what routers need of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// The `result` of its `initialize`.
    pub initialize: Option<Box<RawValue>>,
    /// Its tools, in its own order.
    pub tools: Vec<Tool>,
    /// Its resources, in its own order.
    pub resources: Vec<Resource>,
    /// Its resource templates, in its own order.
    pub resource_templates: Vec<Resource>,
    /// Its prompts, raw.
    pub prompts: Vec<Box<RawValue>>,
    /// When this was learnt.
    pub discovered_at: Timestamp,
}

/// A tool of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tool {
    /// Its own name.
    pub name: String,
    /// Its description; empty if it has none.
    pub description: String,
    /// Whether it declares itself read-only or idempotent, so that a call may be repeated.
    pub repeatable: bool,
    /// Its definition, word for word.
    pub raw: Box<RawValue>,
}

/// A resource, or a resource template, of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// Its URI, or URI template.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// Its description; empty if it has none.
    pub description: String,
    /// Its MIME type, if stated.
    pub mime_type: Option<String>,
    /// Its definition, word for word.
    pub raw: Box<RawValue>,
}
