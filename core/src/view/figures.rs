//! Figures of instances and teams, as the last samples gave them.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::cgroup::{Limit, ProcessLimits, TeamLimits, Usage};
use crate::id::Incarnation;

/// What is counted and measured of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What its process uses, once that was measured.
    pub measured: Option<Measured>,
    /// Processes that were started.
    pub spawned: u64,
    /// Processes that could not be started.
    pub not_spawned: u64,
    /// Processes that ended, by reason: `told`, `exit` (with code 0), `failure` (with another code),
    /// `signal`, `memory_limit`, `process_limit`, `cpu_limit`.
    pub ended: BTreeMap<&'static str, u64>,
}

/// What a process used at its last sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Which of the instance's processes.
    pub incarnation: Incarnation,
    /// What it used.
    pub usage: Usage,
    /// The share of one processor, in hundredths, over the last half minute that was looked at.
    pub cpu_percent: Option<u64>,
    /// The limits of which it has been warned.
    pub near: BTreeSet<Limit>,
    /// What it may use.
    pub limits: ProcessLimits,
}

/// What all processes of a team used together at their last sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamFigures {
    /// What they used.
    pub usage: Usage,
    /// The share of one processor, in hundredths, over the last half minute that was looked at.
    pub cpu_percent: Option<u64>,
    /// The limits of which the team has been warned.
    pub near: BTreeSet<Limit>,
    /// What they may use.
    pub limits: TeamLimits,
}

/// Calls of a team's tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that have ended.
    pub count: u64,
    /// Those of them that failed.
    pub errors: u64,
}
