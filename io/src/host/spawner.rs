//! The one thread that starts processes. It and the jail are the places with `unsafe`.
//!
//! `PR_SET_PDEATHSIG` follows the *thread* that forked: were children started from the runtime's
//! pool, the end of an idle pool thread would kill them. This thread lives as long as its handles.

mod birth;
mod descriptors;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc;

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

pub(crate) use self::birth::Step;
use self::descriptors::watch;
pub(super) use self::descriptors::{pidfd_open, pidfd_send_signal};

/// A handle of the thread. When the last one is dropped the thread ends, and with it every process
/// it started that still runs.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    program: Program,
    answer: oneshot::Sender<Result<Child, SpawnError>>,
}

/// A program to start.
#[derive(Debug, Default)]
pub(crate) struct Program {
    /// The executable.
    pub(crate) path: PathBuf,
    /// What follows its name.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// Where it starts.
    pub(crate) directory: PathBuf,
    /// The directory of the control group (v2) it is born in.
    pub(crate) cgroup: Option<OwnedFd>,
    /// The namespaces it gets of its own: `CLONE_NEW…`.
    pub(crate) namespaces: nix::libc::c_int,
    /// Its limits of setrlimit(2), hard ones too; none above those that this process has.
    pub(crate) limits: Vec<(Resource, u64)>,
    /// What it gets as descriptors 3, 4 and so on. It gets no others beside its three streams.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The step that a test wants to fail.
    #[cfg(test)]
    pub(crate) failing: Option<(Step, nix::errno::Errno)>,
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) struct SpawnError {
    /// What failed.
    pub(crate) step: Step,
    /// How.
    pub(crate) error: io::Error,
}

/// A process that has just been started. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its number.
    pub(crate) pid: Pid,
    pidfd: Option<OwnedFd>,
    streams: Option<[OwnedFd; 3]>,
}

impl Child {
    /// Takes the pipes to its standard input, output and error.
    pub(super) fn take_streams(&mut self) -> Option<[OwnedFd; 3]> {
        self.streams.take()
    }

    /// Hands the process over: whoever is given its watched pidfd ends and reaps it.
    pub(super) fn hand_over(mut self) -> io::Result<AsyncFd<OwnedFd>> {
        let pidfd = self.pidfd.as_ref().ok_or_else(|| io::Error::other("the pidfd is missing"))?;
        let watched = watch(pidfd.try_clone()?)?;
        self.pidfd = None;
        Ok(watched)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(pidfd) = &self.pidfd else { return };
        let _ = pidfd_send_signal(pidfd.as_fd(), Signal::SIGKILL);
        let _ = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED);
    }
}

/// Starts `program` from this thread.
#[cfg(test)]
pub(crate) fn start_here(program: &Program) -> Result<Child, SpawnError> {
    birth::start(program)
}

impl Spawner {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::Builder::new().name(String::from("spawner")).spawn(move || {
            for Order { program, answer } in received {
                // If nobody waits for the child any more, it ends here.
                drop(answer.send(birth::start(&program)));
            }
        })?;
        Ok(Spawner { orders })
    }

    /// Starts `program` in a session and process group of its own, with pipes on its three streams.
    pub(super) async fn spawn(&self, program: Program) -> Result<Child, SpawnError> {
        let (answer, answered) = oneshot::channel();
        let gone = || SpawnError {
            step: Step::Prepare,
            error: io::Error::other("the thread that starts processes has ended"),
        };
        self.orders.send(Order { program, answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

#[cfg(test)]
mod tests;
