//! What an instance knows beside its state, and when it next wants the time.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::crashes::Crashes;
use super::frost::Unheard;
use super::health::Pings;
use super::remote::{Attempt, Remote};
use super::spec::Launch;
use super::state::{Process, Purpose, State};
use super::{Effect, Restart, Spec};
use crate::id::{CommandId, Incarnation};
use crate::limits;
use crate::process::ProcessSpec;
use crate::random::Random;
use crate::relay::Activity;
use crate::secret::Secret;
use crate::time::{SECOND, Timestamp};
use crate::view::{HealthStatus, Inventory};
use crate::{Deadline, Verdict};

/// The relay watches the handshake itself; this is the margin after which it is not believed.
pub(super) const MARGIN_MS: u64 = 10 * SECOND;
/// The variable by which a process knows the command that asked for it.
pub const COMMAND_ID: &str = "SATELLITE_COMMAND_ID";
/// How long a process whose pipes are closed may take to end by itself.
pub(super) const LOST_MS: u64 = 2 * SECOND;

/// What an instance knows beside its state.
#[derive(Debug)]
pub struct Lifecycle {
    /// What the configuration says of it.
    pub spec: Spec,
    /// What it offers, as last discovered.
    pub inventory: Arc<Inventory>,
    /// Why its status is what it is, for people.
    pub message: Option<String>,
    /// Whether its last health check succeeded.
    pub health: HealthStatus,
    /// When that was known.
    pub health_at: Option<Timestamp>,
    /// What its present process is at, or its last one was: `spawn`, `initialize`, `tools/list`,
    /// `run`.
    pub step: &'static str,
    /// What went wrong last, until it is online again.
    pub failure: Option<Failure>,
    /// How long the start of its last process took, in milliseconds.
    pub spawn_ms: Option<u64>,
    /// When it was last used.
    pub last_activity: Timestamp,
    /// Restarts after crashes.
    pub restarts: u64,
    /// Attempts in a row at a server elsewhere that failed.
    pub failures: u32,
    pub(super) timing: Timing,
    pub(super) random: Random,
    pub(super) crashes: Crashes,
    pub(super) pings: Pings,
    pub(super) unheard: Unheard,
    pub(super) incarnation: Incarnation,
    /// When a call last asked for it while it waited for its turn to start.
    pub(super) wanted_at: Timestamp,
    /// The last of its processes that could not be frozen.
    pub(super) unfreezable: Option<Incarnation>,
    /// The command that asked for the next process.
    pub(super) commanded_by: Option<CommandId>,
    /// Totals of the processes before the present one.
    pub(super) past: Activity,
    /// Totals of the present process.
    pub(super) present: Activity,
}

/// What went wrong with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step that failed: of starting a process, or `initialize`, `tools/list`, `run`.
    pub step: String,
    /// What happened, for people.
    pub error: String,
    /// The last lines the process wrote to standard error, secrets replaced.
    pub last_stderr: Vec<String>,
}

/// The operator's choices that concern an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) grace_ms: u64,
    pub(super) place_wait_ms: u64,
    /// Idle time after which a process is frozen, where that can be done and is wanted.
    pub(super) freeze_after_ms: Option<u64>,
    pub(super) stderr_lines_per_second: u32,
}

/// What a handler works with. The verdict is empty before an event and set after it.
pub struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Vec<Effect>,
    pub(super) verdict: Option<Verdict>,
}

impl Lifecycle {
    pub(super) fn new(spec: Spec, timing: Timing, random: Random, now: Timestamp) -> Self {
        Lifecycle {
            spec,
            inventory: Arc::default(),
            message: None,
            health: HealthStatus::Unknown,
            health_at: None,
            step: "configuration",
            failure: None,
            spawn_ms: None,
            last_activity: now,
            restarts: 0,
            failures: 0,
            timing,
            random,
            crashes: Crashes::default(),
            pings: Pings::default(),
            unheard: Unheard::default(),
            incarnation: Incarnation::default(),
            wanted_at: Timestamp::default(),
            unfreezable: None,
            commanded_by: None,
            past: Activity::default(),
            present: Activity::default(),
        }
    }

    /// Which of its processes is the present one, or was the last.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(super) fn set_health(&mut self, health: HealthStatus, at: Option<Timestamp>) {
        self.health = health;
        self.health_at = at;
    }

    /// It cannot be started as it is configured.
    pub(super) fn cannot_start(&mut self, reason: String) {
        self.message = Some(reason.clone());
        self.failed("configuration", reason, &[]);
    }

    pub(super) fn failed(&mut self, step: &str, error: String, words: &[String]) {
        let last_stderr = words.to_vec();
        self.failure = Some(Failure { step: String::from(step), error, last_stderr });
    }

    /// Messages sent and errors met in all.
    pub fn totals(&self) -> Activity {
        Activity {
            messages: self.past.messages.saturating_add(self.present.messages),
            errors: self.past.errors.saturating_add(self.present.errors),
            late: self.past.late.saturating_add(self.present.late),
            in_flight: self.present.in_flight,
        }
    }

    pub(super) fn used(&mut self, now: Timestamp, activity: Activity) {
        self.present = activity;
        self.last_activity = now;
    }

    /// The first state of a start: a process needs a place before it is one.
    pub(super) fn begin(&mut self, purpose: Purpose, cx: &mut Context<'_>) -> State {
        if let Ok(Launch::Remote(_)) = &self.spec.launch {
            return self.connect(purpose, cx);
        }
        State::Waiting { since: cx.now, purpose, has_place: false }
    }

    /// The state in which another process is started in the place of the last one, or in which it
    /// is said why none can be.
    pub(super) fn connecting(&mut self, purpose: Purpose, cx: &mut Context<'_>) -> State {
        let now = cx.now;
        let handshake_ms = match &self.spec.launch {
            Ok(Launch::Process(process)) => process.handshake_timeout_ms,
            Ok(Launch::Remote(_)) => {
                cx.out.push(Effect::Release);
                return self.connect(purpose, cx);
            }
            Err(reason) => {
                self.cannot_start(reason.clone());
                return State::Failed { since: now };
            }
        };
        self.incarnation = self.incarnation.next();
        self.past = self.totals();
        self.present = Activity::default();
        self.pings = Pings::default();
        self.unheard = Unheard::default();
        self.step = "spawn";
        self.spawn_ms = None;
        let process =
            Process { incarnation: self.incarnation, pid: None, since: now, lost_until: None };
        let until = now.after(handshake_ms.saturating_add(MARGIN_MS));
        State::Connecting { process, purpose, until }
    }

    /// A restart was asked for: what crashed before does not count, and the next process is told
    /// by which command it is started.
    pub(super) fn start_afresh(&mut self, restart: &Restart) {
        self.crashes.forget();
        self.commanded_by = match restart {
            Restart::Commanded(command) => Some(command.clone()),
            Restart::Reconfigured | Restart::Recovered => None,
        };
    }

    /// What to start. One process alone is told of the command that asked for it: those that
    /// follow are started for other reasons.
    pub(super) fn process_spec(&mut self) -> Option<ProcessSpec> {
        let commanded_by = self.commanded_by.take();
        let Ok(Launch::Process(process)) = &self.spec.launch else { return None };
        let mut process = process.clone();
        process.env.extend(
            commanded_by.map(|command| (COMMAND_ID.to_string(), Secret::new(command.as_str()))),
        );
        Some(process)
    }

    pub(super) fn discovery_until(now: Timestamp) -> Timestamp {
        now.after(limits::DISCOVERY_TIMEOUT_MS + MARGIN_MS)
    }

    /// When an online process is idle: unused for the idle time, and past its grace.
    pub(super) fn idle_at(&self, since: Timestamp) -> Option<Timestamp> {
        if self.spec.idle_ms == 0 || self.present.in_flight > 0 {
            return None;
        }
        let used = self.last_activity.max(since).after(self.spec.idle_ms);
        Some(used.max(since.after(self.timing.grace_ms)))
    }

    /// When whoever wanted it awake has given up waiting for its turn to start, which began at
    /// `since`. What is started for other reasons waits as long as it takes.
    pub(super) fn unwanted_at(&self, since: Timestamp, purpose: &Purpose) -> Option<Timestamp> {
        let is_wake = matches!(purpose, Purpose::Wake { .. });
        is_wake.then(|| self.wanted_at.max(since).after(self.timing.place_wait_ms))
    }

    /// When an online process is to be frozen: unused for that long, and past its grace.
    pub(super) fn freeze_at(&self, since: Timestamp) -> Option<Timestamp> {
        let is_asked = self.present.in_flight > 0 || self.owes_sign_of_life();
        if is_asked || self.unfreezable == Some(self.incarnation) {
            return None;
        }
        let unused = self.last_activity.max(since).after(self.timing.freeze_after_ms?);
        Some(unused.max(since.after(self.timing.grace_ms)))
    }

    pub(super) fn deadline(&self, state: &State) -> Option<Deadline> {
        // Once it has been told to end there is nothing more to do about closed pipes.
        let alive = state.process().filter(|_| !matches!(state, State::Stopping { .. }));
        let lost = alive.and_then(|process| process.lost_until);
        let lost = lost.map(|at| Deadline::new(at, "pipes closed"));
        let own = match state {
            State::Provisioned => Some(Deadline::new(self.last_activity, "first start")),
            State::Waiting { since, purpose, .. } => {
                self.unwanted_at(*since, purpose).map(|at| Deadline::new(at, "place"))
            }
            State::Connecting { until, .. } => Some(Deadline::new(*until, "handshake")),
            State::Discovering { until, .. } => Some(Deadline::new(*until, "discovery")),
            // While its pipes are closed it is neither put to sleep nor spoken to.
            State::Online { process, since } if process.lost_until.is_none() => [
                self.idle_at(*since).map(|at| Deadline::new(at, "idle")),
                self.freeze_at(*since).map(|at| Deadline::new(at, "freeze")),
                self.ping_at(*since).map(|at| Deadline::new(at, "ping")),
            ]
            .into_iter()
            .fold(None, Deadline::earlier),
            State::Freezing { process, since } | State::Frozen { process, since, .. }
                if process.lost_until.is_none() =>
            {
                self.idle_at(*since).map(|at| Deadline::new(at, "idle"))
            }
            State::Thawing { until, .. } => Some(Deadline::new(*until, "thaw")),
            State::Restarting { until, .. } => Some(Deadline::new(*until, "restart")),
            State::Remote(remote) => self.remote_deadline(remote),
            State::Online { .. }
            | State::Freezing { .. }
            | State::Frozen { .. }
            | State::Stopping { .. }
            | State::Dormant { .. }
            | State::Stopped { .. }
            | State::Failed { .. }
            | State::PermanentlyFailed { .. }
            | State::Removed => None,
        };
        Deadline::earlier(lost, own)
    }

    fn remote_deadline(&self, remote: &Remote) -> Option<Deadline> {
        let (at, why) = match remote {
            Remote::Connecting { until, .. } => (*until, "handshake"),
            Remote::Discovering { until, .. } => (*until, "discovery"),
            Remote::Online { since, asked, .. } => (self.probe_at(*since, *asked)?, "probe"),
            Remote::Down { attempt: Attempt::Due { at }, .. } => (*at, "next attempt"),
            Remote::Down { attempt: Attempt::Running { until }, .. } => (*until, "attempt"),
            Remote::Down { attempt: Attempt::Awaited, .. } => return None,
            Remote::Disconnecting { until, .. } => (*until, "end of the conversation"),
        };
        Some(Deadline::new(at, why))
    }
}
