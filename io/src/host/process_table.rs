//! What `/proc` knows, and signals that cannot hit the wrong process: each goes through a pidfd
//! that was opened before the process was looked at.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};

use super::environment::MARKER;
use super::spawner::{pidfd_open, pidfd_send_signal};

/// A process that is alive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pid: Pid,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Clock ticks from boot to its start: with the pid, what tells two processes apart.
    pub(super) started: u64,
    /// Clock ticks of processor time, with those of its children that were waited for.
    pub(super) cpu_ticks: u64,
    pub(super) threads: u64,
    pub(super) resident_pages: u64,
}

/// Every process that is alive, this one excepted. Zombies are dead.
pub(super) fn list() -> Vec<Entry> {
    let Ok(directory) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = getpid();
    directory
        .filter_map(|entry| Some(Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?)))
        .filter(|pid| *pid != own)
        .filter_map(read)
        .collect()
}

/// What is known of a process; `None` if it is dead.
pub(super) fn read(pid: Pid) -> Option<Entry> {
    let text = std::fs::read(format!("/proc/{}/stat", pid)).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&text))
}

fn parse_stat(pid: Pid, text: &str) -> Option<Entry> {
    // The name in parentheses may itself hold spaces and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    let number = |index: usize| fields.get(index)?.parse().ok();
    let count = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
    Some(Entry {
        pid,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: count(19)?,
        cpu_ticks: [11, 12, 13, 14].into_iter().filter_map(count).sum(),
        threads: count(17)?,
        resident_pages: count(21)?,
    })
}

/// The value of a process's marker, if it has one and may be read.
pub(super) fn marker(pid: Pid) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{}/environ", pid)).ok()?;
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

/// A process held fast: as long as this lives, signals reach it or nobody.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) pid: Pid,
    started: u64,
    pidfd: OwnedFd,
}

impl Held {
    /// Takes hold of `entry`; `None` if it has ended, or its number has gone to another process.
    pub(super) fn take(entry: &Entry) -> Option<Held> {
        let pidfd = pidfd_open(entry.pid).ok()?;
        let again = read(entry.pid)?;
        let started = entry.started;
        (again.started == started).then_some(Held { pid: entry.pid, started, pidfd })
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&self) -> bool {
        read(self.pid).is_some_and(|entry| entry.started == self.started)
    }

    /// Sends a signal. A process that has ended is no error.
    pub(super) fn signal(&self, signal: Signal) {
        match pidfd_send_signal(self.pidfd.as_fd(), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(
                pid = self.pid.as_raw(),
                error = %error,
                "Cannot send a signal to a process"
            ),
        }
    }

    /// Reaps the process if it has become a child of this one, as orphans do where the daemon is
    /// process 1 of a container.
    pub(super) fn reap(&self) {
        let _ = waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }
}

/// Everything alive that `main` started, `main` itself excepted: its process group, its session,
/// whatever carries its marker, and the descendants of all these.
///
/// `main` must not have been reaped, so that its number still means it.
pub(super) fn started_by(main: Pid, marked: &str) -> Vec<Entry> {
    let number = main.as_raw();
    let everybody: Vec<Entry> = list().into_iter().filter(|entry| entry.pid != main).collect();
    let is_ours = |entry: &Entry| {
        entry.group == number
            || entry.session == number
            || marker(entry.pid).is_some_and(|marker| marker == marked)
    };
    let mut known: BTreeSet<i32> = everybody
        .iter()
        .filter(|entry| is_ours(entry))
        .map(|entry| entry.pid.as_raw())
        .chain([number])
        .collect();
    loop {
        let before = known.len();
        let children = everybody.iter().filter(|entry| known.contains(&entry.parent));
        let children: Vec<i32> = children.map(|entry| entry.pid.as_raw()).collect();
        known.extend(children);
        if known.len() == before {
            break;
        }
    }
    everybody.into_iter().filter(|entry| known.contains(&entry.pid.as_raw())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let pid = Pid::from_raw(7);
        let text = "7 (a) b (c) S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let entry = parse_stat(pid, text).unwrap();
        assert_eq!((entry.parent, entry.group, entry.session, entry.started), (1, 2, 3, 4711));
        assert_eq!((entry.cpu_ticks, entry.threads, entry.resident_pages), (26, 1, 9));
        assert!(parse_stat(pid, "7 (gone) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711").is_none());
        assert!(parse_stat(pid, "").is_none());
    }

    #[test]
    fn a_number_that_has_gone_to_another_process_is_not_taken_hold_of() {
        let own = read(getpid()).unwrap();
        assert!(Held::take(&own).is_some());
        assert!(Held::take(&Entry { started: own.started + 1, ..own }).is_none());
    }
}
