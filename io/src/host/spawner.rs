//! The one thread that starts processes, and the one place with `unsafe`.
//!
//! `PR_SET_PDEATHSIG` follows the *thread* that forked: were children started from the runtime's
//! pool, the end of an idle pool thread would kill them. This thread lives as long as its handles.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid, setsid};
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
    let parent = getpid();
    let prepare = move || {
        setsid()?;
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above took effect.
        if getppid() != parent {
            return Err(io::Error::from(Errno::ESRCH));
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
        #[expect(unsafe_code, reason = "nix knows no real-time signals")]
        // SAFETY: the default action involves no code of this process, and `signal` is
        // async-signal-safe. It refuses those that cannot be changed.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Whatever the daemon itself inherited without close-on-exec stays out of children.
fn close_on_exec_from(first: u32) {
    #[expect(unsafe_code, reason = "neither nix nor the standard library has close_range")]
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC reads no memory and closes nothing now; it only
    // marks descriptors. A kernel before 5.11 refuses it, and then nothing changes.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// A descriptor that means the process `pid`, whoever gets that number after it.
pub(super) fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "neither nix nor the standard library has pidfd_open")]
    // SAFETY: pidfd_open takes two numbers and touches no memory of this process.
    let returned =
        unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), libc::PIDFD_NONBLOCK) };
    let descriptor = Errno::result(returned)?;
    let descriptor = libc::c_int::try_from(descriptor).map_err(|_| Errno::EBADF)?;
    #[expect(unsafe_code, reason = "only the system call's contract says whose descriptor it is")]
    // SAFETY: the call succeeded, so this is an open descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sends a signal to the process that a pidfd means, and to nobody else.
pub(super) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    #[expect(unsafe_code, reason = "neither nix nor the standard library has pidfd_send_signal")]
    // SAFETY: the descriptor is open as long as it is borrowed, and instead of the null pointer the
    // kernel fills in what `kill` would.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as libc::c_int,
            nothing,
            0,
        )
    };
    Errno::result(returned).map(drop)
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
