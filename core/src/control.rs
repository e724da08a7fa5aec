//! The control machine: one per daemon, it owns every lifecycle and the talk with the Backend.
//!
//! It is made of smaller machines and translates between them: what one asks for becomes another's
//! event, or an effect of the whole.
//!
//! | file | what it joins |
//! |---|---|
//! | `conversation` | link, configuration, commands and outbox, each with the Backend |
//! | `fleet` | instances, their servers, and the places for their processes |
//! | `measuring` | what processes use, and how near they are to their limits |
//! | `apply` | a configuration, made the one in force |
//! | `execution` | commands of the Backend and what they do to the fleet |
//! | `ending` | shutting down in order |
//! | `publish` | the one published [`View`] |
//! | `usage` | what clients do and servers write, and the events that tell of it |
//! | `watermark` | how near the satellite is to its limits |
//! | `remembering` | the journal, and who waits for it |

mod apply;
mod audit;
mod conversation;
mod effect;
mod ending;
mod event;
mod execution;
mod fleet;
mod measuring;
mod places;
mod publish;
mod remembering;
#[cfg(test)]
mod tests;
mod usage;
#[cfg(feature = "coverage")]
pub mod visits;
mod watermark;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use effect::{Effect, Record};
pub use event::{Event, Start};

use crate::commands::Commands;
use crate::configuration::Configuration;
use crate::id::{Incarnation, InstallationId, InstanceKey};
use crate::instance::Instance;
use crate::journal::{Journal, ToolSwitch};
use crate::limits::Settings;
use crate::link::Link;
use crate::log::{Level, LogLine};
use crate::outbox::Outbox;
use crate::random::Random;
use crate::server::Server;
use crate::time::Timestamp;
use crate::view::{SatelliteIdentity, ServerNames, View};
use crate::{Deadline, Machine, Refusal, Verdict};
use ending::Ending;
use execution::Executions;
use measuring::Measuring;
use places::{Bounds, Places};
use usage::Usage;
use watermark::Watermark;

/// The control machine.
pub struct Control {
    settings: Settings,
    random: Random,
    link: Link,
    configuration: Configuration,
    commands: Commands,
    outbox: Outbox,
    identity: Option<SatelliteIdentity>,
    instances: BTreeMap<InstanceKey, Instance>,
    /// The highest incarnation of all instances that were removed.
    last_incarnation: Incarnation,
    servers: BTreeMap<InstallationId, Installed>,
    places: Places,
    executions: Executions,
    ending: Option<Ending>,
    usage: Usage,
    processes: Watermark,
    measuring: Measuring,
    journal: Journal,
    /// Names the present run of the machine's kernel.
    boot: String,
    /// Tools switched by commands, the last switched last.
    switches: Vec<ToolSwitch>,
    /// Whether the configuration in force came from the Backend since the start.
    configuration_fresh: bool,
    /// Settings of the configuration in force that are not acted on.
    unmet: Vec<&'static str>,
    /// Why records could not be written when that was last tried, by their names.
    persist_errors: BTreeMap<&'static str, String>,
    /// Errors since the last heartbeat that the Backend confirmed.
    errors: u64,
    refused: BTreeMap<&'static str, u64>,
    /// Instances whose published form is out of date.
    changed: BTreeSet<InstanceKey>,
    view: Arc<View>,
    #[cfg(feature = "coverage")]
    visits: visits::Visits,
}

/// An installation and its lifecycle.
struct Installed {
    names: Arc<ServerNames>,
    team: crate::id::TeamId,
    machine: Server,
}

impl Control {
    /// A control machine that has not started. `seed` decides all its randomness.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Control {
            link: Link::new(&settings, random.fork("link")),
            configuration: Configuration::new(random.fork("configuration")),
            commands: Commands::new(random.fork("commands")),
            outbox: Outbox::new(&settings, random.fork("outbox")),
            identity: None,
            instances: BTreeMap::new(),
            last_incarnation: Incarnation::default(),
            servers: BTreeMap::new(),
            places: Places::new(Bounds::of(&settings)),
            executions: Executions::default(),
            ending: None,
            usage: Usage::default(),
            processes: Watermark::default(),
            measuring: Measuring::default(),
            journal: Journal::default(),
            boot: String::new(),
            switches: Vec::new(),
            configuration_fresh: false,
            unmet: Vec::new(),
            persist_errors: BTreeMap::new(),
            errors: 0,
            refused: BTreeMap::new(),
            changed: BTreeSet::new(),
            view: Arc::new(View { isolation: settings.isolation.level(), ..View::default() }),
            #[cfg(feature = "coverage")]
            visits: visits::Visits::new(),
            random,
            settings,
        }
    }

    /// What the outside may know, as of the last event.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// The instances, for invariants of the simulation.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// The number that the next event gets, for invariants of the simulation.
    pub fn next_event(&self) -> u64 {
        self.outbox.next_seq()
    }

    /// Which state has met which event, and how often.
    #[cfg(feature = "coverage")]
    pub fn visits(&self) -> &visits::Visits {
        &self.visits
    }

    fn dispatch(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Started(start) => self.start(now, start, out),
            Event::Answered { request, answer } => self.answered(now, request, answer, out),
            Event::Persisted { record, outcome } => self.persisted(now, record, outcome, out),
            Event::UserForgotten { request, identities, sessions } => {
                self.user_forgotten(request, identities, sessions)
            }
            Event::HeartbeatAnswered { answer } => self.heartbeat_answered(now, answer, out),
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::Frozen { .. }
            | Event::FreezeFailed { .. }
            | Event::Thawed { .. }
            | Event::ThawFailed { .. }
            | Event::Relay { .. }
            | Event::Wanted { .. }
            | Event::Stderr { .. } => self.fleet_event(now, event, out),
            Event::Measured { at, samples, teams } => {
                self.measured(now, at, samples, out);
                self.teams_measured(now, at, teams, out)
            }
            Event::Used { reports, lost } => self.used(now, &reports.reports, lost, out),
            Event::ShutdownRequested => self.shutdown_requested(now, out),
            Event::Tick => self.tick(now, out),
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        let talked = self.tick_conversation(now, out);
        let moved = self.tick_fleet(now, out);
        let told = self.tick_usage(now, out);
        // Its writing follows, as after any event.
        let writes = self.journal.next_deadline().is_some_and(|next| next.at <= now);
        if talked || moved || told || writes {
            Verdict::Handled
        } else {
            Verdict::Ignored("nothing is due")
        }
    }

    fn count(&mut self, why: Refusal) {
        *self.refused.entry(why.as_str()).or_insert(0) += 1;
    }

    /// Logs and counts what became of an event that this machine gave to one of its parts.
    fn note(&mut self, verdict: Verdict, what: &'static str, out: &mut Vec<Effect>) {
        match verdict {
            Verdict::Refused(why) => {
                self.count(why);
                out.push(Effect::Log(
                    LogLine::new(Level::Warn, "event refused")
                        .with("operation", what)
                        .with("reason", why.as_str()),
                ));
            }
            Verdict::Ignored(why) => out.push(Effect::Log(
                LogLine::new(Level::Trace, "event ignored")
                    .with("operation", what)
                    .with("reason", why),
            )),
            Verdict::Moved | Verdict::Handled => {}
        }
    }
}

impl Machine for Control {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let verdict = self.dispatch(now, event, out);
        self.fill_places(now, out);
        self.settle_executions(now, out);
        if self.ending.is_some() {
            self.flush_usage(now, out);
        }
        self.flush_journal(now, out);
        self.proceed_ending(now, out);
        // The host logs what became of its events.
        if let Verdict::Refused(why) = verdict {
            self.count(why);
        }
        self.publish();
        verdict
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let conversation = self.conversation_deadline();
        let fleet = self
            .instances
            .values()
            .filter_map(Machine::next_deadline)
            .fold(None, |earliest, next| Deadline::earlier(earliest, Some(next)));
        let ending = self.ending.as_ref().map(Ending::deadline);
        let execution = self.executions.next_deadline();
        let usage = self.usage_deadline();
        let journal = self.journal.next_deadline();
        [conversation, fleet, ending, execution, usage, journal]
            .into_iter()
            .fold(None, Deadline::earlier)
    }
}
