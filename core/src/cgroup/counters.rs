//! What the kernel counted of limits that were reached.

use serde::{Deserialize, Serialize};

use super::files::keyed;

/// How often limits were reached in a control group since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Times the group's own memory limit left nothing to give.
    pub out_of_memory: u64,
    /// Processes in it that were killed for want of memory, whoever's limit it was.
    pub memory_kills: u64,
    /// Processes and threads that were refused at its own limit.
    pub refused_processes: u64,
}

impl Counters {
    /// Reads `memory.events.local` and `pids.events.local`; where a kernel has no such file, the
    /// one without `.local` says the same for a group that has none below it.
    pub fn read(memory_events: &str, pids_events: &str) -> Counters {
        let memory = |key| keyed(memory_events, key).unwrap_or(0);
        Counters {
            out_of_memory: memory("oom"),
            memory_kills: memory("oom_kill"),
            refused_processes: keyed(pids_events, "max").unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts_are_read() {
        let memory = "low 0\nhigh 7\nmax 90\noom 1\noom_kill 3\noom_group_kill 1\n";
        let expected = Counters { out_of_memory: 1, memory_kills: 3, refused_processes: 41 };
        assert_eq!(Counters::read(memory, "max 41\n"), expected);
        assert_eq!(Counters::read("", ""), Counters::default());
    }
}
