//! One process of an instance, from its start to the end of everything it started.

use std::time::Duration;

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::limits::TERMINATE_GRACE_MS;
use satellite_core::process::Ended;
use satellite_core::redaction::Redaction;
use satellite_core::relay::{Relay, RelaySettings, Report};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::driver::Inbox;
use crate::host::{Dropped, Frost, Launch, Order, Process, ProcessExit, ProcessHost, read_stderr};
use crate::relay_task;
use crate::relays::{RelayInbox, Relays, relay_channel};
use crate::settings::StderrSettings;

/// How long the last words of a process that is gone may take to arrive: something that left every
/// trace of it behind may hold its standard error open for good.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the process's tasks need.
pub(super) struct Life<H> {
    pub(super) host: H,
    pub(super) relays: Relays,
    pub(super) inbox: Inbox<Event>,
    pub(super) clock: Clock,
    pub(super) stderr: StderrSettings,
}

impl<H: ProcessHost> Life<H> {
    /// Starts the process and reports its start and its end, exactly one of each, or that it could
    /// not be started.
    pub(super) async fn run(self, mut launch: Launch) {
        let (key, incarnation) = (launch.key.clone(), launch.incarnation);
        let redaction = Redaction::new(launch.process.env.iter().map(|(_, value)| value));
        let settings = RelaySettings { handshake_timeout_ms: launch.process.handshake_timeout_ms };

        // Orders are passed on by this task, which gives one itself when the output ends.
        let (orders, received) = mpsc::unbounded_channel();
        let mut given = std::mem::replace(&mut launch.orders, received);
        let process = match self.host.spawn(launch).await {
            Ok(process) => process,
            Err(failure) => {
                self.tell(Event::SpawnFailed { key, incarnation, failure });
                return;
            }
        };
        let Process { pid, stdin, stdout, stderr, mut frost, mut exited, mut gone } = process;

        let (handle, relay_inbox) = relay_channel();
        self.relays.insert(key.clone(), incarnation, handle);
        self.tell(Event::Spawned { key: key.clone(), incarnation, pid });

        let (stop, stopped) = oneshot::channel();
        let report = {
            let (inbox, key) = (self.inbox.clone(), key.clone());
            move |lines, dropped: Dropped| {
                let key = key.clone();
                let dropped_over_ms = u64::try_from(dropped.over.as_millis()).unwrap_or(u64::MAX);
                let dropped = dropped.count;
                let written = Event::Stderr { key, incarnation, lines, dropped, dropped_over_ms };
                // The inbox is gone when the daemon is.
                let _ = inbox.send(written);
            }
        };
        let stderr = tokio::spawn(read_stderr(stderr, redaction, self.stderr, report, stopped));
        let (exit_sender, exit_reason) = oneshot::channel();
        let relay = self.relay(
            &key,
            incarnation,
            settings,
            stdin,
            stdout,
            relay_inbox,
            exit_reason,
            orders.clone(),
        );
        let mut relay = tokio::spawn(relay);

        let mut exit = None;
        let mut exit_sender = Some(exit_sender);
        let mut relay_runs = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut exited, if exit.is_none() => {
                    let ended: ProcessExit = ended.unwrap_or_default();
                    if let Some(sender) = exit_sender.take() {
                        // A relay that has ended does not ask for the reason.
                        let _ = sender.send(ended.to_string());
                    }
                    exit = Some(ended);
                }
                _ = &mut gone, if exit.is_some() => break,
                _ = &mut relay, if relay_runs => {
                    relay_runs = false;
                    // Nobody can talk to a process whose output has ended.
                    if exit.is_none() {
                        let _ = orders.send(Order::Terminate { grace_ms: TERMINATE_GRACE_MS });
                    }
                }
                Some(frost) = frost.recv() => self.tell(event(frost, &key, incarnation)),
                Some(order) = given.recv() => {
                    let _ = orders.send(order);
                }
            }
        }
        if relay_runs {
            let _ = relay.await;
        }
        self.relays.remove(&key, incarnation);
        let last_stderr = last_words(stderr, stop).await;
        let ProcessExit { code, signal, limit } = exit.unwrap_or_default();
        let ended = Ended { code, signal, limit, last_stderr };
        self.tell(Event::Exited { key, incarnation, ended });
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the one task")]
    fn relay(
        &self,
        key: &InstanceKey,
        incarnation: Incarnation,
        settings: RelaySettings,
        stdin: H::Stdin,
        stdout: H::Stdout,
        relay_inbox: RelayInbox,
        exit_reason: oneshot::Receiver<String>,
        orders: mpsc::UnboundedSender<Order>,
    ) -> impl Future<Output = ()> + Send + use<H> {
        let (inbox, key) = (self.inbox.clone(), key.clone());
        let report = move |report: Report| {
            if matches!(report, Report::Listed(_)) {
                // It has ended, or it is told.
                let _ = orders.send(Order::Settle);
            }
            let _ = inbox.send(Event::Relay { key: key.clone(), incarnation, report });
        };
        let exited =
            async { exit_reason.await.unwrap_or_else(|_| String::from("the server ended")) };
        relay_task::run(
            Relay::new(settings),
            stdin,
            stdout,
            relay_inbox,
            exited,
            report,
            self.clock,
        )
    }

    fn tell(&self, event: Event) {
        // The inbox is gone when the daemon is.
        let _ = self.inbox.send(event);
    }
}

fn event(frost: Frost, key: &InstanceKey, incarnation: Incarnation) -> Event {
    let key = key.clone();
    match frost {
        Frost::Frozen(Ok(())) => Event::Frozen { key, incarnation },
        Frost::Frozen(Err(error)) => Event::FreezeFailed { key, incarnation, error },
        Frost::Thawed(Ok(())) => Event::Thawed { key, incarnation },
        Frost::Thawed(Err(error)) => Event::ThawFailed { key, incarnation, error },
    }
}

async fn last_words(
    mut stderr: tokio::task::JoinHandle<Vec<String>>,
    stop: oneshot::Sender<()>,
) -> Vec<String> {
    match tokio::time::timeout(LAST_WORDS, &mut stderr).await {
        Ok(lines) => lines.unwrap_or_default(),
        Err(_) => {
            drop(stop);
            stderr.await.unwrap_or_default()
        }
    }
}
