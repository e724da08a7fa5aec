//! Which steps lead into a jail: everything is taken away, then what a server needs is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::step::{Access, FileRule, Limit, Restriction, Step};

/// Where the new root is built; every system has this directory.
const BASE: &str = "/tmp";
/// Where the former root is seen meanwhile, in the new one.
const OLD: &str = "/.old";
/// What the files that are made, and the mount points, may take.
const SKELETON_BYTES: u64 = 1 << 20;
/// What may be kept in `/dev/shm`.
const SHARED_MEMORY_BYTES: u64 = 16 << 20;
/// Open files of a process.
const OPEN_FILES: u64 = 4_096;
/// Threads of a team, where control groups do not count them.
const PROCESSES: u64 = 2_048;
/// Devices that every program expects.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// A jail that is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jail {
    /// What is shown read-only: the place in the jail, and what is there.
    pub(crate) shown: BTreeMap<PathBuf, Shown>,
    /// Directories of which nothing may be seen, even if they lie below what is shown.
    pub(crate) hidden: BTreeSet<PathBuf>,
    /// The team's directory: the one place where what is written stays.
    pub(crate) own: PathBuf,
    /// Where the server starts, in `own`.
    pub(crate) home: PathBuf,
    /// Bytes that `/tmp` may hold.
    pub(crate) temporary_bytes: u64,
    /// The team's user; `None` leaves the satellite's.
    pub(crate) user: Option<TeamUser>,
    /// Whether it reaches nothing but itself.
    pub(crate) is_offline: bool,
    /// Whether it was born in a control group (v2) of its own.
    pub(crate) has_control_group: bool,
    /// The version of Landlock here; 0 for none.
    pub(crate) landlock: u32,
}

/// The user of a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TeamUser {
    /// The user's number.
    pub(crate) user: u32,
    /// The number of the one group.
    pub(crate) group: u32,
}

/// Something of the system that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A directory with all below it, at this place outside.
    Directory(PathBuf),
    /// A file, at this place outside.
    File(PathBuf),
    /// A symbolic link to this.
    Link(PathBuf),
}

/// The steps into `jail`, in their order.
pub(crate) fn steps(jail: &Jail) -> Vec<Step> {
    let mut plan = Plan::default();
    plan.root();
    plan.devices();
    plan.empty("/tmp", jail.temporary_bytes, 0o1777);
    plan.directory(Path::new("/proc"));
    plan.add(Step::Processes { at: "/proc".into() });
    plan.add(Step::ControlGroupNamespace);
    if jail.has_control_group {
        plan.directory(Path::new("/sys/fs/cgroup"));
        plan.add(Step::ControlGroup { at: "/sys/fs/cgroup".into() });
    }
    plan.accounts(jail.user, &jail.home);
    for (at, shown) in &jail.shown {
        plan.show(at, shown);
    }
    for hidden in &jail.hidden {
        if plan.is_shown(hidden) {
            plan.add(Step::Empty { at: hidden.clone(), bytes: SKELETON_BYTES, mode: 0o755 });
            plan.shown.insert(hidden.clone(), false);
        }
    }
    plan.own(&jail.own);
    plan.add(Step::Detach { at: OLD.into() });
    plan.add(Step::Restrict { at: "/".into(), restriction: Restriction::ReadOnly });
    plan.privileges(jail);
    plan.steps
}

#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    /// Directories that are there.
    made: BTreeSet<PathBuf>,
    /// Directories mounted so far; whether they show something of the system.
    shown: BTreeMap<PathBuf, bool>,
}

impl Plan {
    fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn root(&mut self) {
        let base = Path::new(BASE);
        let old = base.join(OLD.trim_start_matches('/'));
        self.add(Step::Tie);
        self.add(Step::PrivateMounts);
        self.add(Step::Empty { at: base.into(), bytes: SKELETON_BYTES, mode: 0o755 });
        self.add(Step::Directory { at: old.clone() });
        self.add(Step::Root { root: base.into(), old });
        self.made.insert("/".into());
    }

    fn devices(&mut self) {
        self.empty("/dev", SKELETON_BYTES, 0o755);
        for device in DEVICES {
            let at = Path::new("/dev").join(device);
            self.add(Step::File { at: at.clone(), content: String::new() });
            self.add(Step::Bind { from: outside(&at), at });
        }
        for (name, to) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
            let to = PathBuf::from(format!("/proc/self/fd{to}"));
            self.add(Step::Link { at: Path::new("/dev").join(name), to });
        }
        self.empty("/dev/shm", SHARED_MEMORY_BYTES, 0o1777);
        self.add(Step::Restrict { at: "/dev".into(), restriction: Restriction::ReadOnly });
    }

    /// Accounts that can be named in the jail: those of other teams are not among them.
    fn accounts(&mut self, team: Option<TeamUser>, home: &Path) {
        let (mut users, mut groups) = (String::new(), String::new());
        let server = team.map(|team| ("server", team.user, team.group));
        for (name, user, group) in
            [Some(("root", 0, 0)), server, Some(("nobody", 65_534, 65_534))].into_iter().flatten()
        {
            let home = if name == "server" { home } else { Path::new("/") };
            users += &format!("{name}:x:{user}:{group}::{}:/bin/false\n", home.display());
            groups += &format!("{name}:x:{group}:\n");
        }
        self.directory(Path::new("/etc"));
        self.add(Step::File { at: "/etc/passwd".into(), content: users });
        self.add(Step::File { at: "/etc/group".into(), content: groups });
    }

    /// An empty file system at `at`.
    fn empty(&mut self, at: &str, bytes: u64, mode: u32) {
        let at = Path::new(at);
        self.directory(at);
        self.add(Step::Empty { at: at.into(), bytes, mode });
        self.add(Step::Restrict { at: at.into(), restriction: Restriction::Writable });
        self.shown.insert(at.into(), false);
    }

    /// The directory `at`, and those above it.
    fn directory(&mut self, at: &Path) {
        let above: Vec<&Path> = at.ancestors().collect();
        for directory in above.into_iter().rev() {
            if !self.is_shown(directory) && self.made.insert(directory.into()) {
                self.add(Step::Directory { at: directory.into() });
            }
        }
    }

    /// Whether `at` lies in something of the system that is shown.
    fn is_shown(&self, at: &Path) -> bool {
        at.ancestors().find_map(|above| self.shown.get(above)).copied().unwrap_or(false)
    }

    fn show(&mut self, at: &Path, shown: &Shown) {
        if self.is_shown(at) {
            return;
        }
        if let Some(above) = at.parent() {
            self.directory(above);
        }
        match shown {
            Shown::Link(to) => {
                self.add(Step::Link { at: at.into(), to: to.clone() });
                return;
            }
            Shown::Directory(from) => {
                self.directory(at);
                self.add(Step::Bind { from: outside(from), at: at.into() });
                self.shown.insert(at.into(), true);
            }
            Shown::File(from) => {
                self.add(Step::File { at: at.into(), content: String::new() });
                self.add(Step::Bind { from: outside(from), at: at.into() });
            }
        }
        self.add(Step::Restrict { at: at.into(), restriction: Restriction::ReadOnlyTree });
    }

    fn own(&mut self, own: &Path) {
        self.directory(own);
        self.add(Step::Bind { from: outside(own), at: own.into() });
        self.add(Step::Restrict { at: own.into(), restriction: Restriction::Writable });
    }

    fn privileges(&mut self, jail: &Jail) {
        self.add(Step::HostName { name: String::from("satellite") });
        if jail.is_offline {
            self.add(Step::Loopback);
        }
        self.add(Step::Limit { limit: Limit::Core, value: 0 });
        self.add(Step::Limit { limit: Limit::OpenFiles, value: OPEN_FILES });
        self.add(Step::NoCapabilitiesByExec);
        if let Some(TeamUser { user, group }) = jail.user {
            // Counted by user: the satellite's own threads would count as well.
            self.add(Step::Limit { limit: Limit::Processes, value: PROCESSES });
            self.add(Step::User { user, group });
            // A change of user undoes it.
            self.add(Step::Tie);
        }
        self.add(Step::NoCapabilities);
        self.add(Step::NoNewPrivileges);
        self.add(Step::WorkingDirectory { at: jail.home.clone() });
        if jail.landlock > 0 {
            let rule = |below: &Path, access| FileRule { below: below.into(), access };
            let rules = vec![
                rule(Path::new("/"), Access::Read),
                rule(Path::new("/dev"), Access::Devices),
                rule(Path::new("/dev/shm"), Access::Write),
                rule(Path::new("/tmp"), Access::Write),
                rule(&jail.own, Access::Write),
            ];
            self.add(Step::Files { rules, version: jail.landlock });
        }
        self.add(Step::SystemCalls);
    }
}

/// Where something of the former root is seen from the new one.
fn outside(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests;
