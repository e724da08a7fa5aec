//! Background jobs.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::time::IsoTime;

/// A background job of the Backend, and how it went last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobRecord {
    /// Its name.
    pub name: String,
    /// How often it is due, in seconds.
    pub every_seconds: u64,
    /// When it is due; missing if it never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<IsoTime>,
    /// Whether a run is under way.
    pub under_way: bool,
    /// When the last run that ended began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_started_at: Option<IsoTime>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
    /// `done` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<String>,
    /// What it did, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<String>,
}

/// `data` with all jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobsData {
    /// The jobs.
    pub jobs: Vec<JobRecord>,
}

/// `data` with one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobData {
    /// The job.
    pub job: JobRecord,
}
