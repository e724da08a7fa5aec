//! What a process may use and what it uses, as control groups (cgroup v2) count it: the values to
//! write, the files to read, when to warn, and which limit ended a process.

mod alarm;
mod counters;
mod files;
mod kill;
mod limits;
mod name;
mod usage;

pub use alarm::{Alarm, Crossing};
pub use counters::Counters;
pub use files::{Membership, has_swap, is_frozen, is_populated, keyed, number};
pub use kill::{LimitKill, Owner, next_memory_bytes};
pub use limits::{CPU_PERIOD_US, Change, Limit, MEMORY_MIN_BYTES, MIB, ProcessLimits, TeamLimits};
pub use name::{instance_name, team_name};
pub use usage::Usage;
