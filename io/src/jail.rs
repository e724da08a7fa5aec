//! The jail of a server: what stands between it and everything that is not its own.
//!
//! The satellite starts itself again, in new namespaces, as the hidden command `jail`. That process
//! is alone in it and single-threaded. It takes the steps of its [`specification`] one by one,
//! reports the first that fails, and otherwise stays as process 1 over the server. Everything it
//! builds lies in namespaces that end with it: a step that fails leaves nothing behind.

mod filter;
mod kernel;
mod plan;
mod report;
mod server;
mod specification;
mod step;

use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{Mode, umask};

pub(crate) use self::kernel::landlock_version;
use self::kernel::{Kernel, System};
pub(crate) use self::plan::{Jail, Shown, TeamUser, steps};
pub(crate) use self::report::{REPORT_MAX_BYTES, Report};
pub(crate) use self::specification::Specification;
use self::step::Step;
use crate::exit::{FAULT, USAGE};

/// What the satellite starts itself again as.
pub(crate) const COMMAND: &str = "jail";
/// Where the specification is read from.
const SPECIFICATION: RawFd = 3;
/// Where reports go.
const REPORT: RawFd = 4;

/// Runs a jail: the process that the satellite has started for it.
pub(crate) fn main() -> ExitCode {
    let (Some(memory), Some(report)) = (take(SPECIFICATION), take(REPORT)) else {
        return ExitCode::from(USAGE);
    };
    let outcome = Specification::unseal(memory)
        .map_err(|_| Report::failed(&"read the specification", nix::errno::Errno::EINVAL))
        .and_then(|specification| {
            // What is built is for the server to enter, whatever the satellite keeps from others.
            umask(Mode::from_bits_truncate(0o022));
            enter(&specification.steps, &mut Kernel { report: report.as_fd() })?;
            server::run(&specification, &report)
        });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            server::tell(&report, &failed);
            ExitCode::from(FAULT)
        }
    }
}

/// Takes the steps, up to the first that fails.
fn enter(steps: &[Step], system: &mut impl System) -> Result<(), Report> {
    for step in steps {
        system.take(step).map_err(|errno| Report::failed(step, errno))?;
    }
    Ok(())
}

/// Takes a descriptor that the satellite has put there.
fn take(place: RawFd) -> Option<OwnedFd> {
    #[expect(unsafe_code, reason = "only the satellite knows that these places are filled")]
    // SAFETY: the spawner puts the specification and the report there for this process, which has
    // just begun and takes each once. Started by anybody else, with these places empty, `fcntl`
    // fails below and the value is forgotten instead of closed.
    let descriptor = unsafe { OwnedFd::from_raw_fd(place) };
    match fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => Some(descriptor),
        Err(_) => {
            std::mem::forget(descriptor);
            None
        }
    }
}

#[cfg(test)]
mod tests;
