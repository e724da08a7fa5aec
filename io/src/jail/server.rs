//! Process 1 of a jail: it starts the server, reaps what others leave, hands SIGTERM on, and ends
//! as the server ended. With its end the kernel ends everything in the jail.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, execve, fork, pipe2, read, setsid, write};

use super::report::Report;
use super::specification::Specification;

/// What can go wrong between the jail and the server's first instruction.
const PREPARE: &str = "prepare the server";
const EXEC: &str = "exec";

/// Signals that process 1 waits for: they would be lost on it otherwise.
fn awaited() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect()
}

/// Starts the server and stays until it has ended. Returns what to exit with.
pub(super) fn run(specification: &Specification, report: &OwnedFd) -> Result<u8, Report> {
    let prepared = |errno| Report::failed(&PREPARE, errno);
    awaited().thread_block().map_err(prepared)?;
    let (server, failure) = start(specification)?;
    close_streams().map_err(prepared)?;
    let mut said = [0; 4];
    match read(&failure, &mut said) {
        Ok(0) => {}
        Ok(_) => {
            return Err(Report::Failed {
                step: String::from(EXEC),
                errno: i32::from_le_bytes(said),
            });
        }
        Err(errno) => return Err(prepared(errno)),
    }
    tell(report, &Report::Running);
    let ended = wait_for(server).map_err(|errno| Report::failed(&"wait for the server", errno))?;
    tell(report, &ended);
    Ok(match ended {
        Report::Exited(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        // As shells tell it.
        Report::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        Report::Running | Report::Failed { .. } => u8::MAX,
    })
}

/// Writes a line. A satellite that is gone kills this process anyway.
pub(super) fn tell(report: &OwnedFd, line: &Report) {
    let _ = write(report, format!("{line}\n").as_bytes());
}

/// Starts the server; the pipe tells why it could not be executed, or ends.
fn start(specification: &Specification) -> Result<(Pid, OwnedFd), Report> {
    let prepared = |errno| Report::failed(&PREPARE, errno);
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Report::failed(&EXEC, Errno::EINVAL));
    let program = text(specification.program.as_os_str().as_bytes())?;
    let mut arguments = vec![program.clone()];
    for argument in &specification.arguments {
        arguments.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::new();
    for (name, value) in &specification.environment {
        environment.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    let (failure, failing) = pipe2(OFlag::O_CLOEXEC).map_err(prepared)?;
    #[expect(unsafe_code, reason = "no safe call leaves a process with two ways on")]
    // SAFETY: this process has one thread, so its copy holds no lock of another.
    match unsafe { fork() }.map_err(prepared)? {
        ForkResult::Parent { child } => Ok((child, failure)),
        ForkResult::Child => {
            let begun = setsid().and_then(|_| reset_signals());
            let errno = match begun.and_then(|()| execve(&program, &arguments, &environment)) {
                Ok(never) => match never {},
                Err(errno) => errno,
            };
            let _ = write(&failing, &(errno as i32).to_le_bytes());
            std::process::exit(127)
        }
    }
}

/// The spawner has reset all others.
fn reset_signals() -> nix::Result<()> {
    #[expect(unsafe_code, reason = "handlers can be anything, this one is none")]
    // SAFETY: the default action involves no code of this process. The standard library ignores
    // SIGPIPE at its start.
    unsafe {
        signal(Signal::SIGPIPE, SigHandler::SigDfl)?;
    }
    awaited().thread_unblock()
}

/// The streams are the server's alone: when it closes its output, the satellite sees the end.
fn close_streams() -> nix::Result<()> {
    let nothing = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    for stream in 0..3 {
        #[expect(unsafe_code, reason = "the three streams belong to no value of this process")]
        // SAFETY: dup2 takes two numbers, and nothing here has taken the streams' descriptors.
        Errno::result(unsafe { libc::dup2(nothing.as_fd().as_raw_fd(), stream) })?;
    }
    Ok(())
}

/// Reaps all that end, until the server has. If everybody was told to end, the others may take the
/// time that the satellite gives.
fn wait_for(server: Pid) -> nix::Result<Report> {
    let mut ended = None;
    let mut is_told = false;
    loop {
        match reap()? {
            Reaped::One(pid, report) => {
                if pid == server {
                    ended = Some(report);
                }
                continue;
            }
            Reaped::NobodyYet => {}
            Reaped::NobodyLeft => return ended.ok_or(Errno::ECHILD),
        }
        if let Some(ended) = ended.take_if(|_| !is_told) {
            return Ok(ended);
        }
        match awaited().wait()? {
            Signal::SIGCHLD => {}
            other => {
                is_told = true;
                // Everybody but this process. That nobody is left is no error.
                let _ = kill(Pid::from_raw(-1), other);
            }
        }
    }
}

enum Reaped {
    One(Pid, Report),
    NobodyYet,
    NobodyLeft,
}

fn reap() -> nix::Result<Reaped> {
    let mut status = 0;
    #[expect(unsafe_code, reason = "nix has no names for real-time signals, and fails on them")]
    // SAFETY: waitpid writes one number to where `status` is.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match Errno::result(pid) {
        Ok(0) => Ok(Reaped::NobodyYet),
        Ok(pid) if libc::WIFEXITED(status) => {
            Ok(Reaped::One(Pid::from_raw(pid), Report::Exited(libc::WEXITSTATUS(status))))
        }
        Ok(pid) => Ok(Reaped::One(Pid::from_raw(pid), Report::Signalled(libc::WTERMSIG(status)))),
        Err(Errno::ECHILD) => Ok(Reaped::NobodyLeft),
        Err(errno) => Err(errno),
    }
}
