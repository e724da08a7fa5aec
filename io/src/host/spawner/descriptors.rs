//! Descriptors that mean a process, which neither nix nor the standard library has.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that means the process `pid`, whoever gets that number after it.
pub(in crate::host) fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "neither nix nor the standard library has pidfd_open")]
    // SAFETY: pidfd_open takes two numbers and touches no memory of this process.
    let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let descriptor = Errno::result(returned)?;
    owned(libc::c_int::try_from(descriptor).map_err(|_| Errno::EBADF)?)
}

/// Takes a descriptor that a system call has just given to nobody else.
pub(super) fn owned(descriptor: libc::c_int) -> nix::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(Errno::EBADF);
    }
    #[expect(unsafe_code, reason = "only the system call's contract says whose descriptor it is")]
    // SAFETY: the callers pass what a successful call has just opened for them alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sends a signal to the process that a pidfd means, and to nobody else.
pub(in crate::host) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> nix::Result<()> {
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
pub(in crate::host) fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        unsafe_code,
        reason = "the safe constructors are deprecated as unsound for other types"
    )]
    // SAFETY: `as_raw_fd` of an `OwnedFd` gives the same open descriptor as long as it is owned,
    // and nobody takes it out of the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watched?)
}
