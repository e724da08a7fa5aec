//! The daemon of tier 2: the control machine and the heartbeat as they ship, around them shipped
//! worlds over simulated parts.

use std::time::Duration;

use satellite_core::control::{Control, Event, Record, Start};
use satellite_core::heartbeat::HostSample;
use satellite_core::limits::Settings;
use satellite_core::random::Random;
use satellite_core::secret::Secret;
use satellite_io::clock::Clock;
use satellite_io::driver;
use satellite_io::heartbeat_task;
use satellite_io::host_sample::Sampler;
use satellite_io::settings::StderrSettings;
use satellite_io::state_dir::RecordStore;
use satellite_io::world::{DaemonWorld, Parts};
use tokio::sync::mpsc;

use super::http::SimHttp;
use super::peers::Peers;
use super::{World, now};

/// The registration token of every run.
pub(super) const TOKEN: &str = "deploystack_satellite_global_simulated-over-sockets";
const BACKEND_URL: &str = "http://backend:3000";

/// Runs one daemon until its host crashes.
pub(super) async fn run(seed: u64, world: World) -> turmoil::Result {
    let (disk, boot) = {
        let mut inner = world.lock();
        inner.boots += 1;
        (inner.disk.clone(), inner.boots)
    };
    world.note("satellite", &format!("daemon started, the {boot}. time"));
    let settings = Settings { name: String::from("satellite-net"), ..Settings::default() };
    let seed = Random::new(seed ^ boot).next();
    let clock = Clock::starting_at(now());
    let (inbox, events) = mpsc::unbounded_channel();
    let parts = Parts {
        client: SimHttp,
        host: Peers::new(world.clone()),
        store: Store(world.clone()),
        backend_url: String::from(BACKEND_URL),
        stderr: StderrSettings {
            lines_per_second: 20,
            line_max_bytes: 1_024,
            warning_interval: Duration::from_secs(60),
        },
        inbox: inbox.clone(),
        clock,
    };
    let (daemon, outlook) = DaemonWorld::new(parts, disk.credentials.clone());
    let start = Start {
        credentials: disk.credentials,
        registration_token: Some(Secret::new(TOKEN)),
        configuration: disk.configuration,
    };
    inbox.send(Event::Started(start))?;

    let mut views = outlook.view.clone();
    let seen = world.clone();
    tokio::spawn(async move {
        while views.changed().await.is_ok() {
            let view = views.borrow_and_update().clone();
            seen.lock().view = view;
        }
    });
    let beat = heartbeat_task::Parts {
        client: SimHttp,
        sampler: Still,
        backend_url: String::from(BACKEND_URL),
        outlook,
        control: inbox,
        clock,
    };
    let own = settings.clone();
    tokio::spawn(async move { heartbeat_task::run(&own, beat).await });
    let exit = driver::run(Control::new(settings, seed), events, clock, daemon).await;
    world.note("satellite", &format!("daemon ended: {exit:?}"));
    Ok(())
}

/// The disk.
#[derive(Clone)]
struct Store(World);

impl RecordStore for Store {
    async fn persist(&self, record: Record) -> Result<(), String> {
        self.0.note("disk", record.name());
        self.0.lock().disk.write(record);
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
