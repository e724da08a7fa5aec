//! A whole satellite: the control machine with its world, the heartbeat beside it, and the surface
//! that MCP clients see.
//!
//! Generic over what it touches, so that `run`, `dev` and the simulation assemble the same thing.

use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use satellite_core::control::{Control, Event, Start};
use satellite_core::exit::Exit;
use satellite_core::limits::Settings;
use satellite_core::view::View;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::clock::Clock;
use crate::driver::{self, Inbox};
use crate::entropy::Entropy;
use crate::exit::fault;
use crate::heartbeat_task;
use crate::host::ProcessHost;
use crate::host_sample::Sampler;
use crate::http_client::HttpClient;
use crate::mcp::{self, BackendClient, BackendExchange, SurfaceOptions, SurfaceState};
use crate::recording::{Recording, RecordingFile};
use crate::remotes::Remotes;
use crate::settings::DaemonSettings;
use crate::state_dir::{RecordStore, Stored};
use crate::usage_task;
use crate::world::{DaemonWorld, Outlook, Parts};

/// What a daemon touches.
#[derive(Debug)]
pub struct Surroundings<C, E, H, S, P> {
    /// Reaches the Backend.
    pub client: C,
    /// Reaches servers elsewhere.
    pub remote: E,
    /// Starts processes.
    pub host: H,
    /// Keeps records.
    pub store: S,
    /// Measures the machine.
    pub sampler: P,
    /// What an earlier daemon left in `store`.
    pub stored: Stored,
    /// The time.
    pub clock: Clock,
    /// Decides all randomness of the control machine.
    pub seed: u64,
    /// Where what nobody may guess comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Where to record what the control machine hears and decides.
    pub record: Option<RecordingFile>,
}

/// A satellite that runs. Dropping it ends nothing: see [`Daemon::shut_down`].
#[derive(Debug)]
pub struct Daemon {
    outlook: Outlook,
    inbox: Inbox<Event>,
    clock: Clock,
    backend: Arc<dyn BackendExchange>,
    ending: JoinHandle<Exit>,
    recording: Option<Recording>,
    heartbeat: AbortHandle,
    measuring: AbortHandle,
}

impl Daemon {
    /// Starts a daemon on the current runtime. It pairs, or takes up its pairing, by itself.
    pub fn start<C, E, H, S, P>(
        settings: &DaemonSettings,
        surroundings: Surroundings<C, E, H, S, P>,
    ) -> Daemon
    where
        C: HttpClient,
        E: HttpClient + Debug,
        H: ProcessHost,
        S: RecordStore,
        P: Sampler + 'static,
    {
        let Surroundings {
            client,
            remote,
            host,
            store,
            sampler,
            stored,
            clock,
            seed,
            entropy,
            record,
        } = surroundings;
        let (inbox, events) = mpsc::unbounded_channel();
        let measuring = usage_task::run(host.clone(), inbox.clone(), clock);
        let parts = Parts {
            entropy,
            client: client.clone(),
            host,
            store,
            backend_url: settings.backend_url.clone(),
            stderr: settings.stderr,
            inbox: inbox.clone(),
            clock,
        };
        let (world, outlook) = DaemonWorld::new(parts, stored.credentials.clone(), |tokens| {
            Arc::new(Remotes { client: remote, tokens })
        });
        let backend_url = Some(settings.backend_url.clone());
        let core = Settings { backend_url, ..settings.core.clone() };
        let control = Control::new(core.clone(), seed);
        // A token is a secret that is not needed any more once there is a pairing.
        let registration_token =
            settings.registration_token.clone().filter(|_| stored.credentials.is_none());
        let Stored { credentials, configuration, journal, boot } = stored;
        // The receiver is in this function's hands.
        let start = Start { credentials, registration_token, configuration, journal, boot };
        let _ = inbox.send(Event::Started(start));
        let (ending, recording) = match record {
            Some(file) => {
                let (recorded, recording) = file.begin(control, &core, seed, clock.now());
                (tokio::spawn(driver::run(recorded, events, clock, world)), Some(recording))
            }
            None => (tokio::spawn(driver::run(control, events, clock, world)), None),
        };
        let heartbeat = beat(
            settings.core.clone(),
            heartbeat_task::Parts {
                client: client.clone(),
                sampler,
                backend_url: settings.backend_url.clone(),
                outlook: outlook.clone(),
                control: inbox.clone(),
                clock,
            },
        );
        let backend = Arc::new(BackendClient::new(client, settings.backend_url.clone()));
        let measuring = tokio::spawn(measuring).abort_handle();
        Daemon { outlook, inbox, clock, backend, ending, recording, heartbeat, measuring }
    }

    /// The routes of its HTTP surface, served at `base_url` (no trailing slash).
    pub fn router(&self, settings: &DaemonSettings, base_url: String) -> Router {
        mcp::router(SurfaceState {
            view: self.outlook.view.clone(),
            control: self.inbox.clone(),
            relays: self.outlook.relays.clone(),
            backend: Arc::clone(&self.backend),
            users: self.outlook.users.clone(),
            clock: self.clock,
            options: SurfaceOptions {
                base_url,
                backend_url: settings.backend_url.clone(),
                backend_public_url: settings.backend_public_url.clone(),
                shown: settings.surface.clone(),
            },
        })
    }

    /// What it publishes.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.outlook.view.clone()
    }

    /// Asks it to end: processes are ended, the last events are sent.
    pub fn shut_down(&self) {
        // A daemon that has ended has no inbox any more.
        let _ = self.inbox.send(Event::ShutdownRequested);
    }

    /// Waits for its end and says why it ended.
    pub async fn ended(&mut self) -> Exit {
        let exit = (&mut self.ending).await.unwrap_or_else(|error| {
            fault(
                format!("the satellite broke off: {error}"),
                "please report this with the log; a new start ends what it left",
            )
        });
        self.heartbeat.abort();
        self.measuring.abort();
        if let Some(recording) = &mut self.recording {
            recording.finish().await;
        }
        exit
    }
}

fn beat<C, P>(settings: Settings, parts: heartbeat_task::Parts<C, P>) -> AbortHandle
where
    C: HttpClient,
    P: Sampler + 'static,
{
    tokio::spawn(async move { heartbeat_task::run(&settings, parts).await }).abort_handle()
}
