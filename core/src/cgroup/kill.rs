//! Which limit ended a process, and how to raise it.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::limits::{Limit, MIB, ProcessLimits, TeamLimits};

/// What an operator is told to try next for memory, in MiB.
const NEXT_MIB: [u64; 3] = [256, 512, 1024];

/// A limit that ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitKill {
    /// Which.
    pub limit: Limit,
    /// Whose.
    pub owner: Owner,
    /// The limit, in its own unit; 0 where it is the machine's end.
    pub value: u64,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The process's own.
    Process,
    /// That of all its team's processes together.
    Team,
    /// Nobody's: the machine itself had no more.
    Machine,
}

impl LimitKill {
    /// Decides from the kernel's counts, at the end of a process that was not told to end.
    ///
    /// `team_before` and `team` are its team's counts at its start and at its end. A process that
    /// was only refused further processes was not killed; it counts as ended by that limit if it
    /// `failed`, for there is hardly another reason.
    pub fn find(
        limits: &ProcessLimits,
        own: &Counters,
        teams: &TeamLimits,
        team_before: &Counters,
        team: &Counters,
        failed: bool,
    ) -> Option<LimitKill> {
        if own.memory_kills > 0 {
            let team_limit = teams.memory_bytes.filter(|_| {
                own.out_of_memory == 0 && team.out_of_memory > team_before.out_of_memory
            });
            let (owner, value) = match team_limit {
                Some(value) => (Owner::Team, value),
                None if own.out_of_memory > 0 => (Owner::Process, limits.memory_bytes),
                None => (Owner::Machine, 0),
            };
            return Some(LimitKill { limit: Limit::Memory, owner, value });
        }
        if !failed {
            return None;
        }
        if own.refused_processes > 0 {
            let value = limits.processes;
            return Some(LimitKill { limit: Limit::Processes, owner: Owner::Process, value });
        }
        let value = teams.processes?;
        (team.refused_processes > team_before.refused_processes).then_some(LimitKill {
            limit: Limit::Processes,
            owner: Owner::Team,
            value,
        })
    }

    /// What happened and what to do about it, for people; `slug` names the server.
    pub fn explain(&self, slug: &str) -> String {
        let value = self.value;
        match (self.limit, self.owner) {
            (Limit::Memory, Owner::Process) => format!(
                "the server used more memory than its limit of {} MB and was ended; raise it with \
                 SATELLITE_SERVER_LIMITS=\"{slug}:memory={}\"",
                value / MIB,
                next_memory_bytes(value) / MIB
            ),
            (Limit::Memory, Owner::Team) => format!(
                "the servers of this team used more memory together than their limit of {} MB, and \
                 this one was ended; raise it with SATELLITE_TEAM_MEMORY_MB={}",
                value / MIB,
                next_memory_bytes(value) / MIB
            ),
            (Limit::Memory, Owner::Machine) => String::from(
                "the machine ran out of memory and the server was ended; add memory or run fewer \
                 servers",
            ),
            (Limit::Processes, Owner::Team) => format!(
                "the servers of this team reached their limit of {value} processes and threads \
                 together, and this one ended; raise it with SATELLITE_TEAM_PROCESSES={}",
                value.saturating_mul(2)
            ),
            (Limit::Processes, _) => format!(
                "the server reached its limit of {value} processes and threads and ended; raise it \
                 with SATELLITE_SERVER_LIMITS=\"{slug}:processes={}\"",
                value.saturating_mul(2)
            ),
            (Limit::Cpu, _) => format!(
                "the server used more than its limit of {value} % of a processor; raise it with \
                 SATELLITE_SERVER_LIMITS=\"{slug}:cpu={}\"",
                value.saturating_mul(2)
            ),
        }
    }
}

/// The memory limit to try after `bytes`: the next of 256, 512 and 1024 MiB, then twice as much.
pub fn next_memory_bytes(bytes: u64) -> u64 {
    let next = NEXT_MIB.into_iter().map(|mib| mib * MIB).find(|next| *next > bytes);
    next.unwrap_or_else(|| bytes.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Counters = Counters { out_of_memory: 0, memory_kills: 0, refused_processes: 0 };

    fn found(own: Counters, team: Counters, failed: bool) -> Option<(Limit, Owner, u64)> {
        let teams =
            TeamLimits { memory_bytes: Some(500 * MIB), processes: Some(600), cpu_percent: None };
        let kill = LimitKill::find(&ProcessLimits::default(), &own, &teams, &NONE, &team, failed);
        kill.map(|it| (it.limit, it.owner, it.value))
    }

    #[test]
    fn the_limit_that_ended_a_process_is_told_from_those_it_only_touched() {
        let killed = Counters { out_of_memory: 1, memory_kills: 3, ..NONE };
        let by_others = Counters { memory_kills: 1, ..NONE };
        let refused = Counters { refused_processes: 9, ..NONE };
        assert_eq!(found(killed, NONE, true), Some((Limit::Memory, Owner::Process, 100 * MIB)));
        assert_eq!(found(by_others, killed, true), Some((Limit::Memory, Owner::Team, 500 * MIB)));
        assert_eq!(found(by_others, NONE, true), Some((Limit::Memory, Owner::Machine, 0)));
        assert_eq!(found(refused, NONE, true), Some((Limit::Processes, Owner::Process, 256)));
        assert_eq!(found(NONE, refused, true), Some((Limit::Processes, Owner::Team, 600)));
        for own in [NONE, refused] {
            assert_eq!(found(own, NONE, false), None, "it ended well");
        }
        assert_eq!(found(NONE, NONE, true), None, "a crash of its own");
    }

    #[test]
    fn a_kill_says_which_limit_and_how_to_raise_it() {
        let kill = LimitKill { limit: Limit::Memory, owner: Owner::Process, value: 100 * MIB };
        let text = kill.explain("files");
        assert!(text.contains("100 MB") && text.contains("\"files:memory=256\""), "{text}");
        for (before, after) in [(256, 512), (300, 512), (512, 1024), (1024, 2048), (3000, 6000)] {
            assert_eq!(next_memory_bytes(before * MIB), after * MIB);
        }
        let all = [Limit::Cpu, Limit::Memory, Limit::Processes].into_iter().flat_map(|limit| {
            [Owner::Process, Owner::Team, Owner::Machine].map(|owner| (limit, owner))
        });
        for (limit, owner) in all {
            let text = LimitKill { limit, owner, value: 7 }.explain("files");
            assert!(text.contains("; "), "no advice: {text}");
        }
    }
}
