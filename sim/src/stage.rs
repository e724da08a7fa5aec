//! Tier 1: control machines as they ship, around them only models, and no time that passes by
//! itself.

pub mod backend;
pub mod describe;
pub mod invariants;
pub mod network;
pub mod observer;
pub mod processes;
pub mod queue;
pub mod satellite;

mod effects;

use satellite_core::control::Event;
use satellite_core::heartbeat;
use satellite_core::http::HttpRequest;
use satellite_core::random::Random;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::time::Timestamp;
use satellite_core::{Machine, Verdict};

use crate::trace::Trace;
use backend::{ModelBackend, Reply};
use network::{Back, Network};
use observer::Observer;
use processes::Processes;
use queue::Queue;
use satellite::Satellite;

/// Simulated time begins here: 1 January 2026, 00:00 UTC.
pub const EPOCH: Timestamp = Timestamp(1_767_225_600_000);

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
    /// A request reaches the Backend.
    Arrival { origin: Origin, http: HttpRequest, back: Back },
    /// The Backend ends the hold of a poll.
    Release { origin: Origin, http: HttpRequest, back: Back },
    /// A process dies by itself.
    Death { pid: u32, satellite: usize, boot: u64 },
    /// A process that was told to end has ended.
    Gone { pid: u32, satellite: usize, boot: u64 },
    /// The scenario acts.
    Action(Action),
}

/// Who sent a request, and when.
#[derive(Clone, Debug)]
struct Origin {
    satellite: usize,
    boot: u64,
    request: RequestKey,
    sent: Timestamp,
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A control machine's.
    Control(usize),
    /// A heartbeat's.
    Heartbeat(usize),
}

/// What a scenario does to the world.
type Action = Box<dyn FnOnce(&mut Stage)>;

/// The world of tier 1.
pub struct Stage {
    now: Timestamp,
    queue: Queue<Due>,
    random: Random,
    at_once: u64,
    /// The network.
    pub network: Network,
    /// The Backend.
    pub backend: ModelBackend,
    /// The satellites.
    pub satellites: Vec<Satellite>,
    /// Their processes.
    pub processes: Processes,
    /// Who watches the wire.
    pub observer: Observer,
    /// What happened.
    pub trace: Trace,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
}

impl Stage {
    /// An empty world. Everything in it follows from `seed`.
    pub fn new(seed: u64) -> Stage {
        let mut random = Random::new(seed);
        Stage {
            now: EPOCH,
            queue: Queue::default(),
            network: Network::new(random.fork("network")),
            backend: ModelBackend::default(),
            satellites: Vec::new(),
            processes: Processes::default(),
            observer: Observer::default(),
            trace: Trace::default(),
            violation: None,
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

    /// Has the scenario act `after_ms` from now.
    pub fn later(&mut self, after_ms: u64, action: impl FnOnce(&mut Stage) + 'static) {
        self.queue.put(self.now.after(after_ms), Due::Action(Box::new(action)));
    }

    /// Adds a satellite with a registration token that is good once. It is not started.
    pub fn add_satellite(&mut self, name: &str) -> usize {
        let token = format!("deploystack_satellite_global_{name}-token");
        self.backend.tokens.insert(token.clone(), false);
        self.satellites.push(Satellite::new(name, &token));
        self.satellites.len() - 1
    }

    /// Starts a satellite's daemon: what an earlier one left is ended first.
    pub fn start(&mut self, satellite: usize) {
        let seed = self.random.next();
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let start = subject.boot(seed);
        let boot = subject.boot;
        let swept = self.processes.sweep(satellite, boot);
        self.note(satellite, &format!("daemon started, {swept} processes of earlier ones ended"));
        self.tell(satellite, Event::Started(start));
    }

    /// Kills a satellite's daemon; its processes go on.
    pub fn kill(&mut self, satellite: usize) {
        if let Some(subject) = self.satellites.get_mut(satellite) {
            subject.control = None;
            subject.heartbeat = None;
            self.note(satellite, "daemon killed");
        }
    }

    /// Kills one of a satellite's processes, as anybody might.
    pub fn kill_process(&mut self, satellite: usize) {
        let found =
            self.processes.of(satellite).next().map(|(_, process)| (process.pid, process.boot));
        if let Some((pid, boot)) = found {
            self.queue.put(self.now, Due::Death { pid, satellite, boot });
        }
    }

    /// Has a client want every instance of a satellite, whether it sleeps or not.
    pub fn want_all(&mut self, satellite: usize) {
        let control = self.satellites.get(satellite).and_then(|subject| subject.control.as_ref());
        let keys: Vec<_> = control
            .map_or_else(Vec::new, |control| control.view().instances.keys().cloned().collect());
        for key in keys {
            self.tell(satellite, Event::Wanted { key });
        }
    }

    /// Notes something in the trace that no machine was told.
    pub fn note(&mut self, satellite: usize, what: &str) {
        let name = self.satellites.get(satellite).map_or("stage", |subject| subject.name.as_str());
        self.trace.note(self.now, name, what, "", &[]);
    }

    /// Runs until `end`, or until something is that must not be.
    pub fn run_until(&mut self, end: Timestamp) {
        while self.violation.is_none() {
            let deadline = self.next_deadline();
            let queued = self.queue.next_at();
            let is_deadline = match (deadline, queued) {
                (Some((at, _)), Some(next)) => at < next,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let at = if is_deadline { deadline.map(|(at, _)| at) } else { queued };
            let Some(at) = at.filter(|at| *at <= end) else { break };
            self.advance(at);
            if is_deadline {
                match deadline {
                    Some((_, Timer::Control(satellite))) => self.tell(satellite, Event::Tick),
                    Some((_, Timer::Heartbeat(satellite))) => {
                        self.beat(satellite, heartbeat::Event::Tick);
                    }
                    None => {}
                }
            } else if let Some(due) = self.queue.take() {
                self.happen(due);
            }
            if self.violation.is_none() {
                self.violation = invariants::check(self).err();
            }
        }
        self.now = self.now.max(end);
    }

    /// The earliest deadline of all daemons, and whose it is.
    fn next_deadline(&self) -> Option<(Timestamp, Timer)> {
        let daemons = self.satellites.iter().enumerate();
        daemons
            .flat_map(|(index, subject)| {
                let control = subject.control.as_ref().and_then(Machine::next_deadline);
                let beat = subject.heartbeat.as_ref().and_then(Machine::next_deadline);
                [
                    control.map(|deadline| (deadline.at, Timer::Control(index))),
                    beat.map(|deadline| (deadline.at, Timer::Heartbeat(index))),
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
            self.violation = Some(Violation {
                invariant: "time goes on",
                detail: format!("{STEPS_AT_ONCE_MAX} steps at {at:?}; deadlines: {why:?}"),
            });
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Word { satellite, boot, event } => {
                if self.satellites.get(satellite).is_some_and(|subject| subject.boot == boot) {
                    self.tell(satellite, event);
                }
            }
            Due::Beat { satellite, boot, event } => {
                if self.satellites.get(satellite).is_some_and(|subject| subject.boot == boot) {
                    self.beat(satellite, event);
                }
            }
            Due::Arrival { origin, http, back } => self.arrive(origin, http, back),
            Due::Release { origin, http, back } => self.release(&origin, &http, back),
            Due::Death { pid, satellite, boot } => {
                self.end_process(satellite, boot, pid, Some("SIGKILL"))
            }
            Due::Gone { pid, satellite, boot } => self.end_process(satellite, boot, pid, None),
            Due::Action(action) => action(self),
        }
    }

    /// Gives a daemon an event and performs what it asks for.
    fn tell(&mut self, satellite: usize, event: Event) {
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let Some(control) = subject.control.as_mut() else { return };
        let described = describe::event(&event);
        if let Event::Answered { request, answer } = &event {
            if request.channel == Channel::Poll {
                subject.polls_in_flight = subject.polls_in_flight.saturating_sub(1);
            }
            self.observer.answered((satellite, subject.boot), request.channel, answer, now);
        }
        let mut effects = Vec::new();
        let verdict: Verdict = control.handle(now, event, &mut effects);
        let wanted: Vec<String> = effects.iter().map(describe::effect).collect();
        let name = subject.name.clone();
        self.trace.note(now, &name, &described, &describe::verdict(verdict), &wanted);
        for effect in effects {
            self.perform(satellite, effect);
        }
        self.begin_heartbeat(satellite);
    }

    /// The heartbeat begins once the pairing is known and on disk.
    fn begin_heartbeat(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let is_paired = subject.control.as_ref().is_some_and(|c| c.view().satellite.is_some());
        if let (true, false, Some(credentials)) =
            (is_paired, subject.is_beating, subject.disk.credentials.clone())
        {
            subject.is_beating = true;
            self.beat(satellite, heartbeat::Event::Paired(credentials));
        }
    }

    /// Gives a daemon's heartbeat an event and performs what it asks for.
    fn beat(&mut self, satellite: usize, event: heartbeat::Event) {
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let Some(beating) = subject.heartbeat.as_mut() else { return };
        let described = describe::heartbeat_event(&event);
        let mut effects = Vec::new();
        let verdict = beating.handle(now, event, &mut effects);
        let wanted: Vec<String> = effects.iter().map(describe::heartbeat_effect).collect();
        let name = format!("{}/heartbeat", subject.name);
        self.trace.note(now, &name, &described, &describe::verdict(verdict), &wanted);
        for effect in effects {
            self.perform_beat(satellite, effect);
        }
    }

    fn arrive(&mut self, origin: Origin, http: HttpRequest, back: Back) {
        if self.backend.is_down {
            let refused =
                satellite_core::http::HttpFailure::Refused(String::from("nobody listens"));
            self.respond(&origin, &http, Err(refused), back);
            return;
        }
        match self.backend.receive(self.now, &http) {
            Reply::Now(answer) => self.respond(&origin, &http, Ok(answer), back),
            Reply::Held(until) => self.queue.put(until, Due::Release { origin, http, back }),
        }
    }

    fn release(&mut self, origin: &Origin, http: &HttpRequest, back: Back) {
        let Some(id) = http.path.split('/').nth(4).map(String::from) else { return };
        let answer = self.backend.deliver(&id);
        self.respond(origin, http, Ok(answer), back);
    }
}
