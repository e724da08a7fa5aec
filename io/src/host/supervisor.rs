//! Watches one child: its exit, orders to end it, and the end of everything it started.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use satellite_core::limits::{BOOST_MAX_MS, TERMINATE_STUCK_MS};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::cgroup::Group;
use super::jailer::Reports;
use super::process_table::{self, Entry, Held, started_by};
use super::spawner::{Spawner, pidfd_send_signal};
use super::usage::Entered;
use super::{Frost, Order, ProcessExit};
use crate::jail::Report;

/// What `nix` reports for a process that a real-time signal ended: it knows no names for those.
/// The system call itself has succeeded then.
const HAS_NO_NAME: Errno = Errno::EINVAL;

/// How long a control group may take to come to a stand: a process that waits for a disk does not
/// before it has been served.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a supervisor needs.
pub(super) struct Supervisor {
    pub(super) pid: Pid,
    pub(super) pidfd: AsyncFd<OwnedFd>,
    pub(super) marker: String,
    /// What its jail tells, where it is in one. The process is then the jail's process 1: whatever
    /// it started ends with it, and it hands SIGTERM on.
    pub(super) jail: Option<Reports>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Its control group, where there is one.
    pub(super) group: Option<Group>,
    /// Has it measured.
    pub(super) measured: Entered,
    /// Where it is said what became of orders to freeze and to thaw.
    pub(super) frost: mpsc::UnboundedSender<Frost>,
    pub(super) exited: oneshot::Sender<ProcessExit>,
    pub(super) gone: oneshot::Sender<()>,
    /// Processes it started that have left its group, as far as they are known.
    pub(super) strays: Vec<Held>,
    /// Keeps the thread alive whose end would kill the child.
    pub(super) spawner: Spawner,
}

impl Supervisor {
    /// Runs until the child and everything it started has ended.
    ///
    /// The child is reaped last: until then its number, which is also its group's and its
    /// session's, cannot go to anybody else, so signals to the group hit nobody else.
    pub(super) async fn run(mut self) {
        let kill_at = self.until_exit().await;
        let mut exit = self.peek();
        if let Some(group) = self.group.as_ref().filter(|_| kill_at.is_none()) {
            exit.limit = group.limit_kill(exit.code != Some(0));
        }
        let _ = self.exited.send(exit);
        match self.group.take() {
            Some(group) => end_group(group, kill_at).await,
            None if self.jail.is_some() => {}
            None => {
                let strays = std::mem::take(&mut self.strays);
                end_rest(self.pid, &self.marker, strays, kill_at).await;
            }
        }
        match wait(&self.pidfd, WaitPidFlag::empty()) {
            Ok(_) | Err(HAS_NO_NAME) => {}
            Err(error) => {
                tracing::error!(pid = self.pid.as_raw(), error = %error, "Cannot reap a process");
            }
        }
        drop(self.measured);
        let _ = self.gone.send(());
        drop(self.spawner);
    }

    /// Waits for the exit and carries out orders; returns until when the others may take their time.
    async fn until_exit(&mut self) -> Option<Instant> {
        let mut kill_at: Option<Instant> = None;
        let mut is_killed = false;
        let mut boost_ends = Some(Instant::now() + Duration::from_millis(BOOST_MAX_MS));
        loop {
            let alarm = kill_at.filter(|_| !is_killed);
            tokio::select! {
                biased;
                ready = self.pidfd.readable() => {
                    if ready.is_err() {
                        tracing::error!(pid = self.pid.as_raw(), "Cannot watch a process; ending it");
                        signal_group(self.pid, Signal::SIGKILL);
                    }
                    return kill_at;
                }
                Some(order) = self.orders.recv() => {
                    let grace_ms = match order {
                        Order::Terminate { grace_ms } => grace_ms,
                        Order::Settle => {
                            boost_ends = None;
                            self.settle();
                            continue;
                        }
                        Order::Freeze => {
                            let outcome = self.freeze(kill_at.is_some()).await;
                            self.answer(Frost::Frozen(outcome));
                            continue;
                        }
                        Order::Thaw => {
                            let outcome = self.thaw().await;
                            self.answer(Frost::Thawed(outcome));
                            continue;
                        }
                    };
                    let at = Instant::now() + Duration::from_millis(grace_ms);
                    if kill_at.is_none() {
                        // Who stands still cannot end by itself, nor save what it has.
                        if let Some(group) = &self.group {
                            set_frozen(group, false);
                        }
                        self.signal_all(Signal::SIGTERM).await;
                    }
                    kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
                }
                () = at(alarm) => {
                    is_killed = true;
                    self.signal_all(Signal::SIGKILL).await;
                }
                () = at(boost_ends) => {
                    boost_ends = None;
                    self.settle();
                }
            }
        }
    }

    /// Has the child and everything it started stand still; on an error it goes on.
    async fn freeze(&self, is_ending: bool) -> Result<(), String> {
        let Some(group) = self.group.as_ref().filter(|_| !is_ending) else {
            return Err(String::from("it has no control group, or is being ended"));
        };
        let frozen = group.freeze(true);
        let outcome = match frozen {
            Ok(()) => until_frozen(group, true).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => group.reclaim(),
            Err(_) => set_frozen(group, false),
        }
        outcome
    }

    async fn thaw(&self) -> Result<(), String> {
        let Some(group) = &self.group else { return Ok(()) };
        group.freeze(false)?;
        until_frozen(group, false).await
    }

    fn answer(&self, outcome: Frost) {
        // Nobody listens any more: whoever asked is gone.
        let _ = self.frost.send(outcome);
    }

    fn settle(&self) {
        if let Some(group) = &self.group {
            group.settle();
        }
    }

    /// Signals the child and everything it started: its control group, where it has one.
    async fn signal_all(&mut self, signal: Signal) {
        match &self.group {
            Some(group) if signal == Signal::SIGKILL => {
                // Nobody has the time to get away.
                set_frozen(group, true);
                group.kill();
            }
            _ if self.jail.is_some() => {
                // It hands it on. An exited process is no error.
                let _ = pidfd_send_signal(self.pidfd.as_fd(), signal);
            }
            Some(group) => members(group).iter().for_each(|held| held.signal(signal)),
            None => self.signal_found(signal).await,
        }
    }

    /// Signals the child and everything it started, as far as it is found.
    ///
    /// Those outside its group are looked for first, while their parents still connect them to the
    /// child, and kept: without marker they could not be found once it has exited.
    async fn signal_found(&mut self, signal: Signal) {
        for (held, in_group) in hold_rest(self.pid, &self.marker).await {
            if !in_group {
                held.signal(signal);
                self.strays.push(held);
            }
        }
        signal_group(self.pid, signal);
    }

    /// How the child exited, without reaping it.
    fn peek(&self) -> ProcessExit {
        match self.jail.as_ref().and_then(Reports::ended) {
            Some(Report::Exited(code)) => {
                ProcessExit { code: Some(code), ..ProcessExit::default() }
            }
            Some(Report::Signalled(signal)) => {
                let name = Signal::try_from(signal).map_or("a real-time signal", Signal::as_str);
                ProcessExit { signal: Some(name.to_owned()), ..ProcessExit::default() }
            }
            // The jail itself was ended.
            _ => exit_of(wait(&self.pidfd, WaitPidFlag::WNOWAIT)),
        }
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What the child has come to, if it has exited; reaps it unless the flags say otherwise.
fn wait(pidfd: impl AsFd, flags: WaitPidFlag) -> nix::Result<WaitStatus> {
    waitid(Id::PIDFd(pidfd.as_fd()), flags | WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)
}

fn exit_of(status: nix::Result<WaitStatus>) -> ProcessExit {
    match status {
        Ok(WaitStatus::Exited(_, code)) => {
            ProcessExit { code: Some(code), ..ProcessExit::default() }
        }
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            ProcessExit { signal: Some(signal.as_str().to_owned()), ..ProcessExit::default() }
        }
        Err(HAS_NO_NAME) => {
            let signal = Some(String::from("a real-time signal"));
            ProcessExit { signal, ..ProcessExit::default() }
        }
        _ => ProcessExit::default(),
    }
}

fn signal_group(leader: Pid, signal: Signal) {
    // An empty group is no error.
    let _ = killpg(leader, signal);
}

fn set_frozen(group: &Group, is_frozen: bool) {
    if let Err(error) = group.freeze(is_frozen) {
        tracing::warn!(error, is_frozen, "Cannot stop a control group, or let it go on");
    }
}

/// Waits until the kernel says that the group stands still, or goes on.
async fn until_frozen(group: &Group, is_frozen: bool) -> Result<(), String> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    while group.is_frozen() != is_frozen {
        if started.elapsed() > FREEZE_TIMEOUT {
            let what = if is_frozen { "does not come to a stand" } else { "does not go on" };
            return Err(format!("its control group {what} within {} s", FREEZE_TIMEOUT.as_secs()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}

/// Takes hold of each process of a group. Who is held is looked for once more, so that it is nobody
/// else who got its number.
fn members(group: &Group) -> Vec<Held> {
    let held = group.processes().into_iter();
    let held: Vec<Held> = held.filter_map(|pid| Held::take(&process_table::read(pid)?)).collect();
    let members = group.processes();
    held.into_iter().filter(|held| members.contains(&held.pid)).collect()
}

/// Ends what is left in the group once the child has exited, and removes it: whoever was told to
/// end may use the rest of the grace, everybody else is killed at once.
pub(super) async fn end_group(group: Group, kill_at: Option<Instant>) {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut is_reported = false;
    let mut seen: Vec<Held> = Vec::new();
    while group.is_populated() {
        for held in members(&group) {
            if !seen.iter().any(|known| known.pid == held.pid && known.is_alive()) {
                seen.push(held);
            }
        }
        if kill_at.is_none_or(|at| at <= Instant::now()) {
            set_frozen(&group, true);
            group.kill();
        }
        if !is_reported && started.elapsed() > Duration::from_millis(TERMINATE_STUCK_MS) {
            is_reported = true;
            let pids: Vec<i32> = group.processes().iter().map(|pid| pid.as_raw()).collect();
            tracing::error!(pids = ?pids, "Processes of a server that has ended do not end");
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    // Whoever became a child of this process can be reaped.
    seen.iter().for_each(Held::reap);
    if let Err(error) = group.remove() {
        tracing::warn!(error = %error, "Cannot remove a control group; the next start will");
    }
}

/// Takes hold of everything the child started; true marks members of its group.
async fn hold_rest(main: Pid, marker: &str) -> Vec<(Held, bool)> {
    let marker = marker.to_owned();
    let find = move || {
        let held = |entry: &Entry| Some((Held::take(entry)?, entry.group == main.as_raw()));
        started_by(main, &marker).iter().filter_map(held).collect()
    };
    tokio::task::spawn_blocking(find).await.unwrap_or_default()
}

/// Ends what is left once the child has exited: whoever was told to end may use the rest of the
/// grace, everybody else is killed at once.
async fn end_rest(main: Pid, marker: &str, mut known: Vec<Held>, kill_at: Option<Instant>) {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut is_reported = false;
    loop {
        for (held, _) in hold_rest(main, marker).await {
            if !known.iter().any(|other| other.pid == held.pid && other.is_alive()) {
                known.push(held);
            }
        }
        let alive: Vec<&Held> = known.iter().filter(|held| held.is_alive()).collect();
        if alive.is_empty() {
            // Whoever became a child of this process can be reaped.
            known.iter().for_each(Held::reap);
            return;
        }
        if kill_at.is_none_or(|at| at <= Instant::now()) {
            for held in &alive {
                held.signal(Signal::SIGKILL);
            }
        }
        if !is_reported && started.elapsed() > Duration::from_millis(TERMINATE_STUCK_MS) {
            is_reported = true;
            let pids: Vec<i32> = alive.iter().map(|held| held.pid.as_raw()).collect();
            tracing::error!(pids = ?pids, "Processes of a server that has ended do not end");
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
