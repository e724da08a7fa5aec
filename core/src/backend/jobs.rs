//! What the Backend does without being asked: which jobs there are, and how often each is due.

use super::retention::HEARTBEAT_CLEANUP_INTERVAL_MS;
use crate::time::{MINUTE, SECOND};

/// How long one replica has a job for itself. One that dies in it is followed by another after this.
pub const LEASE_MS: u64 = 10 * MINUTE;

/// A background job. It is run once for all replicas that share a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Satellites that have not been heard of for long are `inactive`.
    SilentSatellites,
    /// Commands that nobody fetched or reported in time end, or are handed out again.
    CommandEnds,
    /// What is not to be kept is removed.
    Retention,
}

impl Job {
    /// All of them.
    pub const ALL: [Job; 3] = [Job::SilentSatellites, Job::CommandEnds, Job::Retention];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Job::SilentSatellites => "silent-satellites",
            Job::CommandEnds => "command-ends",
            Job::Retention => "retention",
        }
    }

    /// The job of a name.
    pub fn named(name: &str) -> Option<Job> {
        Job::ALL.into_iter().find(|job| job.as_str() == name)
    }

    /// How long after one run's start the next is due.
    pub fn every_ms(self) -> u64 {
        match self {
            Job::SilentSatellites | Job::CommandEnds => 15 * SECOND,
            Job::Retention => HEARTBEAT_CLEANUP_INTERVAL_MS,
        }
    }
}
