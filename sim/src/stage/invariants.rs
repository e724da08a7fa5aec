//! What must be true after every step. One function per property, counted each time it is looked at.
//!
//! What a step did not touch has not changed, so only that is looked at anew: after a word to a
//! daemon its processes and views, after a request its pace, after an event at the Backend its place
//! in the row.

mod calls;
mod commands;
mod events;
mod polling;
mod processes;
mod remotes;
mod secrets;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::id::InstanceKey;

use super::{Stage, Violation};
pub use polling::Pace;

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// An instance has at most one process.
    OneProcessPerInstance,
    /// A process has an instance.
    ProcessHasInstance,
    /// Processes and starts are no more than the operator allows, a team's neither.
    WithinBounds,
    /// Calls go only to a process that runs.
    ReadyMeansRunning,
    /// A command that cannot be repeated takes effect once.
    OneEffectPerCommand,
    /// A command has one result.
    OneResultPerCommand,
    /// A call has one outcome.
    CallEndsOnce,
    /// An event is stored once, or named in a gap.
    EventOnceOrInGap,
    /// Event numbers have no holes.
    NumbersWithoutHoles,
    /// An event sent again is the same event.
    EventKeepsItsId,
    /// An event that was accepted is in the journal, confirmed, or will be named in a gap.
    AcceptedEventsKept,
    /// The heartbeat says what the view says.
    HeartbeatAgrees,
    /// An online server has an online instance, and no other has.
    ServerFollowsInstances,
    /// The statuses that the Backend was told are those of the view.
    StatusesAgree,
    /// What waits is bounded.
    QueuesBounded,
    /// One poll at a time.
    OnePollAtATime,
    /// Polls keep the interval they were told, and its limits.
    PollInterval,
    /// After a failure there is a pause, within its limits.
    PauseAfterFailure,
    /// Heartbeats come every 30 seconds.
    HeartbeatOnTime,
    /// A pairing uses one token.
    PairedOnce,
    /// No secret in a log line.
    NoSecretInLogs,
    /// No secret in the journal.
    NoSecretInJournal,
    /// No secret in the trace.
    NoSecretInTrace,
    /// A conversation has an instance, and an instance one conversation.
    ConversationHasInstance,
    /// A status has a reason.
    StatusHasReason,
    /// A way up skips no step.
    EveryStep,
    /// Tools stay on offer.
    ToolsStay,
    /// A server is discovered once at a time.
    OneDiscovery,
    /// A conversation that has ended says no more.
    EndedIsSilent,
    /// No request bears another user's secrets.
    IdentitiesApart,
    /// A call that may not be repeated runs once, and one that was not sent never.
    RunsOnce,
    /// A server that comes near a limit is told of once.
    OneWarningPerCrossing,
    /// Servers elsewhere come back in time.
    RemotesReturn,
    /// Time goes on.
    TimeGoesOn,
    /// When faults have ended, everything comes right.
    Converges,
    /// Nobody waits for a place that a frozen server could give up.
    RoomIsMade,
    /// A server that a limit ended is reported as that.
    LimitKillTold,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 37] = [
        Invariant::OneProcessPerInstance,
        Invariant::ProcessHasInstance,
        Invariant::WithinBounds,
        Invariant::ReadyMeansRunning,
        Invariant::OneEffectPerCommand,
        Invariant::OneResultPerCommand,
        Invariant::CallEndsOnce,
        Invariant::EventOnceOrInGap,
        Invariant::NumbersWithoutHoles,
        Invariant::EventKeepsItsId,
        Invariant::AcceptedEventsKept,
        Invariant::HeartbeatAgrees,
        Invariant::ServerFollowsInstances,
        Invariant::StatusesAgree,
        Invariant::QueuesBounded,
        Invariant::OnePollAtATime,
        Invariant::PollInterval,
        Invariant::PauseAfterFailure,
        Invariant::HeartbeatOnTime,
        Invariant::PairedOnce,
        Invariant::NoSecretInLogs,
        Invariant::NoSecretInJournal,
        Invariant::NoSecretInTrace,
        Invariant::ConversationHasInstance,
        Invariant::StatusHasReason,
        Invariant::EveryStep,
        Invariant::ToolsStay,
        Invariant::OneDiscovery,
        Invariant::EndedIsSilent,
        Invariant::IdentitiesApart,
        Invariant::RunsOnce,
        Invariant::OneWarningPerCrossing,
        Invariant::RemotesReturn,
        Invariant::TimeGoesOn,
        Invariant::Converges,
        Invariant::RoomIsMade,
        Invariant::LimitKillTold,
    ];

    /// What it says.
    pub fn name(self) -> &'static str {
        match self {
            Invariant::OneProcessPerInstance => "an instance has at most one process",
            Invariant::ProcessHasInstance => "a process has an instance",
            Invariant::WithinBounds => "no more run or start than are allowed, of a team neither",
            Invariant::ReadyMeansRunning => "calls go only to a process that runs",
            Invariant::OneEffectPerCommand => "a command takes effect once",
            Invariant::OneResultPerCommand => "a command has one result",
            Invariant::CallEndsOnce => "a call has one outcome, its own",
            Invariant::EventOnceOrInGap => "an event is stored once or named in a gap",
            Invariant::NumbersWithoutHoles => "event numbers have no holes",
            Invariant::EventKeepsItsId => "an event sent again is the same event",
            Invariant::AcceptedEventsKept => "an accepted event is kept or named in a gap",
            Invariant::HeartbeatAgrees => "the heartbeat says what the view says",
            Invariant::ServerFollowsInstances => "an online server has an online instance",
            Invariant::StatusesAgree => "statuses told by events are those of the view",
            Invariant::QueuesBounded => "what waits is bounded",
            Invariant::OnePollAtATime => "one poll at a time",
            Invariant::PollInterval => "polls keep their interval",
            Invariant::PauseAfterFailure => "a failure is followed by a pause",
            Invariant::HeartbeatOnTime => "heartbeats come every 30 seconds",
            Invariant::PairedOnce => "a pairing uses one token",
            Invariant::NoSecretInLogs => "no secret in a log line",
            Invariant::NoSecretInJournal => "no secret in the journal",
            Invariant::NoSecretInTrace => "no secret in the trace",
            Invariant::ConversationHasInstance => "a conversation has an instance of its own",
            Invariant::StatusHasReason => "a remote's status has a reason",
            Invariant::EveryStep => "a way up skips no step",
            Invariant::ToolsStay => "tools stay until others are known",
            Invariant::OneDiscovery => "one discovery at a time",
            Invariant::EndedIsSilent => "a conversation that ended says no more",
            Invariant::IdentitiesApart => "no request bears another user's secrets",
            Invariant::RunsOnce => "a call runs once, unsent never",
            Invariant::OneWarningPerCrossing => "a limit come near is told of once",
            Invariant::RemotesReturn => "remotes come back in time",
            Invariant::TimeGoesOn => "time goes on",
            Invariant::Converges => "without faults everything comes right",
            Invariant::RoomIsMade => "nobody waits for the place of a frozen server",
            Invariant::LimitKillTold => "a kill by a limit is told as that",
        }
    }
}

/// How often each invariant was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluations([u64; Invariant::ALL.len()]);

impl Default for Evaluations {
    fn default() -> Self {
        Evaluations([0; Invariant::ALL.len()])
    }
}

impl Evaluations {
    /// All of another run.
    pub fn merge(&mut self, other: &Evaluations) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine += others;
        }
    }

    /// Each invariant and how often it was looked at.
    pub fn counts(&self) -> impl Iterator<Item = (Invariant, u64)> {
        Invariant::ALL.into_iter().map(|invariant| (invariant, self.0[invariant as usize]))
    }
}

/// What the invariants remember between steps.
#[derive(Debug, Default)]
pub struct Watch {
    /// How often each was looked at.
    pub evaluations: Evaluations,
    /// The first that did not hold.
    pub broken: Option<Violation>,
    /// The pace of each satellite's requests.
    pub(super) paces: BTreeMap<usize, Pace>,
    /// How often the work of each command began that no process can tell of.
    begun: BTreeMap<String, u64>,
    /// Commands whose result no disk took when it was to be kept.
    unkept: BTreeSet<String>,
    /// Processes started for each command, by instance.
    started: BTreeMap<(String, InstanceKey), u64>,
    /// How often servers elsewhere did what each call asks for.
    ran: BTreeMap<u64, u64>,
    /// Calls of which it was said that no server saw them.
    unsent: BTreeSet<u64>,
    /// Instances of each satellite's daemon whose tools were known.
    tools: BTreeMap<usize, (u64, BTreeSet<InstanceKey>)>,
    /// The revision of each satellite's view that was looked at last.
    seen: BTreeMap<usize, (u64, u64, u64, u64)>,
}

impl Watch {
    /// Counts an evaluation, and keeps what was wrong.
    pub fn holds(&mut self, invariant: Invariant, outcome: Result<(), String>) {
        self.evaluations.0[invariant as usize] += 1;
        if let (Err(detail), None) = (outcome, &self.broken) {
            self.broken = Some(Violation { invariant: invariant.name(), detail });
        }
    }
}

/// Looks at everything that a step may have changed about a satellite and about the Backend.
pub fn after_step(stage: &mut Stage, satellite: Option<usize>) {
    stage.watch.holds(Invariant::TimeGoesOn, Ok(()));
    if !stage.backend.fresh.is_empty() {
        events::stored(stage);
    }
    let Some(index) = satellite else { return };
    let kept = events::accepted(stage, index);
    stage.watch.holds(Invariant::AcceptedEventsKept, kept);
    let Some(subject) = stage.satellites.get(index) else { return };
    let Some(control) = &subject.control else { return };
    let (processes, conversations) = (stage.processes.changes(), stage.remotes.changes());
    let now = (control.view().revision, subject.boot, processes, conversations);
    if stage.watch.seen.insert(index, now) == Some(now) {
        return;
    }
    let outcomes = [
        (Invariant::OneProcessPerInstance, processes::one_per_instance(stage, index)),
        (Invariant::ProcessHasInstance, processes::have_instances(stage, index)),
        (Invariant::WithinBounds, processes::within_bounds(stage, index)),
        (Invariant::ReadyMeansRunning, processes::ready_means_running(stage, index)),
        (Invariant::RoomIsMade, processes::room_is_made(stage, index)),
        (Invariant::ServerFollowsInstances, views::servers_follow_instances(stage, index)),
        (Invariant::QueuesBounded, views::queues_are_bounded(stage, index)),
    ];
    for (invariant, outcome) in outcomes {
        stage.watch.holds(invariant, outcome);
    }
    if !stage.remotes.servers.is_empty() {
        let outcomes = [
            (Invariant::ConversationHasInstance, remotes::have_instances(stage, index)),
            (Invariant::StatusHasReason, remotes::statuses_have_reasons(stage, index)),
            (Invariant::ToolsStay, remotes::tools_stay(stage, index)),
        ];
        for (invariant, outcome) in outcomes {
            stage.watch.holds(invariant, outcome);
        }
    }
    if let Some(outcome) = views::statuses_agree(stage, index) {
        stage.watch.holds(Invariant::StatusesAgree, outcome);
    }
}

pub(super) use calls::{answered, none_left, notified};
pub(super) use commands::{begun, not_journalled, results, started_for};
pub(super) use events::batch;
pub(super) use processes::{limit_kill_told, limit_kills};
pub(super) use remotes::{knocked, listed, ran, sent};
pub(super) use secrets::{journalled, logged, traced};
pub(super) use views::{heartbeat, moved};

/// A pairing uses one token: what the Backend has registered is at most what was handed out.
pub(super) fn paired_once(stage: &mut Stage, satellite: usize) {
    let Some(subject) = stage.satellites.get(satellite) else { return };
    let registered = stage.backend.named(&subject.name).map_or(0, |(_, row)| row.registrations);
    let outcome = if registered > subject.tokens {
        Err(format!(
            "{} was registered {registered} times, with {} tokens",
            subject.name, subject.tokens
        ))
    } else {
        Ok(())
    };
    stage.watch.holds(Invariant::PairedOnce, outcome);
}
