//! The one thread that starts processes, and the one place with `unsafe`.
//!
//! `PR_SET_PDEATHSIG` follows the *thread* that forked: were children started from the runtime's
//! pool, the end of an idle pool thread would kill them. This thread lives as long as its handles.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

/// A handle of the thread. When the last one is dropped the thread ends, and with it every process
/// it started that still runs.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<Order>();
        std::thread::Builder::new().name(String::from("spawner")).spawn(move || {
            for Order { mut command, answer } in received {
                if let Err(Ok(child)) = answer.send(start(&mut command)) {
                    abandon(child);
                }
            }
        })?;
        Ok(Spawner { orders })
    }

    /// Starts `command` in a session and process group of its own, with pipes on its three streams.
    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.orders.send(Order { command, answer }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Nobody waits for this child any more.
fn abandon(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The signal mask is reset by the standard library.
fn start(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the line above took effect.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from(rustix::io::Errno::SRCH));
        }
        reset_signals();
        close_on_exec_from(3);
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "the standard library offers no safe way to run code after fork"
    )]
    // SAFETY: after fork only async-signal-safe work is allowed. `prepare` makes system calls that
    // take no lock (setsid, prctl, getppid, sigaction, close_range) and builds errors from numbers,
    // which allocates nothing.
    unsafe {
        command.pre_exec(prepare);
    }
    command.spawn()
}

/// What the daemon ignores, or was started ignoring, as under `nohup`, a child does not.
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "rustix leaves signal handlers to libc")]
        // SAFETY: the default action involves no code of this process, and `signal` is
        // async-signal-safe. It refuses those that cannot be changed.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Whatever the daemon itself inherited without close-on-exec stays out of children.
fn close_on_exec_from(first: u32) {
    #[expect(unsafe_code, reason = "neither rustix nor the standard library has close_range")]
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC reads no memory and closes nothing now; it only
    // marks descriptors. A kernel before 5.11 refuses it, and then nothing changes.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// A pidfd that the runtime watches: readable once its process has exited.
pub(super) fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        unsafe_code,
        reason = "the safe constructors are deprecated as unsound for other types"
    )]
    // SAFETY: `as_raw_fd` of an `OwnedFd` gives the same open descriptor as long as it is owned,
    // and nobody takes it out of the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watched?)
}
