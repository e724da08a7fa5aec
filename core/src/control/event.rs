//! Everything that can happen to the control machine.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure};
use crate::id::{Incarnation, InstanceKey};
use crate::process::{Ended, Sample, SpawnFailure, StderrLine, TeamSample};
use crate::recording::words::Word;
use crate::relay::Report;
use crate::request::RequestKey;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::usage;

/// An event of the control machine. It serialises for recordings, which take it only without its
/// secrets: see [`crate::recording`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The daemon started. Comes once, first.
    Started(Start),
    /// A request to the Backend ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// A record is on disk, or could not be written.
    Persisted {
        /// Which, as [`super::Record::name`] gives it.
        #[serde(deserialize_with = "crate::recording::words::read")]
        record: Word,
        /// The error, for people.
        outcome: Result<(), String>,
    },
    /// A process runs, and its relay has been opened.
    Spawned {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// Its process id.
        pid: u32,
    },
    /// A process could not be started; nothing of it is left.
    SpawnFailed {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// Why.
        failure: SpawnFailure,
    },
    /// A process and everything it started has ended.
    Exited {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// How.
        ended: Ended,
    },
    /// A process and everything it started is frozen.
    Frozen {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// A process could not be frozen; it runs.
    FreezeFailed {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// Why, for people.
        error: String,
    },
    /// A process that was to be thawed runs.
    Thawed {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
    },
    /// A process could not be thawed.
    ThawFailed {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// Why, for people.
        error: String,
    },
    /// A relay reported.
    Relay {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// What.
        report: Report,
    },
    /// A client wants an instance that has no process.
    Wanted {
        /// The instance.
        key: InstanceKey,
    },
    /// A process wrote to its standard error.
    Stderr {
        /// Its instance.
        key: InstanceKey,
        /// Which of the instance's processes.
        incarnation: Incarnation,
        /// The lines, already bounded in length and rate.
        lines: Vec<StderrLine>,
        /// Lines dropped by the rate limit since the last report.
        dropped: u64,
        /// From the first of the dropped lines to this report.
        dropped_over_ms: u64,
    },
    /// The host has measured what processes use.
    Measured {
        /// When.
        at: Timestamp,
        /// What each uses.
        samples: Vec<Sample>,
        /// What those of each team use together.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        teams: Vec<TeamSample>,
    },
    /// Clients did something. Shared, so that the surface knows when it has been dealt with.
    Used {
        /// What, in order.
        #[serde(with = "crate::recording::shared")]
        reports: Arc<usage::Batch>,
        /// Reports that were too many to be passed on.
        lost: u64,
    },
    /// The surface has forgotten a user.
    UserForgotten {
        /// Which question this answers.
        request: u64,
        /// Access tokens it remembered.
        identities: u64,
        /// Sessions it ended.
        sessions: u64,
    },
    /// The heartbeat's own task had an answer from the Backend.
    HeartbeatAnswered {
        /// What the Backend said.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// Somebody asked the daemon to end.
    ShutdownRequested,
    /// Time has passed.
    Tick,
}

impl Event {
    /// The event's name in traces and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Started(_) => "started",
            Event::Answered { .. } => "answered",
            Event::Persisted { .. } => "persisted",
            Event::Spawned { .. } => "spawned",
            Event::SpawnFailed { .. } => "spawn_failed",
            Event::Exited { .. } => "exited",
            Event::Frozen { .. } => "frozen",
            Event::FreezeFailed { .. } => "freeze_failed",
            Event::Thawed { .. } => "thawed",
            Event::ThawFailed { .. } => "thaw_failed",
            Event::Relay { .. } => "relay_reported",
            Event::Wanted { .. } => "wanted",
            Event::Stderr { .. } => "stderr",
            Event::Measured { .. } => "measured",
            Event::Used { .. } => "used",
            Event::UserForgotten { .. } => "user_forgotten",
            Event::HeartbeatAnswered { .. } => "heartbeat_answered",
            Event::ShutdownRequested => "shutdown_requested",
            Event::Tick => "tick",
        }
    }
}

/// What is known at the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Start {
    /// Credentials of an earlier pairing.
    pub credentials: Option<Credentials>,
    /// The registration token; read only without credentials.
    pub registration_token: Option<Secret>,
    /// The last good configuration, as the Backend sent it.
    #[serde(with = "crate::recording::bytes::optional")]
    pub configuration: Option<Vec<u8>>,
    /// The journal as it was found; empty if there is none.
    #[serde(with = "crate::recording::bytes")]
    pub journal: Vec<u8>,
    /// Names the run of the machine's kernel: where it has changed, what was not synced may be
    /// lost. Empty if it is not known.
    pub boot: String,
}
