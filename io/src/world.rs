//! Performs what the control machine decides.

mod conversations;
mod instance;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use satellite_core::Machine;
use satellite_core::control::{Control, Effect, Event, Record};
use satellite_core::credentials::Credentials;
use satellite_core::exit::Exit;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::limits::{BACKEND_BODY_MAX_BYTES, TERMINATE_STUCK_MS};
use satellite_core::random::Random;
use satellite_core::view::View;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::Clock;
use crate::driver::{Inbox, Performed, World};
use crate::entropy::Entropy;
use crate::host::{Launch, Order, ProcessHost};
use crate::http_client::{HttpClient, exchange};
use crate::mcp::{BackendClient, BackendExchange, Forgotten, Users};
use crate::relays::{RelayInput, Relays};
use crate::remotes::RemoteHost;
use crate::settings::StderrSettings;
use crate::state_dir::RecordStore;
use crate::telemetry;
use crate::tokens::BackendTokens;

/// A machine that says what others may see of it.
pub trait Published {
    /// The state of affairs after the last event.
    fn view(&self) -> Arc<View>;
}

impl Published for Control {
    fn view(&self) -> Arc<View> {
        Control::view(self)
    }
}

/// What the control machine's world is made of.
#[derive(Debug)]
pub struct Parts<C, H, S> {
    /// Reaches the Backend.
    pub client: C,
    /// Starts processes.
    pub host: H,
    /// Keeps records.
    pub store: S,
    /// The Backend's address, without a trailing slash.
    pub backend_url: String,
    /// What is passed on of a child's standard error.
    pub stderr: StderrSettings,
    /// The control machine's inbox.
    pub inbox: Inbox<Event>,
    /// Where the ids of sessions come from.
    pub entropy: Arc<dyn Entropy>,
    /// The clock that the control machine's driver uses too.
    pub clock: Clock,
}

/// The ways to what the control machine publishes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The view after the last event.
    pub view: watch::Receiver<Arc<View>>,
    /// The pairing that is on disk.
    pub credentials: watch::Receiver<Option<Credentials>>,
    /// The running relays.
    pub relays: Relays,
    /// What the surface remembers of users.
    pub users: Users,
}

/// The world around one control machine.
#[derive(Debug)]
pub struct DaemonWorld<C, H, S> {
    parts: Parts<C, H, S>,
    relays: Relays,
    users: Users,
    tokens: BackendTokens,
    view: watch::Sender<Arc<View>>,
    credentials: watch::Sender<Option<Credentials>>,
    processes: BTreeMap<(InstanceKey, Incarnation), Running>,
    remotes: Arc<dyn RemoteHost>,
    conversations: JoinSet<()>,
}

#[derive(Debug)]
struct Running {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl<C: HttpClient, H: ProcessHost, S: RecordStore> DaemonWorld<C, H, S> {
    /// A world in which nothing runs yet; `stored` is the pairing of an earlier daemon, and
    /// `remotes` gives who holds its conversations, with the tokens of users.
    pub fn new(
        parts: Parts<C, H, S>,
        stored: Option<Credentials>,
        remotes: impl FnOnce(BackendTokens) -> Arc<dyn RemoteHost>,
    ) -> (Self, Outlook) {
        let (view, viewed) = watch::channel(Arc::default());
        let (credentials, current) = watch::channel(stored);
        let relays = Relays::default();
        let users = Users::new(
            current.clone(),
            parts.inbox.clone(),
            parts.clock,
            Arc::clone(&parts.entropy),
        );
        let backend: Arc<dyn BackendExchange> =
            Arc::new(BackendClient::new(parts.client.clone(), parts.backend_url.clone()));
        let mut seed = [0; 8];
        parts.entropy.fill(&mut seed);
        let random = Random::new(u64::from_le_bytes(seed));
        let tokens = BackendTokens::start(backend, current.clone(), random, parts.clock);
        let outlook = Outlook {
            view: viewed,
            credentials: current,
            relays: relays.clone(),
            users: users.clone(),
        };
        let world = DaemonWorld {
            remotes: remotes(tokens.clone()),
            conversations: JoinSet::new(),
            parts,
            relays,
            users,
            tokens,
            view,
            credentials,
            processes: BTreeMap::new(),
        };
        (world, outlook)
    }

    async fn persist(&mut self, record: Record) -> Event {
        let name = record.name();
        let pairing = match &record {
            Record::Credentials(credentials) => Some(Some(credentials.clone())),
            Record::Unpaired => Some(None),
            Record::Configuration(_)
            | Record::Journal { .. }
            | Record::JournalRewrite(_)
            | Record::JournalMark(_) => None,
        };
        let outcome = self.parts.store.persist(record).await;
        if let (Ok(()), Some(pairing)) = (&outcome, pairing) {
            self.credentials.send_replace(pairing);
        }
        Event::Persisted { record: name, outcome }
    }

    fn spawn(&mut self, launch: Launch, orders: mpsc::UnboundedSender<Order>) {
        self.processes.retain(|_, running| !running.task.is_finished());
        let name = (launch.key.clone(), launch.incarnation);
        let life = instance::Life {
            host: self.parts.host.clone(),
            relays: self.relays.clone(),
            inbox: self.parts.inbox.clone(),
            clock: self.parts.clock,
            stderr: self.parts.stderr,
        };
        let task = tokio::spawn(life.run(launch));
        self.processes.insert(name, Running { orders, task });
    }

    fn order(&self, key: InstanceKey, incarnation: Incarnation, order: Order) {
        if let Some(running) = self.processes.get(&(key, incarnation)) {
            // Else it has ended, and the event that says so is on its way.
            let _ = running.orders.send(order);
        }
    }

    /// Ends what still runs, for an exit that could not wait for it.
    async fn end_processes(&mut self) {
        const GRACE_MS: u64 = 1_000;
        let running: Vec<Running> = std::mem::take(&mut self.processes).into_values().collect();
        for Running { orders, .. } in &running {
            // A process that has ended needs no order.
            let _ = orders.send(Order::Terminate { grace_ms: GRACE_MS });
        }
        let all = async {
            for Running { task, .. } in running {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(Duration::from_millis(TERMINATE_STUCK_MS), all).await.is_err() {
            tracing::error!("Some processes do not end; the next start will end them");
        }
    }
}

impl<M, C, H, S> World<M> for DaemonWorld<C, H, S>
where
    M: Machine<Event = Event, Effect = Effect> + Published,
    C: HttpClient,
    H: ProcessHost,
    S: RecordStore,
{
    type End = Exit;

    fn tick(&self) -> Event {
        Event::Tick
    }

    fn name(&self, event: &Event) -> &'static str {
        event.name()
    }

    async fn perform(&mut self, effect: Effect) -> Performed<Event, Exit> {
        match effect {
            Effect::Persist(record) => return Performed::Answered(self.persist(record).await),
            Effect::Send { request, http } => {
                let (client, base) = (self.parts.client.clone(), self.parts.backend_url.clone());
                let inbox = self.parts.inbox.clone();
                tokio::spawn(async move {
                    let answer = exchange(&client, &base, http, BACKEND_BODY_MAX_BYTES).await;
                    // The inbox is gone when the daemon is.
                    let _ = inbox.send(Event::Answered { request, answer });
                });
            }
            Effect::Spawn { key, incarnation, process } => {
                let (orders, received) = mpsc::unbounded_channel();
                let launch = Launch { key, incarnation, process, orders: received };
                self.spawn(launch, orders);
            }
            Effect::Terminate { key, incarnation, grace_ms } => {
                if let Some(relay) = self.relays.find(&key, incarnation) {
                    relay.tell(RelayInput::CloseInput);
                }
                self.order(key, incarnation, Order::Terminate { grace_ms });
            }
            Effect::Freeze { key, incarnation } => self.order(key, incarnation, Order::Freeze),
            Effect::Thaw { key, incarnation } => self.order(key, incarnation, Order::Thaw),
            Effect::Connect { key, incarnation, remote } => {
                self.connect(key, incarnation, remote);
            }
            Effect::Disconnect { key, incarnation } => {
                if let Some(relay) = self.relays.find(&key, incarnation) {
                    // Else it has ended, and the event that says so is on its way.
                    relay.tell(RelayInput::CloseInput);
                }
            }
            Effect::Reconnect { key, incarnation } => {
                if let Some(relay) = self.relays.find(&key, incarnation) {
                    relay.tell(RelayInput::Reconnect);
                }
            }
            Effect::Relist { key, incarnation } => {
                if let Some(relay) = self.relays.find(&key, incarnation) {
                    relay.tell(RelayInput::Relist);
                }
            }
            Effect::Probe { key, incarnation } => {
                if let Some(relay) = self.relays.find(&key, incarnation) {
                    // Without a relay the process has ended, and the event that says so comes.
                    relay.tell(RelayInput::Probe);
                }
            }
            Effect::ForgetUser { request, user, team } => {
                self.drop_tokens(&user, team.as_ref());
                let Forgotten { identities, sessions } = self.users.forget(&user, team.as_ref());
                let event = Event::UserForgotten { request, identities, sessions };
                return Performed::Answered(event);
            }
            Effect::ForgetTokens { key } => self.drop_tokens(&key.user, Some(&key.team)),
            Effect::Log(line) => telemetry::log(&line),
            Effect::Exit(exit) => {
                self.end_processes().await;
                return Performed::Ended(exit);
            }
        }
        Performed::Done
    }

    fn publish(&mut self, machine: &M) {
        let view = machine.view();
        self.view.send_if_modified(|current| {
            let is_new = !Arc::ptr_eq(current, &view);
            *current = view;
            is_new
        });
    }
}

#[cfg(test)]
mod tests;
