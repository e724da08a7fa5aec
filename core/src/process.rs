//! Processes, as the core speaks of them: what to start, why that failed, how they ended.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::cgroup::{LimitKill, ProcessLimits, Usage};
use crate::id::{Incarnation, InstanceKey, TeamId};
use crate::secret::Secret;

/// A child process to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The executable, a name from the allow list or an absolute path on it.
    pub command: String,
    /// Its arguments. No shell ever sees them.
    pub args: Vec<String>,
    /// Its own environment variables, added to a clean environment.
    pub env: Vec<(String, Secret)>,
    /// How long its handshake may take.
    pub handshake_timeout_ms: u64,
    /// What it may use.
    #[serde(default, skip_serializing_if = "ProcessLimits::is_default")]
    pub limits: ProcessLimits,
}

/// Why a process could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnFailure {
    /// The step that failed, e.g. `resolve executable`, `exec`.
    pub step: String,
    /// What happened and what to do about it, for people.
    pub error: String,
    /// Whether the same attempt may succeed later without anybody changing anything.
    pub retryable: bool,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, e.g. `SIGKILL`.
    pub signal: Option<String>,
    /// The limit that ended it, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitKill>,
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

/// What a process, with everything it started, used at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Its instance.
    pub key: InstanceKey,
    /// Which of the instance's processes.
    pub incarnation: Incarnation,
    /// What it used.
    pub usage: Usage,
}

/// What all processes of a team used together at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamSample {
    /// The team.
    pub team: TeamId,
    /// What they used.
    pub usage: Usage,
}

/// What the host measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Each process, with everything it started.
    pub processes: Vec<Sample>,
    /// Each team that has one.
    pub teams: Vec<TeamSample>,
}

/// A line of a process's standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StderrLine {
    /// The text, at most [`crate::limits::STDERR_LINE_MAX_BYTES`] long.
    pub text: String,
    /// Whether it was cut.
    pub truncated: bool,
}
