//! Watches one child: its exit, orders to end it, and the end of everything it started.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use satellite_core::limits::TERMINATE_STUCK_MS;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::ProcessExit;
use super::process_table::{Entry, Held, started_by};
use super::spawner::Spawner;

/// What a supervisor needs.
pub(super) struct Supervisor {
    pub(super) pid: Pid,
    pub(super) pidfd: AsyncFd<OwnedFd>,
    pub(super) marker: String,
    pub(super) terminate: mpsc::UnboundedReceiver<u64>,
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
        let exit = self.peek();
        let _ = self.exited.send(exit);
        end_rest(self.pid, &self.marker, std::mem::take(&mut self.strays), kill_at).await;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if let Err(error) = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            tracing::error!(pid = number(self.pid), error = %error, "Cannot reap a process");
        }
        let _ = self.gone.send(());
        drop(self.spawner);
    }

    /// Waits for the exit and carries out orders; returns until when the others may take their time.
    async fn until_exit(&mut self) -> Option<Instant> {
        let mut kill_at: Option<Instant> = None;
        let mut is_killed = false;
        loop {
            let alarm = kill_at.filter(|_| !is_killed);
            tokio::select! {
                biased;
                ready = self.pidfd.readable() => {
                    if ready.is_err() {
                        tracing::error!(pid = number(self.pid), "Cannot watch a process; ending it");
                        signal_group(self.pid, Signal::KILL);
                    }
                    return kill_at;
                }
                Some(grace_ms) = self.terminate.recv() => {
                    let at = Instant::now() + Duration::from_millis(grace_ms);
                    if kill_at.is_none() {
                        self.signal_all(Signal::TERM).await;
                    }
                    kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
                }
                () = async { match alarm { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    is_killed = true;
                    self.signal_all(Signal::KILL).await;
                }
            }
        }
    }

    /// Signals the child and everything it started.
    ///
    /// Those outside its group are looked for first, while their parents still connect them to the
    /// child, and kept: without marker they could not be found once it has exited.
    async fn signal_all(&mut self, signal: Signal) {
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
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(Some(status)) => exit_of(&status),
            _ => ProcessExit::default(),
        }
    }
}

fn exit_of(status: &WaitIdStatus) -> ProcessExit {
    ProcessExit { code: status.exit_status(), signal: status.terminating_signal().map(signal_name) }
}

/// A signal's name as people write it.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    String::from(name)
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn signal_group(leader: Pid, signal: Signal) {
    // An empty group is no error.
    let _ = rustix::process::kill_process_group(leader, signal);
}

/// Takes hold of everything the child started; true marks members of its group.
async fn hold_rest(main: Pid, marker: &str) -> Vec<(Held, bool)> {
    let marker = marker.to_owned();
    let find = move || {
        let held = |entry: &Entry| Some((Held::take(entry)?, entry.group == number(main)));
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
                held.signal(Signal::KILL);
            }
        }
        if !is_reported && started.elapsed() > Duration::from_millis(TERMINATE_STUCK_MS) {
            is_reported = true;
            let pids: Vec<i32> = alive.iter().map(|held| number(held.pid)).collect();
            tracing::error!(pids = ?pids, "Processes of a server that has ended do not end");
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
