//! What a process and everything it started use.

use serde::{Deserialize, Serialize};

use super::files::{keyed, number};

/// What a control group used, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time since it began, in microseconds.
    pub cpu_us: u64,
    /// Time it was held back by its quota, in microseconds.
    pub throttled_us: u64,
    /// Periods in which it was held back.
    pub throttled_periods: u64,
    /// Memory that cannot be taken back: anonymous and shared memory, and what the kernel keeps for
    /// it. The page cache is not counted.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

impl Usage {
    /// Reads `cpu.stat`, `memory.stat` and `pids.current`; what a file does not say is 0.
    pub fn read(cpu_stat: &str, memory_stat: &str, pids_current: &str) -> Usage {
        let cpu = |key| keyed(cpu_stat, key).unwrap_or(0);
        Usage {
            cpu_us: cpu("usage_usec"),
            throttled_us: cpu("throttled_usec"),
            throttled_periods: cpu("nr_throttled"),
            memory_bytes: memory(memory_stat),
            processes: number(pids_current).unwrap_or(0),
        }
    }

    /// The mean share of one processor since `before`, in hundredths; 0 where no time has passed.
    pub fn cpu_percent_since(&self, before: &Usage, elapsed_ms: u64) -> u64 {
        let used_us = self.cpu_us.saturating_sub(before.cpu_us);
        used_us.saturating_mul(100).checked_div(elapsed_ms.saturating_mul(1000)).unwrap_or(0)
    }
}

fn memory(stat: &str) -> u64 {
    let of = |key| keyed(stat, key).unwrap_or(0);
    // `kernel` is missing before Linux 5.18, its parts are not.
    let kernel = match keyed(stat, "kernel") {
        Some(all) => all.saturating_sub(of("slab_reclaimable")),
        None => of("slab_unreclaimable")
            .saturating_add(of("kernel_stack"))
            .saturating_add(of("pagetables"))
            .saturating_add(of("percpu")),
    };
    of("anon").saturating_add(of("shmem")).saturating_add(of("sock")).saturating_add(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "anon 1000\nfile 900000\nkernel 300\nkernel_stack 100\npagetables 50\n\
                        sock 7\nshmem 20\nslab_reclaimable 40\nslab_unreclaimable 60\n";

    #[test]
    fn memory_that_can_be_taken_back_is_not_counted() {
        let usage = Usage::read("", STAT, "");
        assert_eq!(usage.memory_bytes, 1000 + 20 + 7 + 300 - 40);
        let older: alloc::string::String = STAT
            .lines()
            .filter(|line| !line.starts_with("kernel "))
            .flat_map(|it| [it, "\n"])
            .collect();
        assert_eq!(Usage::read("", &older, "").memory_bytes, 1000 + 20 + 7 + 100 + 50 + 60);
    }

    #[test]
    fn the_share_of_a_processor_is_that_between_two_samples() {
        let before =
            Usage::read("usage_usec 1000000\nnr_throttled 1\nthrottled_usec 5\n", "", "3\n");
        assert_eq!((before.throttled_periods, before.throttled_us, before.processes), (1, 5, 3));
        let after = Usage { cpu_us: 2_000_000, ..before };
        assert_eq!(after.cpu_percent_since(&before, 10_000), 10);
        assert_eq!(after.cpu_percent_since(&before, 0), 0);
        assert_eq!(before.cpu_percent_since(&after, 10_000), 0);
    }
}
