//! Tier 2: the shipped daemon, its surface included, and the shipped Backend on SQLite in memory,
//! over simulated sockets. Requests are real bytes of real HTTP; children speak MCP over pipes in
//! memory.
//!
//! Two runs of a seed are the same only if the numbers that the runtime gives its tasks begin at
//! the same place modulo 4, because that decides the order in which a crash drops them; hence
//! `align`. Nothing here may read the clock of the machine or iterate a hash map.

mod backend;
mod checks;
mod daemon;
mod entropy;
mod http;
mod peers;
mod people;
mod polls;
mod seen;
mod storm;
mod trouble;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use satellite_core::time::Timestamp;
use satellite_core::view::View;
use tokio::time::sleep;

use crate::stage::EPOCH;
use crate::stage::satellite::Disk;
use crate::trace::Trace;

/// The Backend's host.
const BACKEND: &str = "backend";
const BACKEND_PORT: u16 = 3000;
const BACKEND_URL: &str = "http://backend:3000";
/// The satellite's host.
const SATELLITE: &str = "satellite";
const SATELLITE_PORT: u16 = 3001;
const SATELLITE_URL: &str = "http://satellite:3001";
/// The Backend's administration token in every run.
const ADMIN_TOKEN: &str = "ds_admin_of-a-simulated-backend-over-sockets";

/// Databases so far.
static DATABASES: AtomicU64 = AtomicU64::new(0);
/// Runs go one after the other: they share the runtime's count of tasks.
static ALONE: Mutex<()> = Mutex::new(());

/// What everybody in a run shares.
#[derive(Clone, Default)]
struct World {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    trace: Trace,
    /// What survives a killed daemon.
    disk: Disk,
    /// What the daemon publishes.
    view: Arc<View>,
    /// Starts of the daemon.
    boots: u64,
    /// Children that died by themselves.
    crashes: u64,
    /// Pairings that the Backend confirmed.
    registrations: u64,
    /// For each start of the daemon, its polls.
    polls: Vec<polls::Polls>,
    registration_token: String,
    /// What servers, clients and the administrator saw themselves.
    seen: seen::Seen,
    /// What the Backend does instead of answering the satellite.
    trouble: Option<storm::Trouble>,
    /// Starts of the Backend.
    backend_boots: u64,
    /// The name of the Backend's database.
    database: String,
    /// The Backend of the last start: its database lives in memory, and no longer than this.
    backend: Option<Arc<satellite_io::backend::Backend>>,
    /// How much of the journal has been synced.
    journal_synced: usize,
    /// Runs of the satellite's machine: its power was cut so often, and once more.
    machine_runs: u64,
    /// Whether everybody who keeps things busy is to stop.
    calm: bool,
    /// Installations by the behaviour of their server.
    installations: BTreeMap<String, String>,
    /// Where clients reach them.
    addresses: BTreeMap<String, people::Address>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what happened, at the simulated moment.
    fn note(&self, who: &str, what: &str) {
        let now = now();
        self.lock().trace.note(now, who, what, "", &[]);
    }
}

/// The simulated moment.
fn now() -> Timestamp {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    EPOCH.after(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A kind of run of tier 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetScenario {
    /// A satellite pairs and serves.
    Pairing,
    /// The Backend's host is cut off for minutes.
    Outage,
    /// A child dies again and again.
    CrashingChild,
    /// The daemon's host is killed and started again.
    KilledDaemon,
    /// Everything goes wrong, while commands are filed and clients call.
    Storm,
}

impl NetScenario {
    /// All of them.
    pub const ALL: [NetScenario; 5] = [
        NetScenario::Pairing,
        NetScenario::Outage,
        NetScenario::CrashingChild,
        NetScenario::KilledDaemon,
        NetScenario::Storm,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NetScenario::Pairing => "net-pairing",
            NetScenario::Outage => "net-outage",
            NetScenario::CrashingChild => "net-crashing-child",
            NetScenario::KilledDaemon => "net-killed-daemon",
            NetScenario::Storm => "net-storm",
        }
    }

    /// What it is about, in a line.
    pub fn about(self) -> &'static str {
        match self {
            NetScenario::Pairing => "over sockets: a satellite pairs and serves a client",
            NetScenario::Outage => "over sockets: a partition, while a server dies",
            NetScenario::CrashingChild => "over sockets: a server dies until it is given up",
            NetScenario::KilledDaemon => "over sockets: the daemon is killed and started again",
            NetScenario::Storm => {
                "over sockets: both hosts crash, power and network are cut, the Backend misbehaves"
            }
        }
    }

    /// How the servers' children behave.
    fn behaviours(self) -> &'static [&'static str] {
        match self {
            NetScenario::Pairing | NetScenario::KilledDaemon => &["steady"],
            NetScenario::Outage | NetScenario::Storm => &["steady", "fragile"],
            NetScenario::CrashingChild => &["steady", "crashing"],
        }
    }

    /// Runs it with a seed.
    pub fn run(self, seed: u64) -> NetRun {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        align();
        let world = World::default();
        // Databases in memory are known by their name to the whole process.
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        world.lock().database = format!("simulated-{number}");
        let violation = self.simulate(seed, &world).err();
        let trace = world.lock().trace.text().to_string();
        NetRun { scenario: self, seed, trace, violation }
    }

    fn simulate(self, seed: u64, world: &World) -> Result<(), String> {
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(20))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(80))
            .simulation_duration(Duration::from_secs(3_600))
            .build();
        let shared = world.clone();
        sim.host(BACKEND, move || backend::serve(seed, shared.clone()));
        let (shared, behaviours) = (world.clone(), self.behaviours());
        act(&mut sim, world, "preparation", async move {
            people::until_it_listens().await?;
            people::prepare(&shared, behaviours).await
        })?;
        let shared = world.clone();
        sim.host(SATELLITE, move || daemon::run(seed, shared.clone()));
        steps(&mut sim, world, 40)?;
        trouble::make(self, &mut sim, seed, world)?;
        let shared = world.clone();
        act(&mut sim, world, "end", async move {
            people::call(&shared, "steady").await?;
            // The call may have woken the server, and events wait for company.
            sleep(Duration::from_secs(10)).await;
            // A server may have gone to sleep just now.
            for _ in 0..20 {
                if shared.lock().view.outbox.waiting == 0 {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
            let records = people::read().await?;
            checks::converged(self, &shared.lock(), &records)
        })
    }
}

/// A run of tier 2 and what came of it.
#[derive(Debug)]
pub struct NetRun {
    /// What it was about.
    pub scenario: NetScenario,
    /// Its seed.
    pub seed: u64,
    /// What happened, a line each.
    pub trace: String,
    /// What must not be.
    pub violation: Option<String>,
}

impl NetRun {
    /// What went wrong and how to see it again, or nothing.
    pub fn failure(&self) -> Option<String> {
        let violation = self.violation.as_ref()?;
        let (scenario, seed) = (self.scenario.name(), self.seed);
        Some(format!(
            "scenario={scenario} seed={seed} step={}\n{violation}\n\
             replay: cargo sim run --seed {seed} --scenario {scenario}",
            self.trace.lines().count()
        ))
    }
}

/// Has somebody act, and simulates until that is done. What they fail with ends the run.
fn act<F>(sim: &mut turmoil::Sim<'_>, world: &World, who: &str, work: F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + 'static,
{
    let done = Rc::new(Cell::new(false));
    let finished = Rc::clone(&done);
    sim.client(who, async move {
        work.await?;
        finished.set(true);
        Ok(())
    });
    while !done.get() {
        step(sim, world)?;
    }
    Ok(())
}

fn steps(sim: &mut turmoil::Sim<'_>, world: &World, seconds: u64) -> Result<(), String> {
    let until = sim.elapsed() + Duration::from_secs(seconds);
    while sim.elapsed() < until {
        step(sim, world)?;
    }
    Ok(())
}

/// A step, after which nothing may be that must never be.
fn step(sim: &mut turmoil::Sim<'_>, world: &World) -> Result<(), String> {
    sim.step().map_err(|error| error.to_string())?;
    checks::always(&world.lock())
}

/// Brings the runtime's count of tasks to where every run begins.
fn align() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    runtime.block_on(async {
        loop {
            let task = tokio::spawn(async {});
            let number: u64 = task.id().to_string().parse().unwrap_or(3);
            // A task that does nothing cannot fail.
            let _ = task.await;
            if number % 4 == 3 {
                return;
            }
        }
    });
}
