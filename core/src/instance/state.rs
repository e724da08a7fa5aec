//! Every state an instance can be in, and what each is called outside.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::Event;
use super::remote::Remote;
use crate::id::Incarnation;
use crate::time::Timestamp;
use crate::view::InstanceStatus;
use crate::wire::event::RestartReason;

/// The state of an instance. What only makes sense in a state is carried by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Configured; nothing has been asked for.
    Provisioned,
    /// Has asked for a place among the satellite's processes, or for its turn to start in its own.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// What for.
        purpose: Purpose,
        /// Whether it follows a process of its own and has that one's place.
        has_place: bool,
    },
    /// Its process is being started and greeted.
    Connecting {
        /// The process.
        process: Process,
        /// What for.
        purpose: Purpose,
        /// When the attempt is given up.
        until: Timestamp,
    },
    /// Its process is being asked what it offers.
    Discovering {
        /// The process.
        process: Process,
        /// What for.
        purpose: Purpose,
        /// When the attempt is given up.
        until: Timestamp,
    },
    /// Serving.
    Online {
        /// The process.
        process: Process,
        /// Since when.
        since: Timestamp,
    },
    /// Serving nobody for a while: its process is being frozen.
    Freezing {
        /// The process.
        process: Process,
        /// Since when it is online.
        since: Timestamp,
    },
    /// Asleep with its process frozen; what it offers is known.
    Frozen {
        /// The process.
        process: Process,
        /// Since when it is online.
        since: Timestamp,
        /// Since when it is frozen.
        frozen_at: Timestamp,
    },
    /// Wanted, and its process is being thawed.
    Thawing {
        /// The process.
        process: Process,
        /// Since when it is online.
        since: Timestamp,
        /// When the attempt is given up.
        until: Timestamp,
    },
    /// Its process has been told to end.
    Stopping {
        /// The process.
        process: Process,
        /// What follows.
        then: Then,
    },
    /// Asleep without a process; what it offers is known.
    Dormant {
        /// Since when.
        since: Timestamp,
    },
    /// Waits out the delay after a crash.
    Restarting {
        /// Until when.
        until: Timestamp,
        /// Which restart within the crash window this is, from 1.
        attempt: u32,
        /// The process that crashed, if it ever ran.
        old_pid: Option<u32>,
        /// What was wrong with it.
        reason: RestartReason,
    },
    /// Ended by a command, or by a shutdown.
    Stopped {
        /// Since when.
        since: Timestamp,
    },
    /// Cannot be started as it is configured.
    Failed {
        /// Since when.
        since: Timestamp,
    },
    /// Crashed too often.
    PermanentlyFailed {
        /// Since when.
        since: Timestamp,
    },
    /// Has, or is about to have, a conversation with a server elsewhere.
    Remote(Remote),
    /// No longer configured, and nothing of it is left.
    Removed,
}

/// One of an instance's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which one.
    pub incarnation: Incarnation,
    /// Its process id, once known.
    pub pid: Option<u32>,
    /// When it was asked for.
    pub since: Timestamp,
    /// Until when its end is awaited, once its pipes are closed: usually it has crashed, and how
    /// is known in a moment.
    pub lost_until: Option<Timestamp>,
}

/// What a start is for. It decides what is told when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// To learn what it offers, after it was configured.
    First,
    /// A command or a changed configuration asked for it.
    Commanded,
    /// It crashed.
    Recovery {
        /// Which restart within the crash window, from 1.
        attempt: u32,
        /// The process that crashed, if it ever ran.
        old_pid: Option<u32>,
        /// What was wrong with it.
        reason: RestartReason,
    },
    /// It was out of reach and is wanted again.
    Revival,
    /// A client wants it, and it was asleep.
    Wake {
        /// Asleep since.
        asleep_since: Timestamp,
        /// Wanted since.
        wanted_at: Timestamp,
    },
}

/// What follows the end of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "snake_case")]
pub enum Then {
    /// Another start.
    Restart {
        /// What for.
        purpose: Purpose,
    },
    /// Sleep.
    Sleep,
    /// Rest until a command or a call.
    Stop {
        /// Why, for the last event about the process.
        reason: StopReason,
    },
    /// A start that failed is handled like a crash.
    Recover {
        /// What failed, for people.
        message: String,
    },
    /// Nothing: it is no longer configured.
    Remove,
}

/// Why a process was told to end for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A command of the Backend.
    Killed,
    /// The satellite shuts down.
    Shutdown,
}

impl StopReason {
    /// The reason in the words of events and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Killed => "killed by command",
            StopReason::Shutdown => "satellite shutdown",
        }
    }
}

impl State {
    /// The state's name in tables, traces and logs.
    pub fn name(&self) -> &'static str {
        match self {
            State::Provisioned => "provisioned",
            State::Waiting { .. } => "waiting",
            State::Connecting { .. } => "connecting",
            State::Discovering { .. } => "discovering",
            State::Online { .. } => "online",
            State::Freezing { .. } => "freezing",
            State::Frozen { .. } => "frozen",
            State::Thawing { .. } => "thawing",
            State::Stopping { .. } => "stopping",
            State::Dormant { .. } => "dormant",
            State::Restarting { .. } => "restarting",
            State::Stopped { .. } => "stopped",
            State::Failed { .. } => "failed",
            State::PermanentlyFailed { .. } => "permanently_failed",
            State::Remote(remote) => remote.name(),
            State::Removed => "removed",
        }
    }

    /// What an event tells besides, of which nothing was said before.
    pub(super) fn implied_by(&self, event: &Event) -> Option<Event> {
        match self {
            State::Remote(remote) => remote.implied_by(event),
            _ => None,
        }
    }

    /// The status the outside sees. Sleeping and waking are not visible: the tools stay on offer.
    pub fn status(&self) -> InstanceStatus {
        match self {
            State::Provisioned => InstanceStatus::Provisioning,
            State::Waiting { purpose, has_place, .. } => match purpose {
                Purpose::First => InstanceStatus::Provisioning,
                Purpose::Commanded if *has_place => InstanceStatus::Restarting,
                Purpose::Commanded => InstanceStatus::CommandReceived,
                Purpose::Recovery { .. } => InstanceStatus::Restarting,
                Purpose::Revival => InstanceStatus::Offline,
                Purpose::Wake { .. } => InstanceStatus::Online,
            },
            State::Connecting { purpose: Purpose::Wake { .. }, .. }
            | State::Discovering { purpose: Purpose::Wake { .. }, .. }
            | State::Online { .. }
            | State::Freezing { .. }
            | State::Frozen { .. }
            | State::Thawing { .. }
            | State::Dormant { .. } => InstanceStatus::Online,
            State::Connecting { .. } => InstanceStatus::Connecting,
            State::Discovering { .. } => InstanceStatus::DiscoveringTools,
            State::Stopping { then, .. } => match then {
                Then::Restart { purpose: Purpose::Wake { .. } } | Then::Sleep => {
                    InstanceStatus::Online
                }
                Then::Restart { purpose: Purpose::Revival } => InstanceStatus::Offline,
                Then::Restart { .. } => InstanceStatus::Restarting,
                Then::Recover { .. } => InstanceStatus::Error,
                Then::Stop { .. } | Then::Remove => InstanceStatus::Offline,
            },
            State::Remote(remote) => remote.status(),
            State::Restarting { .. } => InstanceStatus::Restarting,
            State::Stopped { .. } | State::Removed => InstanceStatus::Offline,
            State::Failed { .. } => InstanceStatus::Error,
            State::PermanentlyFailed { .. } => InstanceStatus::PermanentlyFailed,
        }
    }

    /// Its process, in the states that have one.
    pub fn process(&self) -> Option<&Process> {
        match self {
            State::Connecting { process, .. }
            | State::Discovering { process, .. }
            | State::Online { process, .. }
            | State::Freezing { process, .. }
            | State::Frozen { process, .. }
            | State::Thawing { process, .. }
            | State::Stopping { process, .. } => Some(process),
            State::Provisioned
            | State::Waiting { .. }
            | State::Dormant { .. }
            | State::Restarting { .. }
            | State::Stopped { .. }
            | State::Failed { .. }
            | State::PermanentlyFailed { .. }
            | State::Remote(_)
            | State::Removed => None,
        }
    }

    /// Its process or its conversation, in the states that have one.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match self {
            State::Remote(remote) => Some(remote.link().incarnation),
            other => other.process().map(|process| process.incarnation),
        }
    }

    /// Whether a process of its own is being started, greeted, or asked what it offers.
    pub fn is_starting(&self) -> bool {
        matches!(self, State::Connecting { .. } | State::Discovering { .. })
    }

    /// Whether it serves, if need be after it has been thawed.
    pub fn is_online(&self) -> bool {
        matches!(self, State::Remote(Remote::Online { .. })) || self.online_since().is_some()
    }

    /// Whether it would serve, but that it sleeps, lightly or without a process.
    pub fn is_asleep(&self) -> bool {
        let is_awake = matches!(self, State::Online { .. });
        matches!(self, State::Dormant { .. }) || self.online_since().is_some() && !is_awake
    }

    /// Since when its process serves. A frozen one does: it only has to be thawed.
    pub fn online_since(&self) -> Option<Timestamp> {
        match self {
            State::Online { since, .. }
            | State::Freezing { since, .. }
            | State::Frozen { since, .. }
            | State::Thawing { since, .. } => Some(*since),
            _ => None,
        }
    }
}
