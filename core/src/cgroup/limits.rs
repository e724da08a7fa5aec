//! How much a process, and all processes of a team, may use.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The period of the CPU quota. With the usual tenth of it, a small quota makes every answer wait
/// for the next period; a call's p99 is then 25 times as long.
pub const CPU_PERIOD_US: u64 = 1_000_000;

/// Bytes of a mebibyte, the unit limits of memory are chosen in.
pub const MIB: u64 = 1024 * 1024;

/// The least memory that a process may be limited to: with less, hardly one starts.
pub const MEMORY_MIN_BYTES: u64 = 8 * MIB;

/// Pages are counted whole.
const PAGE_BYTES: u64 = 4096;

/// A resource that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Processes and threads.
    Processes,
}

impl Limit {
    /// Its name in events and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Cpu => "cpu",
            Limit::Memory => "memory",
            Limit::Processes => "processes",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one process of a server may use, with everything it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Hundredths of one processor.
    pub cpu_percent: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        ProcessLimits { cpu_percent: 10, memory_bytes: 100 * MIB, processes: 256 }
    }
}

impl ProcessLimits {
    /// Whether these are the limits of a process of which nobody said anything.
    pub fn is_default(&self) -> bool {
        *self == ProcessLimits::default()
    }

    /// The processor time it may have while it starts: one whole processor, or more if its own
    /// limit is more.
    pub fn boosted_cpu_percent(&self) -> u64 {
        self.cpu_percent.max(100)
    }

    /// Where memory begins to be reclaimed, and the process to be slowed down: 95 % of the limit, in
    /// whole pages. Much lower, and the kernel would hold a process that leaks up for minutes
    /// before it reaches the limit.
    pub fn memory_high_bytes(&self) -> u64 {
        let high = self.memory_bytes / 100 * 95;
        high - high % PAGE_BYTES
    }

    /// The value of one limit, in its own unit.
    pub fn value(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Cpu => self.cpu_percent,
            Limit::Memory => self.memory_bytes,
            Limit::Processes => self.processes,
        }
    }

    /// These limits with what an operator chose for one server.
    #[must_use]
    pub fn changed(&self, change: &Change) -> ProcessLimits {
        ProcessLimits {
            cpu_percent: change.cpu_percent.unwrap_or(self.cpu_percent),
            memory_bytes: change.memory_bytes.unwrap_or(self.memory_bytes),
            processes: change.processes.unwrap_or(self.processes),
        }
    }

    /// The microseconds of processor time in each [`CPU_PERIOD_US`] that `cpu_percent` is.
    pub fn cpu_quota_us(cpu_percent: u64) -> u64 {
        cpu_percent.saturating_mul(CPU_PERIOD_US / 100)
    }
}

/// What all processes of one team may use together; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamLimits {
    /// Hundredths of one processor.
    pub cpu_percent: Option<u64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

impl TeamLimits {
    /// The value of one limit, in its own unit, where there is one.
    pub fn value(&self, limit: Limit) -> Option<u64> {
        match limit {
            Limit::Cpu => self.cpu_percent,
            Limit::Memory => self.memory_bytes,
            Limit::Processes => self.processes,
        }
    }
}

/// What an operator chose for one server; the rest is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Hundredths of one processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
}

impl Change {
    /// Reads one server's part of `SATELLITE_SERVER_LIMITS`, e.g. `memory=256,cpu=50,processes=64`:
    /// memory in MiB, the processor in hundredths of one. An error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Change, String> {
        let mut change = Change::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong =
                || format!("{part:?} is no limit such as memory=256, cpu=50 or processes=64");
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let value: u64 = value.trim().parse().map_err(|_| wrong())?;
            let (place, value, allowed) = match name.trim() {
                "cpu" => (&mut change.cpu_percent, value, 1..=100_000),
                "memory" => (
                    &mut change.memory_bytes,
                    value.saturating_mul(MIB),
                    MEMORY_MIN_BYTES..=1 << 50,
                ),
                "processes" => (&mut change.processes, value, 1..=4_000_000),
                _ => return Err(wrong()),
            };
            if !allowed.contains(&value) {
                return Err(format!("{part:?} is out of range"));
            }
            if place.replace(value).is_some() {
                return Err(format!("{part:?} is there twice"));
            }
        }
        if change == Change::default() {
            return Err(String::from("it names no limit; write for example memory=256"));
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_tenth_of_a_processor_and_100_megabytes() {
        let limits = ProcessLimits::default();
        assert_eq!(ProcessLimits::cpu_quota_us(limits.cpu_percent), 100_000);
        assert_eq!((limits.memory_bytes, limits.processes), (104_857_600, 256));
        assert_eq!(limits.boosted_cpu_percent(), 100);
        let high = limits.memory_high_bytes();
        assert!(high < limits.memory_bytes && high % 4096 == 0, "{high}");
        assert_eq!(ProcessLimits { cpu_percent: 250, ..limits }.boosted_cpu_percent(), 250);
    }

    #[test]
    fn a_server_has_its_own_limits_where_the_operator_says_so() {
        let change = Change::parse("memory=256, cpu=50").unwrap();
        let limits = ProcessLimits::default().changed(&change);
        let expected = ProcessLimits { cpu_percent: 50, memory_bytes: 256 * MIB, processes: 256 };
        assert_eq!(limits, expected);
        assert_eq!(limits.value(Limit::Memory), 256 * MIB);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_to_write() {
        for text in
            ["", "memory", "memory=", "memory=-1", "memory=0", "cpu=0", "disk=3", "cpu=1,cpu=2"]
        {
            let error = Change::parse(text).unwrap_err();
            assert!(!error.is_empty(), "{text:?}");
        }
        assert!(Change::parse("memory=99999999999999999999").is_err());
        assert!(Change::parse("memory=18446744073709551615").is_err());
    }
}
