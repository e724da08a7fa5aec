//! What servers may use, and how far they are isolated.

use std::collections::BTreeMap;

use satellite_core::cgroup::{Change, MEMORY_MIN_BYTES, MIB, ProcessLimits, TeamLimits};
use satellite_core::isolation::Asked;

use super::check::number;
use super::sources::{Sources, Value};
use crate::exit::{Exit, usage};

/// More than any machine has, and far from what the arithmetic of bytes can hold.
const MEMORY_MAX_MIB: u64 = 1 << 30;

pub(super) fn isolation(sources: &Sources) -> Result<Asked, Exit> {
    let Value { text, origin } = sources.value("SATELLITE_ISOLATION");
    Asked::parse(text.trim())
        .ok_or_else(|| usage(format!("{origin} is {text:?}"), "use required, best-effort or off"))
}

pub(super) fn of_processes(sources: &Sources) -> Result<ProcessLimits, Exit> {
    let least = MEMORY_MIN_BYTES / MIB;
    Ok(ProcessLimits {
        cpu_percent: number(sources, "MCP_PROCESS_CPU_PERCENT", 1, 100_000)?,
        memory_bytes: MIB * number::<u64>(sources, "MCP_PROCESS_MEMORY_MB", least, MEMORY_MAX_MIB)?,
        processes: number(sources, "MCP_PROCESS_MAX_PROCESSES", 1, 4_000_000)?,
    })
}

/// The limits of single servers, by slug.
pub(super) fn of_servers(sources: &Sources) -> Result<BTreeMap<String, Change>, Exit> {
    let Value { text, origin } = sources.value("SATELLITE_SERVER_LIMITS");
    let mut found = BTreeMap::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = |what: String| {
            usage(
                format!("{origin} holds {part:?}: {what}"),
                "write it as files:memory=256,cpu=50;docs:processes=64",
            )
        };
        let Some((slug, limits)) = part.split_once(':') else {
            return Err(wrong(String::from("no server is named")));
        };
        let change = Change::parse(limits).map_err(wrong)?;
        if found.insert(String::from(slug.trim()), change).is_some() {
            return Err(wrong(String::from("the server is there twice")));
        }
    }
    Ok(found)
}

/// How many servers may have a process, or be started, at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) processes: usize,
    pub(super) per_team: Option<usize>,
    pub(super) starts: usize,
    pub(super) wait_ms: u64,
}

/// More than the satellite keeps instances.
const PLACES_MAX: u64 = 100_000;

pub(super) fn of_places(sources: &Sources) -> Result<Places, Exit> {
    const STARTS_PER_PROCESSOR: usize = 2;
    const STARTS_MIN: usize = 4;
    let chosen = |name: &str| {
        number(sources, name, 0, PLACES_MAX).map(|value: usize| Some(value).filter(|it| *it > 0))
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Places {
        processes: number(sources, "SATELLITE_INSTANCES", 1, PLACES_MAX)?,
        per_team: chosen("SATELLITE_TEAM_INSTANCES")?,
        starts: chosen("SATELLITE_STARTS")?
            .unwrap_or_else(|| STARTS_MIN.max(STARTS_PER_PROCESSOR.saturating_mul(processors))),
        wait_ms: 1_000 * number::<u64>(sources, "SATELLITE_START_WAIT_SECONDS", 1, 3_600)?,
    })
}

pub(super) fn of_teams(sources: &Sources) -> Result<TeamLimits, Exit> {
    let chosen = |name: &str, most: u64| {
        number(sources, name, 0, most).map(|value: u64| Some(value).filter(|value| *value > 0))
    };
    Ok(TeamLimits {
        cpu_percent: chosen("SATELLITE_TEAM_CPU_PERCENT", 1_000_000)?,
        memory_bytes: chosen("SATELLITE_TEAM_MEMORY_MB", MEMORY_MAX_MIB)?.map(|mib| mib * MIB),
        processes: chosen("SATELLITE_TEAM_PROCESSES", 4_000_000)?,
    })
}
