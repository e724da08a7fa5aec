//! Everything that can happen to the control machine.

use alloc::string::String;
use alloc::vec::Vec;

use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure};
use crate::id::{Incarnation, InstanceKey};
use crate::relay::Report;
use crate::request::RequestKey;
use crate::secret::Secret;

/// An event of the control machine.
#[derive(Debug)]
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
        record: &'static str,
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
            Event::Relay { .. } => "relay_reported",
            Event::Wanted { .. } => "wanted",
            Event::Stderr { .. } => "stderr",
            Event::HeartbeatAnswered { .. } => "heartbeat_answered",
            Event::ShutdownRequested => "shutdown_requested",
            Event::Tick => "tick",
        }
    }
}

/// What is known at the start.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Credentials of an earlier pairing.
    pub credentials: Option<Credentials>,
    /// The registration token; read only without credentials.
    pub registration_token: Option<Secret>,
    /// The last good configuration, as the Backend sent it.
    pub configuration: Option<Vec<u8>>,
}

/// Why a process could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnFailure {
    /// The step that failed, e.g. `resolve executable`, `exec`.
    pub step: String,
    /// What happened and what to do about it, for people.
    pub error: String,
    /// Whether the same attempt may succeed later without anybody changing anything.
    pub retryable: bool,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, e.g. `SIGKILL`.
    pub signal: Option<String>,
    /// The last lines it wrote to standard error.
    pub last_stderr: Vec<String>,
}

impl core::fmt::Display for Ended {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (&self.signal, self.code) {
            (Some(signal), _) => write!(f, "ended by {signal}"),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

/// A line of a process's standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StderrLine {
    /// The text, at most [`crate::limits::STDERR_LINE_MAX_BYTES`] long.
    pub text: String,
    /// Whether it was cut.
    pub truncated: bool,
}
