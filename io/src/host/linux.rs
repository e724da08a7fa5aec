//! Processes on Linux.

mod packages;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::c_int;
use satellite_core::id::TeamId;
use satellite_core::process::{Samples, SpawnFailure};
use sha2::{Digest, Sha256};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::cgroup::{ControlGroups, Group};
use super::environment::{BaseEnvironment, MARKER};
use super::executables::Executables;
use super::jailer::{Inmate, JailOptions, Jailer, MissingPart, REHEARSAL, Reports};
use super::spawner::{Child, Program, Spawner, Step};
use super::stand_ins::StandIns;
use super::supervisor::{Supervisor, end_group};
use super::usage::{Entered, Measured, Source};
use super::{Launch, Process, ProcessHost};
use packages::{Packages, Start};

/// What the pipes to a child hold, where the system allows it: large answers then take fewer turns.
const PIPE_BYTES: c_int = 256 * 1024;

/// How processes are started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The part of every marker that is this daemon's: see [`crate::state_dir::StateDir::marker`].
    pub marker: String,
    /// Executables that may be started: names, or absolute paths.
    pub allowed_commands: BTreeSet<String>,
    /// The daemon's environment; children see only a short list of it.
    pub environment: Vec<(OsString, OsString)>,
    /// Below this directory each team has a home and a temporary directory of its own.
    pub homes: PathBuf,
    /// Below this directory is kept what is known of installed packages.
    pub packages: PathBuf,
    /// One home for all instead, for a developer's own machine.
    pub shared_home: Option<PathBuf>,
    /// How servers are jailed; `None` leaves them unjailed.
    pub jail: Option<JailOptions>,
    /// The control groups to start them in, where there are any.
    pub groups: Option<ControlGroups>,
    /// For what those do not limit.
    pub stand_ins: StandIns,
}

/// Starts children of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LinuxHost {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    marker: String,
    executables: Executables,
    environment: BaseEnvironment,
    homes: PathBuf,
    packages: Packages,
    shared_home: Option<PathBuf>,
    jailer: Option<Jailer>,
    groups: Option<ControlGroups>,
    stand_ins: StandIns,
    measured: Measured,
    spawner: Spawner,
}

impl LinuxHost {
    /// Resolves the executables and starts the thread that starts processes.
    ///
    /// Fails when that thread cannot be started, or servers are to be jailed and there is no place
    /// for their homes.
    pub fn new(options: HostOptions) -> io::Result<Self> {
        let environment = BaseEnvironment::new(options.environment);
        let executables = Executables::resolve(&options.allowed_commands, &environment.path());
        let missing: Vec<&str> = executables.missing().collect();
        if !missing.is_empty() {
            tracing::debug!(
                commands = missing.join(", "),
                "Allowed commands that are not installed"
            );
        }
        let packages = Packages::new(options.packages, &environment.path());
        let mut homes = options.homes;
        let jailer = match options.jail {
            None => None,
            Some(jail) => {
                // The jail knows it by the one name that no link changes.
                create_private(&homes)?;
                homes = homes.canonicalize()?;
                Some(Jailer::new(jail, homes.clone(), &options.marker))
            }
        };
        let inner = Inner {
            marker: options.marker,
            executables,
            environment,
            homes,
            packages,
            shared_home: options.shared_home,
            jailer,
            groups: options.groups,
            stand_ins: options.stand_ins,
            measured: Measured::default(),
            spawner: Spawner::start()?,
        };
        Ok(LinuxHost { inner: Arc::new(inner) })
    }
}

impl LinuxHost {
    /// What is missing for jails, found by setting one up; what it takes with it ends with it.
    pub async fn rehearse(&self) -> Result<(), MissingPart> {
        let inner = &*self.inner;
        let missing = |step: &str, error: String| MissingPart { step: step.to_owned(), error };
        let team = TeamId::from("rehearsal");
        // No team's: those are named by a hash.
        let own = inner.homes.join(REHEARSAL);
        let home = own.join("home");
        let rehearsed = async {
            create_private(&home).map_err(|error| {
                missing("create directories", format!("{}: {error}", home.display()))
            })?;
            let inmate = Inmate {
                team,
                own: own.clone(),
                home,
                executable: PathBuf::from("/bin/true"),
                arguments: Vec::new(),
                environment: BTreeMap::new(),
                marker: (MARKER.into(), OsString::from(format!("{}:rehearsal:0", inner.marker))),
                cgroup: None,
            };
            let (program, mut reports) =
                self.jailed(inmate).await.map_err(|failed| missing(&failed.step, failed.error))?;
            let child = inner
                .spawner
                .spawn(program)
                .await
                .map_err(|failed| missing(failed.step.name(), failed.error.to_string()))?;
            let outcome = reports.until_running().await;
            drop(child);
            outcome.map_err(|(step, error)| missing(&step, error.to_string()))
        };
        let outcome = rehearsed.await;
        // Made for this alone.
        let _ = std::fs::remove_dir_all(own);
        outcome
    }

    /// Removes the accounts that were made for teams other than `teams`: these are all that have
    /// servers here.
    pub async fn keep_users(&self, teams: BTreeSet<TeamId>) {
        let inner = Arc::clone(&self.inner);
        let keep = move || {
            if let Some(jailer) = &inner.jailer {
                jailer.keep_users(&teams);
            }
        };
        // It ends early only where the daemon does.
        let _ = tokio::task::spawn_blocking(keep).await;
    }

    /// Prepares a jail; on a thread of its own, for the system may take its time to make a user.
    async fn jailed(&self, inmate: Inmate) -> Result<(Program, Reports), SpawnFailure> {
        let inner = Arc::clone(&self.inner);
        let prepare = move || match &inner.jailer {
            Some(jailer) => jailer.program(inmate),
            None => Err(String::from("servers are not jailed")),
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        prepared
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|error| failure("prepare the jail", error, true))
    }
}

impl ProcessHost for LinuxHost {
    type Stdin = pipe::Sender;
    type Stdout = pipe::Receiver;
    type Stderr = pipe::Receiver;

    async fn spawn(&self, launch: Launch) -> Result<Process<Self>, SpawnFailure> {
        let inner = &*self.inner;
        let process = &launch.process;
        let executable = inner
            .executables
            .find(&process.command)
            .map_err(|error| failure("resolve executable", error, false))?;
        let start = self.start_of(&launch, executable).await?;
        self.spawn_at(launch, start).await
    }

    async fn samples(&self) -> Samples {
        self.inner.measured.samples().await
    }
}

impl LinuxHost {
    /// Starts the process of `launch`, by another executable and with other arguments than it names.
    async fn spawn_at(&self, launch: Launch, start: Start) -> Result<Process<Self>, SpawnFailure> {
        let inner = &*self.inner;
        let process = &launch.process;
        let Start { executable, arguments } = start;
        let executable = executable.as_path();
        let (home, temporary) = inner.directories(&launch.key.team).map_err(|(path, error)| {
            let error = format!("cannot create {}: {error}; make it writable", path.display());
            failure("create directories", error, true)
        })?;
        let marker = format!("{}:{}:{}", inner.marker, launch.key, launch.incarnation.0);
        let environment = inner
            .environment
            .with(&process.env, &home, &temporary, &marker)
            .map_err(|error| failure("environment", error, false))?;
        if !environment.left_out.is_empty() {
            tracing::warn!(
                operation = "environment",
                instance = %launch.key,
                variables = environment.left_out.join(", "),
                "Some environment variables of a server are not its to set and were left out; \
                 remove them from its configuration"
            );
        }

        let (group, cgroup) = inner.group(&launch)?.unzip();
        let born = async {
            let counts_apart = inner.jailer.as_ref().is_some_and(Jailer::counts_apart);
            let limits = inner.stand_ins.limits(&process.limits, counts_apart);
            let (mut program, reports) = if inner.jailer.is_some() {
                let inmate = Inmate {
                    team: launch.key.team.clone(),
                    own: inner.own(&launch.key.team),
                    home,
                    executable: executable.to_owned(),
                    arguments,
                    marker: (MARKER.into(), OsString::from(&marker)),
                    environment: environment.variables,
                    cgroup,
                };
                let (program, reports) = self.jailed(inmate).await?;
                (program, Some(reports))
            } else {
                let program = Program {
                    path: executable.to_owned(),
                    arguments,
                    environment: environment.variables,
                    directory: home,
                    cgroup,
                    ..Program::default()
                };
                (program, None)
            };
            program.limits = limits;
            let child = inner.spawner.spawn(program).await.map_err(|failed| {
                explain(executable, failed.step.name(), failed.step == Step::Exec, &failed.error)
            })?;
            let Some(mut reports) = reports else { return Ok((child, None)) };
            match reports.until_running().await {
                Ok(()) => Ok((child, Some(reports))),
                // Dropping the child ends the jail, if it has not ended.
                Err((step, error)) => {
                    Err(explain(executable, &step, step == Step::Exec.name(), &error))
                }
            }
        };
        let (child, reports) = match born.await {
            Ok(born) => born,
            Err(failure) => {
                if let Some(group) = group {
                    end_group(group, None).await;
                }
                return Err(failure);
            }
        };
        let source = match &group {
            Some(group) => Source::Group(group.path().to_owned()),
            None => Source::Tree(child.pid),
        };
        let name = (launch.key.clone(), launch.incarnation);
        let entered = inner.measured.enter(name, source);
        adopt(child, marker, launch, reports, group, entered, inner.spawner.clone()).map_err(
            |error| failure("open pipes", format!("{error}; raise the limit of open files"), true),
        )
    }
}

/// Makes the child's pipes and pidfd the runtime's, and sets a supervisor on it.
fn adopt(
    mut child: Child,
    marker: String,
    launch: Launch,
    reports: Option<Reports>,
    group: Option<Group>,
    measured: Entered,
    spawner: Spawner,
) -> io::Result<Process<LinuxHost>> {
    // Until it is released, dropping the child ends it.
    let pid = child.pid;
    let number = u32::try_from(pid.as_raw()).map_err(io::Error::other)?;
    let missing = || io::Error::other("a pipe is missing");
    let [stdin, stdout, stderr] = child.take_streams().ok_or_else(missing)?;
    widen(&stdin);
    widen(&stdout);
    let stdin = pipe::Sender::from_owned_fd(stdin)?;
    let stdout = pipe::Receiver::from_owned_fd(stdout)?;
    let stderr = pipe::Receiver::from_owned_fd(stderr)?;
    let pidfd = child.hand_over()?;
    let (exited_sender, exited) = oneshot::channel();
    let (gone_sender, gone) = oneshot::channel();
    let (frost_sender, frost) = mpsc::unbounded_channel();
    let supervisor = Supervisor {
        pid,
        pidfd,
        marker,
        jail: reports,
        orders: launch.orders,
        group,
        measured,
        frost: frost_sender,
        exited: exited_sender,
        gone: gone_sender,
        strays: Vec::new(),
        spawner,
    };
    tokio::spawn(supervisor.run());
    Ok(Process { pid: number, stdin, stdout, stderr, frost, exited, gone })
}

impl Inner {
    /// A group for the process with its directory, where there are groups.
    fn group(&self, launch: &Launch) -> Result<Option<(Group, OwnedFd)>, SpawnFailure> {
        let Launch { key, incarnation, process, .. } = launch;
        let Some(groups) = &self.groups else { return Ok(None) };
        let made = groups.group(key, *incarnation, &process.limits).and_then(|group| {
            match group.directory() {
                Ok(directory) => Ok((group, directory)),
                Err(error) => {
                    // Nobody is in it.
                    let _ = group.remove();
                    Err(format!("cannot open a control group: {error}"))
                }
            }
        });
        made.map(Some).map_err(|error| {
            let error = format!(
                "{error}; look whether something else changes the satellite's control group"
            );
            failure("make control group", error, true)
        })
    }

    /// The directory of a team.
    fn own(&self, team: &TeamId) -> PathBuf {
        // A team's id is any text; its hash is a safe name.
        let hash = Sha256::digest(team.as_str().as_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.homes.join(name)
    }

    /// The team's home and temporary directory, made if need be; 0700. In a jail the latter is the
    /// jail's own, and the home is never shared.
    fn directories(&self, team: &TeamId) -> Result<(PathBuf, PathBuf), (PathBuf, io::Error)> {
        let own = self.own(team);
        let (home, temporary) = match (&self.jailer, &self.shared_home) {
            (Some(_), _) => (own.join("home"), PathBuf::from("/tmp")),
            (None, Some(shared)) => (shared.clone(), own.join("tmp")),
            (None, None) => (own.join("home"), own.join("tmp")),
        };
        for path in [&home, &temporary] {
            create_private(path).map_err(|error| (path.clone(), error))?;
        }
        Ok((home, temporary))
    }
}

fn create_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn widen(pipe: &impl AsFd) {
    // Beyond a user's share of pipe memory the system says no, and the pipe stays as it is.
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
}

fn failure(step: &str, error: String, retryable: bool) -> SpawnFailure {
    SpawnFailure { step: step.to_owned(), error, retryable }
}

fn explain(executable: &Path, step: &str, is_exec: bool, error: &io::Error) -> SpawnFailure {
    let path = executable.display();
    let (error, retryable) = match error.kind() {
        io::ErrorKind::NotFound if is_exec => (
            format!(
                "{path} cannot be started: it, or the interpreter its first line names, is not there; reinstall it"
            ),
            false,
        ),
        io::ErrorKind::PermissionDenied if is_exec => (
            format!(
                "{path} cannot be started: {error}; make it executable for the satellite's user"
            ),
            false,
        ),
        io::ErrorKind::InvalidInput if is_exec => (
            format!(
                "{path} cannot be started: an argument or variable holds a NUL character; remove it from the configuration"
            ),
            false,
        ),
        io::ErrorKind::ArgumentListTooLong => (
            format!(
                "{path} cannot be started: its arguments and variables are too long; shorten them"
            ),
            false,
        ),
        _ => (
            format!(
                "{path} cannot be started: {error}; free memory, processes or files, or raise their limits"
            ),
            true,
        ),
    };
    failure(step, error, retryable)
}

#[cfg(test)]
mod tests;
