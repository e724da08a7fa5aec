//! The seam to processes: what a relay needs of a child, wherever it runs. Linux is behind it in
//! production, scripted peers in the simulation.

mod cgroup;
mod environment;
mod executables;
mod jailer;
mod linux;
mod process_table;
pub(crate) mod spawner;
mod stand_ins;
mod stderr;
mod supervisor;
mod sweep;
mod usage;

use std::fmt;
use std::future::Future;

use satellite_core::cgroup::LimitKill;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{ProcessSpec, Samples, SpawnFailure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

pub use self::cgroup::{ControlGroups, Opened};
pub(crate) use self::executables::Executables;
pub use self::jailer::{JailOptions, MissingPart};
pub use self::linux::{HostOptions, LinuxHost};
pub use self::stand_ins::StandIns;
pub(crate) use self::stderr::{Dropped, read as read_stderr};
pub use self::sweep::sweep;

/// Starts processes, watches over them and ends them.
pub trait ProcessHost: Clone + Send + Sync + 'static {
    /// A child's standard input. Dropping it closes it.
    type Stdin: AsyncWrite + Unpin + Send + 'static;
    /// A child's standard output.
    type Stdout: AsyncRead + Unpin + Send + 'static;
    /// A child's standard error.
    type Stderr: AsyncRead + Unpin + Send + 'static;

    /// Starts a process. On an error nothing of it is left.
    fn spawn(
        &self,
        launch: Launch,
    ) -> impl Future<Output = Result<Process<Self>, SpawnFailure>> + Send;

    /// What the processes that run use, each with everything it started.
    fn samples(&self) -> impl Future<Output = Samples> + Send;
}

/// A process to start.
#[derive(Debug)]
pub struct Launch {
    /// Its instance.
    pub key: InstanceKey,
    /// Which of the instance's processes.
    pub incarnation: Incarnation,
    /// What to start.
    pub process: ProcessSpec,
    /// What is to happen to it.
    pub orders: mpsc::UnboundedReceiver<Order>,
}

/// What is to happen to a process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is to end.
    Terminate {
        /// The milliseconds from SIGTERM to SIGKILL.
        grace_ms: u64,
    },
    /// It has started: from here on it may use no more of a processor than its limit.
    Settle,
    /// It and everything it started is to stand still; answered by [`Frost::Frozen`].
    Freeze,
    /// It is to go on; answered by [`Frost::Thawed`]. One that does not stand still goes on.
    Thaw,
}

/// What became of an order to freeze or to thaw: one answer for each, in their order, unless the
/// process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frost {
    /// It stands still, or why it does not; then it goes on.
    Frozen(Result<(), String>),
    /// It goes on, or why it may not.
    Thawed(Result<(), String>),
}

/// A process that runs.
#[derive(Debug)]
pub struct Process<H: ProcessHost> {
    /// Its process id.
    pub pid: u32,
    /// Its standard input.
    pub stdin: H::Stdin,
    /// Its standard output.
    pub stdout: H::Stdout,
    /// Its standard error.
    pub stderr: H::Stderr,
    /// The answers to orders to freeze and to thaw.
    pub frost: mpsc::UnboundedReceiver<Frost>,
    /// Resolves when the process itself has exited.
    pub exited: oneshot::Receiver<ProcessExit>,
    /// Resolves when everything it started has ended too. Follows `exited`.
    pub gone: oneshot::Receiver<()>,
}

/// How a process exited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, e.g. `SIGKILL`.
    pub signal: Option<String>,
    /// The limit that ended it, where the system tells.
    pub limit: Option<LimitKill>,
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.signal, self.code) {
            (Some(signal), _) => write!(f, "the server was ended by {signal}"),
            (None, Some(code)) => write!(f, "the server exited with code {code}"),
            (None, None) => f.write_str("the server ended"),
        }
    }
}
