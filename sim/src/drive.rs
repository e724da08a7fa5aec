//! A fleet against a Backend that runs: many of tier 1's satellites, their requests over real HTTP,
//! in real time.
//!
//! | file | what it does |
//! |---|---|
//! | `pairing` | makes satellites of the Backend's |
//! | `life` | lets one of them live |
//! | `wire` | carries its requests, on connections of its own |
//! | `figures` | counts requests and how long they took |
//! | `ledger` | knows each event and command by its id |
//! | `report` | says it all, to people and programs |

mod figures;
mod ledger;
mod life;
mod pairing;
mod report;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use satellite_core::credentials::Credentials;
use satellite_core::random::Random;
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cpu::cpu_seconds;
use figures::Figures;
use ledger::Ledger;
use life::Life;
pub use report::Report;
use wire::Wire;

/// How often it is looked whether the last events have been confirmed.
const LOOK: Duration = Duration::from_millis(100);

/// What to drive, and how.
pub struct Drive {
    /// The Backend, as `http://HOST:PORT`; several replicas, of which each new connection takes the
    /// next that listens.
    pub backends: Vec<String>,
    /// The Backend's administration token: satellites are paired with it.
    pub admin_token: Secret,
    /// How many satellites.
    pub satellites: usize,
    /// Over how long they start: over the interval of heartbeats, these come evenly.
    pub over: Duration,
    /// For how long it is measured, once all of them have started.
    pub measured: Duration,
    /// How long the last events may take to be confirmed.
    pub drain: Duration,
    /// Whether polls may be held, where the Backend grants that.
    pub holds_polls: bool,
    /// Calls of tools that clients of a satellite make an hour; each is an event.
    pub calls_per_hour: u64,
    /// Decides names, servers and everything the satellites draw.
    pub seed: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Clients call.
    Lively,
    /// Nobody calls; what was emitted is delivered.
    Draining,
    /// The satellites are gone.
    Over,
}

/// What the satellites of a run share.
struct Shared {
    clock: Clock,
    wire: Wire,
    figures: Figures,
    ledger: Ledger,
    /// Events that wait at satellites.
    waiting: AtomicUsize,
    /// Satellites that have ended by themselves.
    ended: AtomicUsize,
    holds_polls: bool,
    calls_per_hour: u64,
}

/// Time as machines count it.
#[derive(Clone, Copy)]
struct Clock {
    from: Instant,
    at: Timestamp,
}

impl Clock {
    fn new() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { from: Instant::now(), at: Timestamp(u64::try_from(since.as_millis()).unwrap_or(0)) }
    }

    fn now(&self) -> Timestamp {
        self.at.after(u64::try_from(self.from.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant at which it is `at`.
    fn instant(&self, at: Timestamp) -> Instant {
        // A millisecond that has begun is not over.
        self.from + Duration::from_millis(at.since(self.at))
    }
}

impl Drive {
    /// Pairs the satellites, lets them live until it has been measured for long enough or `stop`
    /// says so, and tells what was seen. `stop` is called again for each wish to end: the second cuts
    /// what is still to be delivered short.
    ///
    /// # Errors
    ///
    /// An address cannot be read, or the satellites cannot be paired.
    pub async fn run<Stop: Future<Output = ()>>(
        &self,
        stop: impl Fn() -> Stop,
        say: impl Fn(&str),
    ) -> Result<Report, String> {
        let wire = Wire::new(&self.backends).await?;
        let shared = Arc::new(Shared {
            clock: Clock::new(),
            wire,
            figures: Figures::default(),
            ledger: Ledger::default(),
            waiting: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            holds_polls: self.holds_polls,
            calls_per_hour: self.calls_per_hour,
        });
        let mut random = Random::new(self.seed);
        say(&format!("pairing {} satellites", self.satellites));
        let began = Instant::now();
        let paired = tokio::select! {
            paired = pairing::pair(self, &shared, random.fork("names")) => paired?,
            () = stop() => return Err(String::from("stopped while satellites were being paired")),
        };
        let pairing = began.elapsed();
        let pairing_figures = shared.figures.take();
        let over = self.over.as_secs();
        say(&format!("paired in {:.1} s; they start over {over} s", pairing.as_secs_f64()));

        let (tell, phase) = watch::channel(Phase::Lively);
        let mut lives = self.start(&shared, paired, &mut random, &phase);
        let mut measured_from = Instant::now();
        let mut is_stopped = false;
        tokio::select! {
            () = tokio::time::sleep(self.over + self.over / 6) => {}
            () = stop() => is_stopped = true,
        }
        let mut cpu_before = 0.0;
        if !is_stopped {
            // What was seen while they started is no even traffic.
            shared.figures.take();
            (measured_from, cpu_before) = (Instant::now(), cpu_seconds());
            say(&format!("measuring for {} s", self.measured.as_secs()));
            tokio::select! {
                () = tokio::time::sleep(self.measured) => {}
                () = stop() => {}
            }
        }
        let measured = measured_from.elapsed();
        let cpu = cpu_seconds() - cpu_before;
        let figures = shared.figures.take();
        say("measured");
        // Receivers that are gone have ended by themselves.
        let _ = tell.send(Phase::Draining);
        tokio::select! {
            () = self.drained(&shared) => {}
            () = stop() => {}
        }
        let _ = tell.send(Phase::Over);
        let mut emitted = 0;
        while let Some(life) = lives.join_next().await {
            emitted += life.map_err(|error| error.to_string())?;
        }
        Ok(Report::new(
            self,
            &shared,
            &report::Seen {
                pairing,
                pairing_routes: pairing_figures,
                measured,
                routes: figures,
                cpu_seconds: cpu,
                emitted,
            },
        ))
    }

    fn start(
        &self,
        shared: &Arc<Shared>,
        paired: Vec<Credentials>,
        random: &mut Random,
        phase: &watch::Receiver<Phase>,
    ) -> JoinSet<u64> {
        let mut lives = JoinSet::new();
        let from = Instant::now();
        let step = self.over / u32::try_from(paired.len().max(1)).unwrap_or(u32::MAX);
        for (number, credentials) in paired.into_iter().enumerate() {
            let life = Life::new(Arc::clone(shared), credentials, random.next(), number);
            let place = u32::try_from(number).unwrap_or(u32::MAX);
            lives.spawn(life.run(from + step * place, phase.clone()));
        }
        lives
    }

    /// Waits until every event is confirmed, as long as that may take.
    async fn drained(&self, shared: &Shared) {
        let end = Instant::now() + self.drain;
        while shared.waiting.load(Ordering::Relaxed) > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
    }
}
