//! What people see while servers start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use satellite_core::view::{InstanceStatus, InstanceView, Transport, View};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::super::output;
use super::memory::Memory;

/// How often a server that takes long is mentioned where lines cannot be rewritten.
const REMINDER: Duration = Duration::from_secs(10);

/// How a server ended its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) status: InstanceStatus,
    pub(super) error: Option<String>,
}

/// Whether the start of an instance is over, for good or ill, and how it went.
pub(super) fn settled(instance: &InstanceView) -> Option<Settled> {
    let is_over = match instance.status {
        InstanceStatus::Online
        | InstanceStatus::RequiresReauth
        | InstanceStatus::AwaitingUserConfig
        | InstanceStatus::PermanentlyFailed => true,
        // With a process it has only crashed, and a restart follows.
        InstanceStatus::Error => instance.process.is_none(),
        // A server elsewhere that was tried and did not answer. It is tried again, and may be long
        // in coming.
        InstanceStatus::Offline => {
            instance.transport != Transport::Stdio && instance.status_message.is_some()
        }
        _ => false,
    };
    is_over.then(|| {
        let status = instance.status;
        let error = (status != InstanceStatus::Online).then(|| {
            instance.status_message.clone().unwrap_or_else(|| String::from(status.as_str()))
        });
        Settled { status, error }
    })
}

/// Waits until every remembered server's start is over, and shows what happens meanwhile. Gives
/// the outcomes by the server's name.
pub(super) async fn watch(
    mut view: watch::Receiver<Arc<View>>,
    memory: &Memory,
) -> BTreeMap<String, Settled> {
    let mut screen = Screen::new(memory);
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        let current = Arc::clone(&view.borrow_and_update());
        let mut outcomes = BTreeMap::new();
        for instance in current.instances.values() {
            if let Some((name, _)) = memory.server_of(&instance.key.installation) {
                screen.saw(name, instance);
                if let Some(settled) = settled(instance) {
                    outcomes.insert(String::from(name), settled);
                }
            }
        }
        // Until the Backend has answered, what runs may be what an earlier start was to run.
        if current.link.configuration_fresh && outcomes.len() == memory.servers.len() {
            screen.clear();
            return outcomes;
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() {
                // The daemon has ended; whoever waits for its end says why.
                std::future::pending::<()>().await;
            },
            _ = ticks.tick() => screen.tick(),
        }
    }
}

struct Screen {
    is_terminal: bool,
    servers: BTreeMap<String, Line>,
}

struct Line {
    status: &'static str,
    message: Option<String>,
    since: Instant,
    reminded: Instant,
    is_settled: bool,
}

impl Screen {
    fn new(memory: &Memory) -> Self {
        let now = Instant::now();
        let line = || Line {
            status: "waiting",
            message: None,
            since: now,
            reminded: now,
            is_settled: false,
        };
        Screen {
            is_terminal: output::stderr_is_terminal(),
            servers: memory.servers.keys().map(|name| (name.clone(), line())).collect(),
        }
    }

    fn saw(&mut self, name: &str, instance: &InstanceView) {
        let Some(line) = self.servers.get_mut(name) else { return };
        let status = instance.status.as_str();
        if line.status == status && line.message == instance.status_message {
            return;
        }
        if line.status != status {
            line.since = Instant::now();
            line.reminded = line.since;
        }
        line.status = status;
        line.message.clone_from(&instance.status_message);
        line.is_settled = settled(instance).is_some();
        let tools = match instance.status {
            InstanceStatus::Online => format!(", {} tools", instance.inventory.tools.len()),
            _ => String::new(),
        };
        let message = line.message.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        self.clear();
        output::note(&format!("{name}: {status}{tools}{message}"));
    }

    /// Says how long those that are not there yet have been at it.
    fn tick(&mut self) {
        let now = Instant::now();
        let mut busy = Vec::new();
        for (name, line) in &mut self.servers {
            if line.is_settled {
                continue;
            }
            let elapsed = now.duration_since(line.since);
            let text = format!("{name}: {} for {} s", line.status, elapsed.as_secs());
            if self.is_terminal {
                busy.push(text);
            } else if now.duration_since(line.reminded) >= REMINDER {
                line.reminded = now;
                output::note(&format!("{text}; npx and uvx download what is missing first"));
            }
        }
        if !busy.is_empty() {
            output::rewrite(&busy.join("   "));
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            output::rewrite("");
        }
    }
}
