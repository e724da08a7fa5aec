//! Tier 1: control machines as they ship, around them only models, and no time that passes by
//! itself.
//!
//! | file | what it does |
//! |---|---|
//! | `daemons` | daemons start, are told things, and die |
//! | `effects` | what a daemon asks for |
//! | `exchange` | requests on their way, and what the Backend makes of them |
//! | `children` | what processes do |
//! | `relays`, `child` | what passes between clients and processes |
//! | `remotes` | what passes between clients and servers elsewhere |
//! | `meddling` | what is done at the worst moment |
//! | `weather` | faults that last |
//! | `invariants` | what must be true after every step |

pub mod backend;
pub mod clock;
pub mod describe;
pub mod faults;
pub mod frost;
pub mod invariants;
pub mod network;
pub mod processes;
pub mod queue;
pub mod relays;
pub mod remotes;
pub mod satellite;

mod child;
mod children;
mod daemons;
mod effects;
mod exchange;
mod meddling;
mod usage;
mod weather;

use satellite_core::control::Event;
use satellite_core::heartbeat;
use satellite_core::http::HttpRequest;
use satellite_core::random::Random;
use satellite_core::time::Timestamp;

use crate::coverage::Coverage;
use crate::trace::Trace;
use backend::ModelBackend;
use exchange::{Held, Origin};
use faults::{Fault, Rates, Tally};
use invariants::Watch;
use network::{Back, Network};
use processes::Processes;
use queue::Queue;
use relays::{Calls, Peering};
use remotes::{Knock, Remotes, Told};
use satellite::Satellite;

/// Simulated time begins here: 1 January 2026, 00:00 UTC.
pub const EPOCH: Timestamp = Timestamp(1_767_225_600_000);

/// What every secret of the simulated world begins with.
pub const SECRET: &str = "5ecre7";

/// Steps at one moment beyond which time is taken to stand still.
const STEPS_AT_ONCE_MAX: u64 = 5_000;

/// Something that must not be: which invariant, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

/// What waits in the queue.
enum Due {
    /// A word to a daemon.
    Word { satellite: usize, boot: u64, event: Event },
    /// A word to a daemon's heartbeat.
    Beat { satellite: usize, boot: u64, event: heartbeat::Event },
    /// Something happens at a relay.
    Peer { satellite: usize, boot: u64, pid: u32, what: Peering },
    /// Something happens to a conversation with a server elsewhere.
    Remote { satellite: usize, boot: u64, conversation: u64, what: Told },
    /// A request reaches a server elsewhere.
    Knock(Box<Knock>),
    /// A request reaches the Backend.
    Arrival { origin: Origin, http: HttpRequest, back: Back },
    /// The Backend ends the hold of a poll.
    Release { number: u64 },
    /// A process dies by itself.
    Death { pid: u32, satellite: usize, boot: u64 },
    /// A process that was told to end has ended.
    Gone { pid: u32, satellite: usize, boot: u64 },
    /// The scenario acts.
    Action(Action),
}

/// What a scenario does to the world.
type Action = Box<dyn FnOnce(&mut Stage)>;

/// The world of tier 1.
pub struct Stage {
    now: Timestamp,
    queue: Queue<Due>,
    random: Random,
    /// Decides what faults strike.
    dice: Random,
    at_once: u64,
    /// How often each fault occurs.
    pub rates: Rates,
    /// How often each has occurred.
    pub tally: Tally,
    /// What has met what.
    pub coverage: Coverage,
    /// The network.
    pub network: Network,
    /// The Backend.
    pub backend: ModelBackend,
    /// Polls that the Backend holds, in order of their numbers.
    held: Vec<Held>,
    holds: u64,
    /// The satellites.
    pub satellites: Vec<Satellite>,
    /// Their processes.
    pub processes: Processes,
    /// Servers elsewhere.
    pub remotes: Remotes,
    /// Calls of clients.
    pub calls: Calls,
    /// What the invariants know.
    pub watch: Watch,
    /// What was seen of warnings of limits.
    warned: usage::Warned,
    /// What happened.
    pub trace: Trace,
    /// The number of the step before which the run stops.
    pub until: Option<u64>,
    /// Effects of all daemons so far.
    pub effects: u64,
    /// The effect before which its daemon dies, and whether its machine's power goes too.
    pub kill_at: Option<(u64, bool)>,
    /// Seconds after which a daemon that died is started again; none is without it.
    pub restarts_within: Option<u64>,
}

impl Stage {
    /// An empty world. Everything in it follows from `seed`.
    pub fn new(seed: u64, trace: Trace) -> Stage {
        let mut random = Random::new(seed);
        Stage {
            now: EPOCH,
            queue: Queue::default(),
            network: Network::new(random.fork("network")),
            dice: random.fork("faults"),
            rates: Rates::default(),
            tally: Tally::default(),
            coverage: Coverage::default(),
            backend: ModelBackend::default(),
            held: Vec::new(),
            holds: 0,
            satellites: Vec::new(),
            processes: Processes::default(),
            remotes: Remotes::new(Random::new(seed).fork("remotes")),
            calls: Calls::default(),
            watch: Watch::default(),
            warned: usage::Warned::default(),
            trace,
            until: None,
            effects: 0,
            kill_at: None,
            restarts_within: None,
            at_once: 0,
            random,
        }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A generator for a scenario's own choices.
    pub fn random(&mut self, label: &str) -> Random {
        self.random.fork(label)
    }

    /// A generator for what a scenario does to servers elsewhere. It disturbs no other.
    pub fn far_random(&mut self) -> Random {
        self.remotes.random.fork("scenario")
    }

    /// Has the scenario act `after_ms` from now.
    pub fn later(&mut self, after_ms: u64, action: impl FnOnce(&mut Stage) + 'static) {
        self.queue.put(self.now.after(after_ms), Due::Action(Box::new(action)));
    }

    /// Whether a fault strikes a satellite on one of its occasions. It is counted if it does.
    fn strikes(&mut self, satellite: usize, fault: Fault) -> bool {
        let rate = self.rates.of(fault);
        let strikes = rate > 0 && self.dice.chance(rate, 10_000);
        if strikes {
            self.struck(satellite, fault);
        }
        strikes
    }

    /// Whether a fault strikes everybody.
    fn strikes_all(&mut self, fault: Fault) -> bool {
        let strikes = self.strikes(0, fault);
        if strikes {
            for satellite in 1..self.satellites.len() {
                self.coverage.fault(fault, self.link_state(satellite));
            }
        }
        strikes
    }

    fn struck(&mut self, satellite: usize, fault: Fault) {
        self.tally.add(fault);
        self.coverage.fault(fault, self.link_state(satellite));
    }

    /// The state of a satellite's link.
    fn link_state(&self, satellite: usize) -> &'static str {
        let control = self.satellites.get(satellite).and_then(|it| it.control.as_ref());
        control.map_or("not running", |control| control.view().link.state)
    }

    /// Notes something in the trace that no machine was told.
    pub fn note(&mut self, satellite: usize, what: &str) {
        let name = self.satellites.get(satellite).map_or("stage", |subject| subject.name.as_str());
        self.trace.note(self.now, name, what, "", &[]);
    }

    /// Runs until `end`, until something is that must not be, or until the step at which the run
    /// is to stop.
    pub fn run_until(&mut self, end: Timestamp) {
        while self.watch.broken.is_none() && self.until != Some(self.trace.steps()) {
            let deadline = self.next_deadline();
            let queued = self.queue.next_at();
            let is_deadline = match (deadline, queued) {
                (Some((at, _, _)), Some(next)) => at < next,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let at = if is_deadline { deadline.map(|(at, _, _)| at) } else { queued };
            let Some(at) = at.filter(|at| *at <= end) else { break };
            self.advance(at);
            let touched = if is_deadline {
                deadline.map(|(_, satellite, beats)| {
                    if beats {
                        self.beat(satellite, heartbeat::Event::Tick);
                    } else {
                        self.tell(satellite, Event::Tick);
                    }
                    satellite
                })
            } else {
                self.queue.take().and_then(|due| self.happen(due))
            };
            invariants::after_step(self, touched);
        }
        self.now = self.now.max(end);
        for subject in &self.satellites {
            if let Some(control) = &subject.control {
                self.coverage.add(control.visits());
            }
        }
        invariants::traced(self);
    }

    /// The earliest deadline of all daemons, whose it is, and whether it is its heartbeat's.
    fn next_deadline(&self) -> Option<(Timestamp, usize, bool)> {
        let daemons = self.satellites.iter().enumerate();
        daemons
            .flat_map(|(index, subject)| {
                let awake = subject.asleep_until;
                let [control, beat] = subject.due;
                [
                    control.map(|at| (at.max(awake), index, false)),
                    beat.map(|at| (at.max(awake), index, true)),
                ]
            })
            .flatten()
            .min()
    }

    fn advance(&mut self, at: Timestamp) {
        if at > self.now {
            self.now = at;
            self.at_once = 0;
        }
        self.at_once += 1;
        if self.at_once > STEPS_AT_ONCE_MAX {
            let waits = self.satellites.iter().filter_map(|subject| subject.control.as_ref());
            let why: Vec<&str> = waits.map(describe::deadline).collect();
            let detail = format!("{STEPS_AT_ONCE_MAX} steps at {at:?}; deadlines: {why:?}");
            self.watch.holds(invariants::Invariant::TimeGoesOn, Err(detail));
        }
    }

    /// Says whom it touched.
    fn happen(&mut self, due: Due) -> Option<usize> {
        let whose = match &due {
            Due::Word { satellite, boot, .. }
            | Due::Beat { satellite, boot, .. }
            | Due::Peer { satellite, boot, .. }
            | Due::Remote { satellite, boot, .. }
            | Due::Death { satellite, boot, .. }
            | Due::Gone { satellite, boot, .. } => Some((*satellite, *boot)),
            Due::Arrival { .. } | Due::Release { .. } | Due::Knock(_) | Due::Action(_) => None,
        };
        if let Some((satellite, _)) = whose
            && let Some(subject) = self.satellites.get(satellite)
            && self.now < subject.asleep_until
        {
            // A machine that sleeps hears of it when it wakes.
            let until = subject.asleep_until;
            self.queue.put(until, due);
            return None;
        }
        match due {
            Due::Word { satellite, boot, event } => {
                if self.is_boot(satellite, boot) {
                    self.tell(satellite, event);
                }
                Some(satellite)
            }
            Due::Beat { satellite, boot, event } => {
                if self.is_boot(satellite, boot) {
                    self.beat(satellite, event);
                }
                Some(satellite)
            }
            Due::Peer { satellite, boot, pid, what } => {
                if self.is_boot(satellite, boot) {
                    self.peering(satellite, pid, what);
                }
                Some(satellite)
            }
            Due::Remote { satellite, boot, conversation, what } => {
                if self.is_boot(satellite, boot) {
                    self.conversing(satellite, conversation, what);
                }
                // What it reports reaches the daemon as a word.
                None
            }
            Due::Knock(knock) => {
                self.knock(&knock);
                None
            }
            Due::Arrival { origin, http, back } => {
                self.arrive(origin, http, back);
                None
            }
            Due::Release { number } => {
                self.release(number);
                None
            }
            Due::Death { pid, satellite, boot } => {
                self.end_process(satellite, boot, pid, Some("SIGKILL"));
                Some(satellite)
            }
            Due::Gone { pid, satellite, boot } => {
                self.end_process(satellite, boot, pid, None);
                Some(satellite)
            }
            Due::Action(action) => {
                action(self);
                // It may have touched anybody.
                for index in 0..self.satellites.len() {
                    invariants::after_step(self, Some(index));
                }
                None
            }
        }
    }

    fn is_boot(&self, satellite: usize, boot: u64) -> bool {
        self.satellites.get(satellite).is_some_and(|subject| subject.boot == boot)
    }
}
