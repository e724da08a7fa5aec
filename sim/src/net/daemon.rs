//! The daemon as it ships, its surface included, over simulated parts.

use std::ffi::OsString;
use std::sync::Arc;

use satellite_core::control::Record;
use satellite_core::heartbeat::HostSample;
use satellite_core::limits::SystemInfo;
use satellite_core::random::Random;
use satellite_io::clock::Clock;
use satellite_io::daemon::{Daemon, Surroundings};
use satellite_io::exit::Exit;
use satellite_io::host_sample::Sampler;
use satellite_io::settings::{DaemonSettings, Sources};
use satellite_io::state_dir::{RecordStore, Stored};
use turmoil::net::TcpListener;

use super::entropy::Seeded;
use super::http::{Listener, SimHttp};
use super::peers::Peers;
use super::{BACKEND_URL, SATELLITE, SATELLITE_PORT, SATELLITE_URL, World, now};
use crate::stage::satellite::Room;

/// Runs one daemon until its host crashes.
pub(super) async fn run(seed: u64, world: World) -> turmoil::Result {
    let (disk, boot, token, machine_run) = {
        let mut inner = world.lock();
        inner.boots += 1;
        let token = inner.registration_token.clone();
        (inner.disk.clone(), inner.boots, token, inner.machine_runs)
    };
    world.note(SATELLITE, &format!("daemon started, the {boot}. time"));
    let settings = settings(&token).map_err(|exit| exit.error)?;
    let client = SimHttp::default();
    world.lock().polls.push(client.polls.clone());
    let surroundings = Surroundings {
        record: None,
        remote: client.clone(),
        client,
        host: Peers::new(world.clone()),
        store: Store(world.clone()),
        sampler: Still,
        stored: Stored {
            credentials: disk.credentials,
            configuration: disk.configuration,
            journal: disk.journal,
            boot: format!("run {machine_run} of the machine"),
        },
        clock: Clock::starting_at(now()),
        seed: Random::new(seed ^ boot).next(),
        entropy: Arc::new(Seeded::new(seed ^ boot, "sessions")),
    };
    let mut daemon = Daemon::start(&settings, surroundings);

    let mut views = daemon.view();
    let seen = world.clone();
    tokio::spawn(async move {
        while views.changed().await.is_ok() {
            let view = views.borrow_and_update().clone();
            seen.lock().view = view;
        }
    });
    let listener = TcpListener::bind(("0.0.0.0", SATELLITE_PORT)).await?;
    let surface = daemon.router(&settings, String::from(SATELLITE_URL));
    tokio::spawn(async move { axum::serve(Listener(listener), surface).await });

    let exit = daemon.ended().await;
    world.note(SATELLITE, &format!("daemon ended: {exit:?}"));
    Ok(())
}

/// The settings as an environment gives them.
fn settings(token: &str) -> Result<DaemonSettings, Exit> {
    let environment = [
        ("DEPLOYSTACK_SATELLITE_NAME", "satellite-net"),
        ("DEPLOYSTACK_BACKEND_URL", BACKEND_URL),
        ("DEPLOYSTACK_REGISTRATION_TOKEN", token),
        ("DEPLOYSTACK_SATELLITE_URL", SATELLITE_URL),
        ("SATELLITE_ALLOW_INSECURE_BACKEND", "true"),
        ("SATELLITE_ALLOWED_HOSTS", SATELLITE),
    ];
    let pairs = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut settings = DaemonSettings::read(&Sources::from_variables(pairs)?)?;
    // This machine must not show in the trace.
    settings.core.system = SystemInfo {
        os: String::from("linux linux"),
        arch: String::from("x86_64"),
        memory_mb: 2_048,
    };
    Ok(settings)
}

/// The disk.
#[derive(Clone)]
struct Store(World);

impl RecordStore for Store {
    async fn persist(&self, record: Record) -> Result<(), String> {
        self.0.note("disk", record.name());
        let mut inner = self.0.lock();
        let synced = match &record {
            Record::Journal { sync, .. } => *sync,
            Record::JournalRewrite(_) | Record::JournalMark(_) => true,
            _ => false,
        };
        inner.disk.write(record, Room::Free)?;
        if synced {
            inner.journal_synced = inner.disk.journal.len();
        }
        Ok(())
    }
}

/// A machine on which nothing changes.
struct Still;

impl Sampler for Still {
    fn sample(&mut self) -> HostSample {
        HostSample {
            cpu_percent: 12.5,
            memory_mb: 14.0,
            disk_percent: 40.0,
            ..HostSample::default()
        }
    }
}
