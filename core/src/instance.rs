//! The lifecycle of one instance: one user's own process of one installation, or the conversation
//! with a server elsewhere.
//!
//! ```text
//!                                 Thawing ◄── Frozen ◄── Freezing
//!                                    └──────────┬───────────▲  idle for a while, until wanted
//!  Waiting ──► Connecting ──► Discovering ──► Online ──► Stopping ──► Dormant ──► Waiting …
//!     ▲            └──────────────┴──────────────┤ exit not asked for
//!     │                                          ▼
//!     └──────────────────────────────────── Restarting ──(fourth in 5 min)──► PermanentlyFailed
//! ```
//!
//! [`state`] is the list of states, `transitions` what each does with each event,
//! `tests/tables/instance.txt` the result of every combination. Those of a conversation are in
//! [`remote`] and `tests/tables/remote.txt`.

mod crashes;
mod endings;
mod frost;
mod health;
mod lifecycle;
mod published;
pub mod remote;
mod spec;
pub mod state;
mod stopping;
#[cfg(test)]
mod tests;
mod transitions;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use statig::blocking::{IntoStateMachineExt, StateMachine};

use crate::id::{CommandId, Incarnation};
use crate::limits::Settings;
use crate::process::{Ended, ProcessSpec, SpawnFailure};
use crate::random::Random;
use crate::relay::Activity;
use crate::remote::RemoteSpec;
use crate::time::Timestamp;
use crate::view::{InstanceStatus, Inventory};
use crate::wire::event::EventData;
use crate::{Deadline, Machine, Verdict};

pub use lifecycle::{COMMAND_ID, Failure, Lifecycle};
use lifecycle::{Context, Timing};
pub use spec::{Launch, Spec};
use state::Purpose;
pub use state::State;

/// What can happen to an instance.
#[derive(Clone, Debug)]
pub enum Event {
    /// It has a place among the satellite's processes.
    Placed,
    /// Its process runs.
    Spawned {
        /// Which of its processes.
        incarnation: Incarnation,
        /// The process id.
        pid: u32,
    },
    /// Its process could not be started.
    SpawnFailed {
        /// Which of its processes.
        incarnation: Incarnation,
        /// Why.
        failure: SpawnFailure,
    },
    /// The handshake succeeded.
    Initialized {
        /// With which of its processes.
        incarnation: Incarnation,
    },
    /// Its tools, resources and prompts are known.
    Listed {
        /// From which of its processes.
        incarnation: Incarnation,
        /// What it offers.
        inventory: Arc<Inventory>,
    },
    /// Asking for its lists again failed.
    ListsStale {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// The handshake or the lists failed.
    Unusable {
        /// With which of its processes.
        incarnation: Incarnation,
        /// The step that failed.
        step: &'static str,
        /// What happened, for people.
        reason: String,
    },
    /// The pipes to its process are closed.
    PipesClosed {
        /// Of which of its processes.
        incarnation: Incarnation,
        /// What is known of the end.
        reason: String,
    },
    /// A health check ended.
    Probed {
        /// Of which of its processes.
        incarnation: Incarnation,
        /// Whether it was answered.
        answered: bool,
    },
    /// It was used.
    Used {
        /// Which of its processes.
        incarnation: Incarnation,
        /// Totals since that process started.
        activity: Activity,
    },
    /// Its process and everything that process started has ended.
    Exited {
        /// Which of its processes.
        incarnation: Incarnation,
        /// How.
        ended: Ended,
    },
    /// Its process is frozen.
    Frozen {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Its process could not be frozen; it runs.
    FreezeFailed {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Its process runs, whether or not it had been frozen.
    Thawed {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Its process could not be thawed.
    ThawFailed {
        /// Which of its processes.
        incarnation: Incarnation,
        /// Why.
        error: String,
    },
    /// A round trip through the path of a call succeeded.
    Reached {
        /// In which of its conversations.
        incarnation: Incarnation,
        /// Whether it is being discovered anew already.
        discovers: bool,
    },
    /// A call, a probe, the handshake or a list failed after everything that could be tried.
    Failed {
        /// In which of its conversations.
        incarnation: Incarnation,
        /// Why.
        failure: crate::remote::Failure,
    },
    /// A client wants it.
    Wanted,
    /// Another instance waits for a place that this one takes up frozen.
    RoomWanted,
    /// Somebody wants to know how the server is.
    CheckRequested,
    /// Its configuration changed. What follows from that is asked for by events of their own.
    Configured(Spec),
    /// A tool was switched on or off.
    ToolSwitched {
        /// The tool.
        tool: String,
        /// Whether it is off.
        disabled: bool,
    },
    /// Start it afresh, whatever it does, and forget its crashes.
    RestartRequested(Restart),
    /// End its process; the next call may start another.
    KillRequested,
    /// It is no longer configured.
    RemoveRequested,
    /// The satellite shuts down.
    DrainRequested,
    /// Time has passed.
    Tick,
}

impl Event {
    /// Which process or conversation it is about, if it is about one.
    pub(super) fn incarnation(&self) -> Option<Incarnation> {
        match self {
            Event::Spawned { incarnation, .. }
            | Event::SpawnFailed { incarnation, .. }
            | Event::Initialized { incarnation }
            | Event::Listed { incarnation, .. }
            | Event::ListsStale { incarnation }
            | Event::Unusable { incarnation, .. }
            | Event::PipesClosed { incarnation, .. }
            | Event::Probed { incarnation, .. }
            | Event::Used { incarnation, .. }
            | Event::Reached { incarnation, .. }
            | Event::Failed { incarnation, .. }
            | Event::Frozen { incarnation }
            | Event::FreezeFailed { incarnation }
            | Event::Thawed { incarnation }
            | Event::ThawFailed { incarnation, .. }
            | Event::Exited { incarnation, .. } => Some(*incarnation),
            Event::Placed
            | Event::Wanted
            | Event::RoomWanted
            | Event::CheckRequested
            | Event::Configured(_)
            | Event::ToolSwitched { .. }
            | Event::RestartRequested(_)
            | Event::KillRequested
            | Event::RemoveRequested
            | Event::DrainRequested
            | Event::Tick => None,
        }
    }
}

/// Who asked for a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// This command of the Backend. The process that is started for it finds the id in its
    /// environment, as [`COMMAND_ID`].
    Commanded(CommandId),
    /// Its command line, environment, address or credentials changed.
    Reconfigured,
    /// The Backend found what it depends on to be back (`mcp_recovery`). A conversation goes on: the
    /// server is only asked anew for what it offers.
    Recovered,
}

impl Restart {
    /// What the start is for that follows.
    fn purpose(&self) -> Purpose {
        match self {
            Restart::Commanded(_) | Restart::Reconfigured => Purpose::Commanded,
            Restart::Recovered => Purpose::Revival,
        }
    }
}

/// What an instance asks for.
#[derive(Debug)]
pub enum Effect {
    /// Ask for a place among the satellite's processes; answered by [`Event::Placed`].
    Claim,
    /// Give the place back, or the request for one up.
    Release,
    /// Start a process.
    Spawn {
        /// Which of its processes.
        incarnation: Incarnation,
        /// What to start.
        process: ProcessSpec,
    },
    /// End a process.
    Terminate {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Freeze a process and everything it started; answered by [`Event::Frozen`] or
    /// [`Event::FreezeFailed`].
    Freeze {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Let a frozen process go on; answered by [`Event::Thawed`] or [`Event::ThawFailed`], after
    /// the answer to what was asked before.
    Thaw {
        /// Which of its processes.
        incarnation: Incarnation,
    },
    /// Begin a conversation with a server elsewhere.
    Connect {
        /// Which of its conversations.
        incarnation: Incarnation,
        /// With whom.
        remote: RemoteSpec,
    },
    /// End a conversation; answered by [`Event::PipesClosed`].
    Disconnect {
        /// Which of its conversations.
        incarnation: Incarnation,
    },
    /// Have the server of a conversation greeted and discovered anew.
    Reconnect {
        /// Which of its conversations.
        incarnation: Incarnation,
    },
    /// Have the server of a conversation asked for its lists anew.
    Relist {
        /// Which of its conversations.
        incarnation: Incarnation,
    },
    /// Have the server asked for a sign of life.
    Probe {
        /// Which of its processes or conversations.
        incarnation: Incarnation,
    },
    /// Tell the Backend.
    Emit(EventData),
    /// The state has changed; names for the log.
    Moved {
        /// The state left.
        from: &'static str,
        /// The state entered.
        to: &'static str,
    },
    /// Nothing of it is left; it may be forgotten.
    Removed,
}

/// An instance: its lifecycle and what the configuration says of it.
pub struct Instance {
    machine: StateMachine<Lifecycle>,
}

impl Instance {
    /// A configured instance that has not been started: the first [`Event::Tick`] makes it ask for
    /// its place.
    pub fn new(spec: Spec, settings: &Settings, random: Random, now: Timestamp) -> Self {
        Self::following(Incarnation::default(), spec, settings, random, now)
    }

    /// One whose incarnations follow `last`. What is still heard of an instance that was removed
    /// under the same key is then never taken for a word of this one.
    pub fn following(
        last: Incarnation,
        spec: Spec,
        settings: &Settings,
        random: Random,
        now: Timestamp,
    ) -> Self {
        let timing = Timing {
            grace_ms: settings.spawn_grace_ms,
            place_wait_ms: settings.place_wait_ms,
            freeze_after_ms: settings.freezes_after_ms(),
            stderr_lines_per_second: settings.stderr_lines_per_second,
        };
        let mut life = Lifecycle::new(spec, timing, random, now);
        life.incarnation = last;
        Instance { machine: life.state_machine() }
    }

    /// The state it is in.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// What it knows beside its state.
    pub fn lifecycle(&self) -> &Lifecycle {
        self.machine.inner()
    }

    /// Its published status.
    pub fn status(&self) -> InstanceStatus {
        self.state().status()
    }

    /// Whether its process or conversation has been told to end because the instance was no longer
    /// wanted.
    pub fn is_leaving(&self) -> bool {
        use remote::Remote;
        matches!(
            self.state(),
            State::Stopping { then: state::Then::Remove, .. }
                | State::Remote(Remote::Disconnecting { then: state::Then::Remove, .. })
        )
    }

    /// Since when its process is frozen.
    pub fn frozen_at(&self) -> Option<Timestamp> {
        match self.state() {
            State::Frozen { frozen_at, .. } => Some(*frozen_at),
            _ => None,
        }
    }

    /// Whether its process has been told to end and none is to follow at once.
    pub fn gives_place_back(&self) -> bool {
        match self.state() {
            State::Stopping { then, .. } => !matches!(then, state::Then::Restart { .. }),
            _ => false,
        }
    }

    /// Whether another configuration can only be taken over by starting afresh. Names, paths and
    /// switched-off tools can be taken over as they are.
    pub fn needs_restart_for(&self, spec: &Spec) -> bool {
        let present = &self.lifecycle().spec;
        self.is_leaving()
            || present.launch != spec.launch
            || present.transport != spec.transport
            || present.generation < spec.generation
    }
}

impl Machine for Instance {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        if let Some(implied) = self.state().implied_by(&event) {
            self.step(now, &implied, out);
        }
        self.step(now, &event, out)
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.lifecycle().deadline(self.state())
    }
}

impl Instance {
    fn step(&mut self, now: Timestamp, event: &Event, out: &mut Vec<Effect>) -> Verdict {
        let before = self.status();
        let from = self.state().name();
        let start = out.len();
        let mut context = Context { now, out, verdict: None };
        self.machine.handle_with_context(event, &mut context);
        let verdict = context.verdict;
        debug_assert!(verdict.is_some(), "an instance event was left without a verdict");
        let verdict = verdict.unwrap_or(Verdict::Ignored("unanswered"));
        // The move is told before what it calls for.
        if verdict == Verdict::Moved {
            out.insert(start, Effect::Moved { from, to: self.state().name() });
        }
        let after = self.status();
        if after != before && !matches!(self.state(), State::Removed) {
            let change = self.status_changed(now);
            // First the status, then its details: the end of a process is reported last.
            let at = start + usize::from(verdict == Verdict::Moved);
            out.insert(at, Effect::Emit(change));
        }
        verdict
    }
}
