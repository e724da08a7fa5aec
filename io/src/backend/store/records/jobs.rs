//! Background jobs.

use satellite_core::time::{IsoTime, Timestamp};

/// A background job, and how it went last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Its name.
    pub name: String,
    /// When it is due.
    pub next_at: IsoTime,
    /// Which run of it is under way, if one is.
    pub lease_holder: Option<String>,
    /// Until when nobody else runs it.
    pub leased_until: Option<IsoTime>,
    /// How the last run that ended went.
    pub last: Option<JobRun>,
}

/// A run of a job that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// When it began.
    pub started_at: IsoTime,
    /// When it ended.
    pub ended_at: IsoTime,
    /// Whether it failed.
    pub failed: bool,
    /// What it did, or why it failed.
    pub message: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// The job.
    pub name: String,
    /// The run that began it.
    pub holder: String,
    /// How it went.
    pub run: JobRun,
    /// When it is due next, unless it was asked for meanwhile.
    pub next_at: Timestamp,
}
