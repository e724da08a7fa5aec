//! One group: its limits, what happens to all in it at once, and what the kernel counts of it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cgroups_rs::cpu::CpuController;
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::memory::{MemController, SetMemory};
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, Hierarchy, MaxValue};
use nix::unistd::Pid;
use satellite_core::cgroup::{
    CPU_PERIOD_US, Counters, LimitKill, ProcessLimits, TeamLimits, has_swap, is_frozen,
    is_populated,
};

use super::delegated::Delegated;
use super::tree::ControlGroups;

/// The group of one process and everything it starts. Dropping it changes nothing.
#[derive(Debug)]
pub(in crate::host) struct Group {
    cgroup: Cgroup,
    path: PathBuf,
    limits: ProcessLimits,
    team: PathBuf,
    team_before: Counters,
    groups: ControlGroups,
}

impl Group {
    /// Takes charge of the group at `name`, below the delegated directory, that was just made: sets
    /// its limits, with the processor time of a process that starts.
    pub(super) fn begin(
        groups: ControlGroups,
        delegated: &Delegated,
        name: &str,
        limits: &ProcessLimits,
    ) -> Result<Group, String> {
        let path = delegated.root().join(name);
        let team = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let cgroup = delegated.group(name);
        let team_before = counters(&team);
        set_cpu(&cgroup, Some(limits.boosted_cpu_percent()))?;
        let memory = SetMemory {
            high: Some(value(limits.memory_high_bytes())),
            max: Some(value(limits.memory_bytes)),
            ..SetMemory::default()
        };
        set_memory(&cgroup, memory)?;
        set_processes(&cgroup, Some(limits.processes))?;
        if cgroup.controller_of::<MemController>().is_some() {
            let write = |file: &str, text: &str| {
                fs::write(path.join(file), text)
                    .map_err(|error| format!("cannot write {file} of a control group: {error}"))
            };
            // Whatever is left of a server that lost a process this way is of no use.
            write("memory.oom.group", "1")?;
            // Without a bound on swap there is none on what it allocates. Not every kernel has it.
            if path.join("memory.swap.max").exists() {
                write("memory.swap.max", &limits.memory_bytes.to_string())?;
            }
        }
        Ok(Group { cgroup, path, limits: *limits, team, team_before, groups })
    }

    /// Where it is.
    pub(in crate::host) fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, for a process to be born in.
    pub(in crate::host) fn directory(&self) -> io::Result<OwnedFd> {
        Ok(File::open(&self.path)?.into())
    }

    /// Ends the time in which it may use more of a processor than its limit.
    pub(in crate::host) fn settle(&self) {
        if let Err(error) = set_cpu(&self.cgroup, Some(self.limits.cpu_percent)) {
            tracing::warn!(error, "Cannot lower the processor time of a server that has started");
        }
    }

    /// Stops all in it from running, or lets them run on; takes effect in a moment.
    pub(in crate::host) fn freeze(&self, is_frozen: bool) -> Result<(), String> {
        let Some(freezer) = self.cgroup.controller_of::<FreezerController>() else {
            return Err(String::from("this control group cannot be frozen"));
        };
        let done = if is_frozen { freezer.freeze() } else { freezer.thaw() };
        done.map_err(|error| error.to_string())
    }

    /// Whether all in it stands still.
    pub(in crate::host) fn is_frozen(&self) -> bool {
        is_frozen(&read(&self.path, "cgroup.events"))
    }

    /// Has the kernel move what the group has in memory to where it is not needed at once. Without
    /// swap only pages of files would go, which are read again at the next wake-up: then nothing is
    /// done.
    pub(in crate::host) fn reclaim(&self) {
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        if !has_swap(&swaps) {
            return;
        }
        let path = self.path.clone();
        // It takes as long as the swap takes.
        tokio::task::spawn_blocking(move || {
            let used = read(&path, "memory.current");
            // It is over, with or without success, when as much as can go has gone.
            let _ = fs::write(path.join("memory.reclaim"), used.trim());
        });
    }

    /// Kills all in it at once, whatever they do meanwhile, frozen or not.
    pub(in crate::host) fn kill(&self) {
        if let Err(error) = self.cgroup.kill() {
            tracing::error!(error = %error, "Cannot kill a control group");
        }
    }

    /// Whether a process is in it or below it.
    pub(in crate::host) fn is_populated(&self) -> bool {
        is_populated_at(&self.path)
    }

    /// The processes in it and below it.
    pub(in crate::host) fn processes(&self) -> Vec<Pid> {
        processes(&self.path)
    }

    /// The limit that ended its process, which was not told to end; `failed` says that it did not
    /// end well.
    pub(in crate::host) fn limit_kill(&self, failed: bool) -> Option<LimitKill> {
        LimitKill::find(
            &self.limits,
            &counters(&self.path),
            self.groups.team_limits(),
            &self.team_before,
            &counters(&self.team),
            failed,
        )
    }

    /// Removes it, and its team's if that was the last. Nobody may be in it any more.
    pub(in crate::host) fn remove(self) -> io::Result<()> {
        remove(&self.path)?;
        self.groups.remove_if_empty(&self.team);
        Ok(())
    }
}

/// Limits all processes of a team together.
pub(super) fn limit_team(cgroup: &Cgroup, limits: &TeamLimits) -> Result<(), String> {
    set_cpu(cgroup, limits.cpu_percent)?;
    let max = limits.memory_bytes.map_or(MaxValue::Max, value);
    set_memory(cgroup, SetMemory { max: Some(max), ..SetMemory::default() })?;
    set_processes(cgroup, limits.processes)
}

fn value(number: u64) -> MaxValue {
    MaxValue::Value(i64::try_from(number).unwrap_or(i64::MAX))
}

fn set_cpu(cgroup: &Cgroup, percent: Option<u64>) -> Result<(), String> {
    let Some(cpu) = cgroup.controller_of::<CpuController>() else { return Ok(()) };
    // A negative quota is none.
    let quota = percent.map_or(-1, |percent| {
        i64::try_from(ProcessLimits::cpu_quota_us(percent)).unwrap_or(i64::MAX)
    });
    cpu.set_cfs_quota_and_period(Some(quota), Some(CPU_PERIOD_US)).map_err(|it| it.to_string())
}

fn set_memory(cgroup: &Cgroup, limits: SetMemory) -> Result<(), String> {
    let Some(memory) = cgroup.controller_of::<MemController>() else { return Ok(()) };
    memory.set_mem(limits).map_err(|error| error.to_string())
}

fn set_processes(cgroup: &Cgroup, most: Option<u64>) -> Result<(), String> {
    let Some(pids) = cgroup.controller_of::<PidController>() else { return Ok(()) };
    pids.set_pid_max(most.map_or(MaxValue::Max, value)).map_err(|error| error.to_string())
}

/// The content of a group's file; empty where there is none, as for a controller it does not have.
fn read(path: &Path, file: &str) -> String {
    fs::read_to_string(path.join(file)).unwrap_or_default()
}

/// The group's own counts, without those of groups below it where the kernel tells them apart.
fn counters(path: &Path) -> Counters {
    let local = |local: &str, whole: &str| {
        fs::read_to_string(path.join(local)).unwrap_or_else(|_| read(path, whole))
    };
    Counters::read(
        &local("memory.events.local", "memory.events"),
        &local("pids.events.local", "pids.events"),
    )
}

/// Whether a process is in the group at `path` or below it; a group that is gone has none.
pub(super) fn is_populated_at(path: &Path) -> bool {
    path.exists() && is_populated(&read(path, "cgroup.events"))
}

/// The processes in the group at `path` and below it.
pub(super) fn processes(path: &Path) -> Vec<Pid> {
    let mut found: Vec<Pid> = read(path, "cgroup.procs")
        .lines()
        .filter_map(|line| line.parse().ok())
        // Processes of another process namespace have no number here.
        .filter(|number| *number > 0)
        .map(Pid::from_raw)
        .collect();
    found.extend(below(path).iter().flat_map(|path| processes(path)));
    found
}

/// Removes the group at `path` with those below it. One that is gone is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for inner in below(path) {
        remove(&inner)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The groups right below `path`.
pub(super) fn below(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let directories = entries.flatten().filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
    directories.map(|entry| entry.path()).collect()
}
