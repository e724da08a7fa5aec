//! What the processes of servers use: from the files of their control groups, or, where there are
//! none, from one look at all processes of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{Pid, SysconfVar, sysconf};
use satellite_core::cgroup::Usage;
use satellite_core::id::{Incarnation, InstanceKey, TeamId};
use satellite_core::process::{Sample, Samples, TeamSample};

use super::process_table::{self, Entry};

type Name = (InstanceKey, Incarnation);

/// The processes that run, and where it says what they use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    running: Arc<Mutex<BTreeMap<Name, Source>>>,
}

/// Where it says what a process uses.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The directory of its control group.
    Group(PathBuf),
    /// The process and what it started.
    Tree(Pid),
}

impl Source {
    /// The directory of its team's group, which holds its own.
    fn team_group(&self) -> Option<&Path> {
        match self {
            Source::Group(path) => path.parent(),
            Source::Tree(_) => None,
        }
    }
}

/// A process is measured for as long as this lives.
#[derive(Debug)]
pub(super) struct Entered {
    name: Name,
    measured: Measured,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.measured.lock().remove(&self.name);
    }
}

impl Measured {
    /// Has a process measured from here on.
    pub(super) fn enter(&self, name: Name, source: Source) -> Entered {
        self.lock().insert(name.clone(), source);
        Entered { name, measured: self.clone() }
    }

    /// Looks at every process; off the runtime's threads, for the kernel adds up what it counts when
    /// it is asked.
    pub(super) async fn samples(&self) -> Samples {
        let running: Vec<(Name, Source)> =
            self.lock().iter().map(|(name, source)| (name.clone(), source.clone())).collect();
        if running.is_empty() {
            return Samples::default();
        }
        tokio::task::spawn_blocking(move || read(running)).await.unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Source>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(running: Vec<(Name, Source)>) -> Samples {
    let needs_table = running.iter().any(|(_, source)| matches!(source, Source::Tree(_)));
    let table = if needs_table { process_table::list() } else { Vec::new() };
    let mut processes = Vec::new();
    let mut teams: BTreeMap<TeamId, Usage> = BTreeMap::new();
    let mut groups: BTreeMap<TeamId, PathBuf> = BTreeMap::new();
    for ((key, incarnation), source) in running {
        let usage = match &source {
            Source::Group(path) => of_group(path),
            Source::Tree(pid) => Some(of_tree(*pid, &table)),
        };
        let Some(usage) = usage else { continue };
        match source.team_group() {
            Some(path) => {
                groups.entry(key.team.clone()).or_insert_with(|| path.to_path_buf());
            }
            None => add(teams.entry(key.team.clone()).or_default(), &usage),
        }
        processes.push(Sample { key, incarnation, usage });
    }
    // The group of a team counts what has ended, too, and what is not the process of a server.
    teams.extend(groups.into_iter().filter_map(|(team, path)| Some((team, of_group(&path)?))));
    let teams = teams.into_iter().map(|(team, usage)| TeamSample { team, usage }).collect();
    Samples { processes, teams }
}

fn add(sum: &mut Usage, usage: &Usage) {
    let Usage { cpu_us, throttled_us, throttled_periods, memory_bytes, processes } = usage;
    sum.cpu_us = sum.cpu_us.saturating_add(*cpu_us);
    sum.throttled_us = sum.throttled_us.saturating_add(*throttled_us);
    sum.throttled_periods = sum.throttled_periods.saturating_add(*throttled_periods);
    sum.memory_bytes = sum.memory_bytes.saturating_add(*memory_bytes);
    sum.processes = sum.processes.saturating_add(*processes);
}

/// `None` where the group is gone.
fn of_group(path: &Path) -> Option<Usage> {
    let file = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    // Every group counts processor time, with and without the controller.
    let cpu = std::fs::read_to_string(path.join("cpu.stat")).ok()?;
    Some(Usage::read(&cpu, &file("memory.stat"), &file("pids.current")))
}

/// What a process, its session and their descendants use. Their memory is what is resident: the
/// system tells no more without looking at every page.
fn of_tree(main: Pid, table: &[Entry]) -> Usage {
    let number = main.as_raw();
    let mut known: BTreeSet<i32> = [number].into();
    let mut usage = Usage::default();
    loop {
        let before = known.len();
        for entry in table {
            if entry.session == number || known.contains(&entry.parent) {
                known.insert(entry.pid.as_raw());
            }
        }
        if known.len() == before {
            break;
        }
    }
    let tick = tick_us();
    for entry in table.iter().filter(|entry| known.contains(&entry.pid.as_raw())) {
        usage.cpu_us = usage.cpu_us.saturating_add(entry.cpu_ticks.saturating_mul(tick));
        let bytes = entry.resident_pages.saturating_mul(page_bytes());
        usage.memory_bytes = usage.memory_bytes.saturating_add(bytes);
        usage.processes = usage.processes.saturating_add(entry.threads);
    }
    usage
}

/// The microseconds of the unit in which the process table has processor time.
fn tick_us() -> u64 {
    1_000_000_u64.checked_div(configured(SysconfVar::CLK_TCK)).unwrap_or(10_000)
}

fn page_bytes() -> u64 {
    configured(SysconfVar::PAGE_SIZE)
}

fn configured(variable: SysconfVar) -> u64 {
    sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn name(user: &str) -> Name {
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: user.into() };
        (key, Incarnation(1))
    }

    #[tokio::test]
    async fn without_a_group_a_process_counts_with_all_that_it_started() {
        let mut shell = Command::new("sh");
        // Three processes, one of which works until it is killed.
        shell.args(["-c", "sleep 1000 & (while :; do :; done) & wait"]).stdin(Stdio::null());
        let mut child = std::os::unix::process::CommandExt::process_group(&mut shell, 0)
            .spawn()
            .expect("a shell");
        let main = Pid::from_raw(child.id().try_into().expect("a number"));
        let measured = Measured::default();
        let entered = measured.enter(name("u"), Source::Tree(main));
        let usage = loop {
            let samples = measured.samples().await;
            let [Sample { usage, .. }] = &samples.processes[..] else { panic!("{samples:?}") };
            let [TeamSample { usage: of_team, .. }] = &samples.teams[..] else { panic!() };
            assert_eq!(of_team, usage);
            if usage.processes == 3 && usage.cpu_us >= 50_000 {
                break *usage;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert!(usage.memory_bytes > 100_000, "{usage:?}");
        nix::sys::signal::killpg(main, nix::sys::signal::Signal::SIGKILL).expect("it runs");
        child.wait().expect("it is a child");
        drop(entered);
        assert_eq!(measured.samples().await, Samples::default());
    }

    #[tokio::test]
    async fn a_group_says_what_its_processes_use_and_one_that_is_gone_says_nothing() {
        let team = std::env::temp_dir().join(format!("usage-{}", std::process::id()));
        let directory = team.join("server");
        std::fs::create_dir_all(&directory).expect("a directory");
        for (file, text) in [
            ("cpu.stat", "usage_usec 7000\nnr_throttled 3\nthrottled_usec 900\n"),
            ("memory.stat", "anon 5000\nfile 70000\nkernel 0\n"),
            ("pids.current", "11\n"),
            ("../cpu.stat", "usage_usec 9000\n"),
            ("../memory.stat", "anon 6000\n"),
            ("../pids.current", "12\n"),
        ] {
            std::fs::write(directory.join(file), text).expect("a file");
        }
        let measured = Measured::default();
        let _here = measured.enter(name("u"), Source::Group(directory.clone()));
        let _gone = measured.enter(name("v"), Source::Group(directory.join("gone")));
        let samples = measured.samples().await;
        std::fs::remove_dir_all(&team).expect("it is there");
        let usage = Usage {
            cpu_us: 7_000,
            throttled_us: 900,
            throttled_periods: 3,
            memory_bytes: 5_000,
            processes: 11,
        };
        let (key, incarnation) = name("u");
        let of_team =
            Usage { cpu_us: 9_000, memory_bytes: 6_000, processes: 12, ..Usage::default() };
        let teams = vec![TeamSample { team: key.team.clone(), usage: of_team }];
        let processes = vec![Sample { key, incarnation, usage }];
        assert_eq!(samples, Samples { processes, teams });
    }
}
