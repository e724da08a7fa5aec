//! The groups of one daemon: found and taken at its start, swept of what an earlier one left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cgroups_rs::CgroupPid;
use nix::unistd::getpid;
use satellite_core::cgroup::{
    Limit, Membership, ProcessLimits, TeamLimits, instance_name, team_name,
};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::isolation::{Isolation, Part};
use tokio::time::{Instant, sleep};

use super::delegated::{Delegated, controller};
use super::group::{Group, below, is_populated_at, limit_team, remove};

const LIMITS: [(Limit, Part); 3] = [
    (Limit::Cpu, Part::CpuLimit),
    (Limit::Memory, Part::MemoryLimit),
    (Limit::Processes, Part::ProcessLimit),
];
const DAEMON: &str = "daemon";
const PREFIX: &str = "satellite-";
const DELEGATE: &str = "start the satellite in a control group of its own that has all controllers: \
    by systemd with Delegate=yes, for example `systemd-run --scope -p Delegate=yes satellite …`";

/// The groups of one daemon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ControlGroups {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    delegated: Delegated,
    /// The name of the daemon's own group in the delegated directory.
    name: String,
    teams: TeamLimits,
    /// Held while a team's group comes or goes.
    changing: Mutex<()>,
}

/// What was found of control groups.
#[derive(Debug)]
pub struct Opened {
    /// The groups, where there are any.
    pub groups: Option<ControlGroups>,
    /// Which parts of isolation they give, and why not the others.
    pub isolation: Isolation,
}

impl ControlGroups {
    /// Takes the part of the hierarchy that this process was started in, for the state directory
    /// that `marker` names, and moves this process into a group of its own below it.
    pub fn open(marker: &str, teams: TeamLimits) -> Opened {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        match Membership::find(&file("/proc/self/cgroup"), &file("/proc/self/mountinfo")) {
            Some(found) => Self::open_in(Path::new(&found.directory), marker, teams),
            None => Self::without(&format!(
                "this machine has no cgroup v2; mount it at /sys/fs/cgroup and {DELEGATE}"
            )),
        }
    }

    fn open_in(directory: &Path, marker: &str, teams: TeamLimits) -> Opened {
        let directory = delegated(directory);
        let name = format!("{PREFIX}{marker}");
        let own = directory.join(&name);
        let entered = fs::create_dir_all(own.join(DAEMON))
            .map_err(|error| error.to_string())
            .and_then(|()| enter(directory, &format!("{name}/{DAEMON}")));
        if let Err(error) = entered {
            let _ = remove(&own);
            return Self::without(&format!(
                "no control group can be made in {}: {error}; {DELEGATE}",
                directory.display()
            ));
        }
        if !own.join(DAEMON).join("cgroup.kill").exists() {
            return Self::without("this kernel is older than 5.14; use a newer one");
        }
        let mut isolation = Isolation::default();
        isolation.note(Part::ControlGroups, None);
        let mut controllers = Vec::new();
        for (limit, part) in LIMITS {
            let enabled = enable(directory, limit).and_then(|()| enable(&own, limit));
            if enabled.is_ok() {
                controllers.push(limit);
            }
            isolation.note(part, enabled.err());
        }
        let delegated = Delegated { directory: directory.to_owned(), controllers };
        let inner = Inner { delegated, name, teams, changing: Mutex::default() };
        Opened { groups: Some(ControlGroups { inner: Arc::new(inner) }), isolation }
    }

    fn without(why: &str) -> Opened {
        let mut isolation = Isolation::default();
        isolation.note(Part::ControlGroups, Some(String::from(why)));
        for (_, part) in LIMITS {
            isolation.note(part, Some(String::from(why)));
        }
        Opened { groups: None, isolation }
    }

    /// Makes the group of a process that is to be started.
    pub(in crate::host) fn group(
        &self,
        key: &InstanceKey,
        incarnation: Incarnation,
        limits: &ProcessLimits,
    ) -> Result<Group, String> {
        let inner = &*self.inner;
        let team = format!("{}/{}", inner.name, team_name(&key.team));
        let name = format!("{team}/{}", instance_name(key, incarnation));
        let at = |name: &str| inner.delegated.directory.join(name);
        let cannot = |error: io::Error| format!("cannot make a control group: {error}");
        {
            let _held = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
            fs::create_dir_all(at(&team)).map_err(cannot)?;
            for limit in &inner.delegated.controllers {
                enable(&at(&team), *limit)?;
            }
            limit_team(&inner.delegated.group(&team), &inner.teams)?;
            // One that is left over, empty, counts what an earlier process did.
            remove(&at(&name)).and_then(|()| fs::create_dir(at(&name))).map_err(cannot)?;
        }
        Group::begin(self.clone(), &inner.delegated, &name, limits).inspect_err(|_| {
            // Nobody is in it; a start-up would find it.
            let _ = remove(&at(&name));
            self.remove_if_empty(&at(&team));
        })
    }

    /// What a team's processes may use together.
    pub(super) fn team_limits(&self) -> &TeamLimits {
        &self.inner.teams
    }

    pub(super) fn remove_if_empty(&self, team: &Path) {
        let _held = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails while another process of the team has a group.
        let _ = fs::remove_dir(team);
    }

    /// Ends everything in the groups of an earlier daemon of this state directory, once `ask` has
    /// given them the chance to end by themselves; returns how many groups there were.
    ///
    /// The caller holds the state directory's lock, so no daemon that runs owns any of them.
    pub async fn sweep(&self, ask: impl Future<Output = ()>) -> usize {
        let own = self.own();
        let left: Vec<PathBuf> =
            below(&own).into_iter().filter(|path| !path.ends_with(DAEMON)).collect();
        for path in left.iter().flat_map(|team| below(team)) {
            // What stands still cannot end by itself.
            let _ = fs::write(path.join("cgroup.freeze"), "0");
        }
        ask.await;
        let count = left.iter().map(|team| below(team).len()).sum();
        for team in left {
            end(&team).await;
        }
        count
    }

    /// Leaves no trace, as far as that is possible: goes back to where this process was started and
    /// removes the groups. All processes have ended.
    pub fn leave(&self) {
        let Delegated { directory, controllers } = &self.inner.delegated;
        let own = self.own();
        for team in below(&own).iter().filter(|path| !path.ends_with(DAEMON)) {
            let _ = remove(team);
        }
        for group in [&own, directory] {
            for limit in controllers {
                // Another satellite beside this one may use them still.
                let text = format!("-{}", controller(*limit));
                let _ = fs::write(group.join("cgroup.subtree_control"), text);
            }
        }
        if enter(directory, "").is_ok() {
            let _ = remove(&own);
        }
    }

    fn own(&self) -> PathBuf {
        self.inner.delegated.directory.join(&self.inner.name)
    }
}

/// The directory that was delegated, also for a process that was started by one which had moved
/// below it.
fn delegated(directory: &Path) -> &Path {
    let is_ours = |own: &Path| {
        own.file_name().and_then(|name| name.to_str()).is_some_and(|it| it.starts_with(PREFIX))
    };
    match directory.parent() {
        Some(own) if directory.ends_with(DAEMON) && is_ours(own) => own.parent().unwrap_or(own),
        _ => directory,
    }
}

/// Moves this process into the group at `path` below `directory`.
fn enter(directory: &Path, path: &str) -> Result<(), String> {
    let delegated = Delegated { directory: directory.to_owned(), controllers: Vec::new() };
    let number = u64::try_from(getpid().as_raw()).unwrap_or_default();
    delegated.group(path).add_task_by_tgid(CgroupPid::from(number)).map_err(|it| it.to_string())
}

/// Gives a controller to the groups below `directory`.
fn enable(directory: &Path, limit: Limit) -> Result<(), String> {
    let name = controller(limit);
    let shown = directory.display();
    let offered = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    if !offered.split_ascii_whitespace().any(|it| it == name) {
        return Err(format!("{shown} does not have the {name} controller; {DELEGATE}"));
    }
    fs::write(directory.join("cgroup.subtree_control"), format!("+{name}")).map_err(|error| {
        match error.kind() {
            io::ErrorKind::ResourceBusy => format!(
                "processes that are not the satellite's are in {shown}, so its groups cannot have \
                 controllers; {DELEGATE}"
            ),
            _ => format!(
                "the controllers of {shown} cannot be given to groups below it: {error}; {DELEGATE}"
            ),
        }
    })
}

/// Kills everything in the group at `path` and removes it.
async fn end(path: &Path) {
    const STUCK: Duration = Duration::from_secs(30);
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let _ = fs::write(path.join("cgroup.kill"), "1");
        if !is_populated_at(path) && remove(path).is_ok() {
            return;
        }
        if started.elapsed() > STUCK {
            tracing::error!(path = %path.display(), "Processes that an earlier satellite left do not end");
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests;
