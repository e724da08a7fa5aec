//! Tier 2: the shipped driver, world, relay tasks and heartbeat over simulated sockets. Requests
//! are real bytes of real HTTP; children speak MCP over pipes in memory.
//!
//! Two runs of a seed are the same only if the numbers that the runtime gives its tasks begin at
//! the same place modulo 4, because that decides the order in which a crash drops them; hence
//! [`align`]. Nothing here may read the clock of the machine or iterate a hash map.

mod backend;
mod daemon;
mod http;
mod peers;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use satellite_core::http::HttpAnswer;
use satellite_core::time::{SECOND, Timestamp};
use satellite_core::view::{InstanceStatus, View};

use crate::stage::EPOCH;
use crate::stage::backend::ModelBackend;
use crate::stage::satellite::Disk;
use crate::trace::Trace;

/// The name and port of the Backend's host.
const BACKEND: &str = "backend";
const PORT: u16 = 3000;

/// What everybody in a run shares.
#[derive(Clone, Default)]
struct World {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    trace: Trace,
    backend: ModelBackend,
    disk: Disk,
    view: Arc<View>,
    boots: u64,
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

/// An answer as the trace shows it.
fn shown(answer: &HttpAnswer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
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
}

impl NetScenario {
    /// All of them.
    pub const ALL: [NetScenario; 4] = [
        NetScenario::Pairing,
        NetScenario::Outage,
        NetScenario::CrashingChild,
        NetScenario::KilledDaemon,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            NetScenario::Pairing => "net-pairing",
            NetScenario::Outage => "net-outage",
            NetScenario::CrashingChild => "net-crashing-child",
            NetScenario::KilledDaemon => "net-killed-daemon",
        }
    }

    /// Runs it with a seed; the trace, and what went wrong.
    pub fn run(self, seed: u64) -> (String, Option<String>) {
        align();
        let world = World::default();
        {
            let mut inner = world.lock();
            inner.backend.grants = ["event-id", "command-lease"].into_iter().collect();
            inner.backend.tokens.insert(String::from(daemon::TOKEN), false);
            inner.backend.serve("steady", "steady");
            if self == NetScenario::CrashingChild {
                inner.backend.serve("crashing", "crashing");
            }
        }
        let failure = self.simulate(seed, &world).err();
        let trace = world.lock().trace.text().to_string();
        (trace, failure)
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
        sim.host(BACKEND, move || backend::serve(shared.clone()));
        let shared = world.clone();
        sim.host("satellite", move || daemon::run(seed, shared.clone()));

        steps(&mut sim, 40)?;
        match self {
            NetScenario::Pairing => steps(&mut sim, 120)?,
            NetScenario::CrashingChild => steps(&mut sim, 180)?,
            NetScenario::Outage => {
                sim.partition("satellite", BACKEND);
                steps(&mut sim, 150)?;
                sim.repair("satellite", BACKEND);
                steps(&mut sim, 330)?;
            }
            NetScenario::KilledDaemon => {
                for _ in 0..3 {
                    sim.crash("satellite");
                    steps(&mut sim, 5)?;
                    sim.bounce("satellite");
                    steps(&mut sim, 90)?;
                }
            }
        }
        self.converged(world)
    }

    fn converged(self, world: &World) -> Result<(), String> {
        let inner = world.lock();
        let registrations: u64 =
            inner.backend.satellites.values().map(|row| row.registrations).sum();
        if registrations != 1 {
            return Err(format!("paired {registrations} times"));
        }
        let status = |slug: &str| {
            let installation = format!("i-{slug}");
            let mut all = inner.view.instances.iter();
            all.find(|(key, _)| key.installation.as_str() == installation)
                .map(|(_, instance)| instance.status)
        };
        if status("steady") != Some(InstanceStatus::Online) {
            return Err(format!("the steady server is {:?}", status("steady")));
        }
        let failed = status("crashing");
        if self == NetScenario::CrashingChild && failed != Some(InstanceStatus::PermanentlyFailed) {
            return Err(format!("the crashing server is {failed:?}"));
        }
        if inner.view.outbox.waiting > 0 {
            return Err(format!("{} events wait", inner.view.outbox.waiting));
        }
        if self == NetScenario::KilledDaemon && inner.boots != 4 {
            return Err(format!("{} starts of the daemon", inner.boots));
        }
        let latest =
            inner.backend.satellites.values().filter_map(|row| row.heartbeats.last()).max();
        match latest.zip(inner.trace.last_at()) {
            Some((beat, end)) if end.since(*beat) <= 70 * SECOND => Ok(()),
            other => Err(format!("no heartbeat of late: {other:?}")),
        }
    }
}

fn steps(sim: &mut turmoil::Sim<'_>, seconds: u64) -> Result<(), String> {
    let until = sim.elapsed() + Duration::from_secs(seconds);
    while sim.elapsed() < until {
        sim.step().map_err(|error| error.to_string())?;
    }
    Ok(())
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
