//! Limits that stand in where no control group limits a server as a whole: setrlimit(2).
//!
//! Memory is each process's own, and what it asked for rather than what it uses: `RLIMIT_DATA`. With
//! `RLIMIT_AS`, node does not start at 512 MiB, and up to 4 GiB, the most that was tried, its `fetch`
//! fails, for it reserves addresses that it never uses. Processes are counted by user, so that there is a limit
//! only in a jail: as root each team has a user there ([`crate::jail`] limits that), and otherwise
//! each server has a user namespace. Processor time has none: `RLIMIT_CPU` ends a process once it
//! has used so much in all its life, and a server lives long.

use nix::sys::resource::{Resource, getrlimit};
use satellite_core::cgroup::{MIB, ProcessLimits};
use satellite_core::isolation::{Isolation, Part};

/// What a process may ask for beyond its limit of memory: the stacks of its threads are counted
/// whole, though little of them is ever used.
const UNUSED_BYTES: u64 = 64 * MIB;
/// Open files of a process, as in a jail.
const OPEN_FILES: u64 = 4_096;

/// Which limits something stands in for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandIns {
    /// That of memory.
    pub memory: bool,
    /// That of processes and threads.
    pub processes: bool,
}

impl StandIns {
    /// For what is missing on this machine.
    pub fn of(isolation: &Isolation) -> Self {
        StandIns {
            memory: isolation.wants_stand_in(Part::MemoryLimit),
            processes: isolation.wants_stand_in(Part::ProcessLimit),
        }
    }

    /// The limits of a server's processes. `counts_apart` says whether its processes are counted
    /// apart from all others.
    pub(super) fn limits(self, limits: &ProcessLimits, counts_apart: bool) -> Vec<(Resource, u64)> {
        let mut chosen = Vec::new();
        if self.memory {
            chosen.push((Resource::RLIMIT_DATA, limits.memory_bytes.saturating_add(UNUSED_BYTES)));
            chosen.push((Resource::RLIMIT_NOFILE, OPEN_FILES));
        }
        if self.processes && counts_apart {
            // And the jail's own.
            chosen.push((Resource::RLIMIT_NPROC, limits.processes.saturating_add(1)));
        }
        // Nobody but root may have more than it has.
        let possible = |resource| getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
        chosen
            .into_iter()
            .map(|(resource, value)| (resource, value.min(possible(resource))))
            .collect()
    }
}
