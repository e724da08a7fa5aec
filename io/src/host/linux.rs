//! Processes on Linux.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::c_int;
use nix::unistd::Pid;
use satellite_core::id::TeamId;
use satellite_core::process::SpawnFailure;
use sha2::{Digest, Sha256};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::environment::BaseEnvironment;
use super::executables::Executables;
use super::spawner::{Spawner, pidfd_open, watch};
use super::supervisor::Supervisor;
use super::{Launch, Process, ProcessHost};

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
    /// One home for all instead, for a developer's own machine.
    pub shared_home: Option<PathBuf>,
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
    shared_home: Option<PathBuf>,
    spawner: Spawner,
}

impl LinuxHost {
    /// Resolves the executables and starts the thread that starts processes.
    ///
    /// Fails only when that thread cannot be started.
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
        let inner = Inner {
            marker: options.marker,
            executables,
            environment,
            homes: options.homes,
            shared_home: options.shared_home,
            spawner: Spawner::start()?,
        };
        Ok(LinuxHost { inner: Arc::new(inner) })
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

        let mut command = Command::new(executable);
        command.args(&process.args).env_clear().envs(environment.variables).current_dir(&home);
        let child =
            inner.spawner.spawn(command).await.map_err(|error| explain(executable, &error))?;
        adopt(child, marker, launch, inner.spawner.clone()).map_err(|error| {
            failure("open pipes", format!("{error}; raise the limit of open files"), true)
        })
    }
}

/// Makes the child's pipes and pidfd the runtime's, and sets a supervisor on it.
fn adopt(
    mut child: Child,
    marker: String,
    launch: Launch,
    spawner: Spawner,
) -> io::Result<Process<LinuxHost>> {
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let adopted = (|| {
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(io::Error::other("a pipe is missing"));
        };
        let pid = Pid::from_raw(c_int::try_from(child.id()).map_err(io::Error::other)?);
        // Not reaped, so the number still means this child.
        let pidfd = watch(pidfd_open(pid)?)?;
        let (stdin, stdout) = (OwnedFd::from(stdin), OwnedFd::from(stdout));
        widen(&stdin);
        widen(&stdout);
        let stdin = pipe::Sender::from_owned_fd(stdin)?;
        let stdout = pipe::Receiver::from_owned_fd(stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?;
        Ok((pid, pidfd, stdin, stdout, stderr))
    })();
    let (pid, pidfd, stdin, stdout, stderr) = match adopted {
        Ok(adopted) => adopted,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    };
    let (exited_sender, exited) = oneshot::channel();
    let (gone_sender, gone) = oneshot::channel();
    let number = child.id();
    let supervisor = Supervisor {
        pid,
        pidfd,
        marker,
        terminate: launch.terminate,
        exited: exited_sender,
        gone: gone_sender,
        strays: Vec::new(),
        spawner,
    };
    tokio::spawn(supervisor.run());
    Ok(Process { pid: number, stdin, stdout, stderr, exited, gone })
}

impl Inner {
    /// The team's home and temporary directory, made if need be; 0700.
    fn directories(&self, team: &TeamId) -> Result<(PathBuf, PathBuf), (PathBuf, io::Error)> {
        // A team's id is any text; its hash is a safe name.
        let hash = Sha256::digest(team.as_str().as_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let own = self.homes.join(name);
        let home = self.shared_home.clone().unwrap_or_else(|| own.join("home"));
        let temporary = own.join("tmp");
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

fn explain(executable: &Path, error: &io::Error) -> SpawnFailure {
    let path = executable.display();
    let (error, retryable) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!(
                "{path} cannot be started: it, or the interpreter its first line names, is not there; reinstall it"
            ),
            false,
        ),
        io::ErrorKind::PermissionDenied => (
            format!(
                "{path} cannot be started: {error}; make it executable for the satellite's user"
            ),
            false,
        ),
        io::ErrorKind::InvalidInput => (
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
    failure("exec", error, retryable)
}

#[cfg(test)]
mod tests;
