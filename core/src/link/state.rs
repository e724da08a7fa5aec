//! The states of the link, their names and the groups that share answers.

use serde::{Deserialize, Serialize};

use crate::machine::Deadline;
use crate::time::Timestamp;

/// A state of the link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Nothing has been said: `Started` is awaited.
    Idle,
    /// Never paired; asking whether there is a Backend at all.
    Checking {
        /// The number of the health request.
        request: u64,
    },
    /// Trading the registration token for credentials.
    Registering {
        /// The attempt in flight, or the next one.
        turn: Turn,
        /// Attempts that failed.
        failures: u32,
        /// Whether one of them may have reached the Backend, which then has used up the token.
        maybe_received: bool,
    },
    /// Paired in memory; the credentials are being written.
    Storing,
    /// Paired earlier; the first poll tells whether the Backend still accepts the key.
    Verifying {
        /// The poll.
        turn: Turn,
    },
    /// Polling at the pace the Backend asks for.
    Polling {
        /// The poll in flight, or the next one.
        turn: Turn,
    },
    /// The same while the Backend reports a maintenance window.
    Maintenance {
        /// The poll in flight, or the next one.
        turn: Turn,
    },
    /// The last poll failed; polling at the pace of the backoff.
    Degraded {
        /// The poll in flight, or the next one.
        turn: Turn,
    },
    /// Shutting down: nothing more is asked of the Backend here.
    Draining,
    /// Over.
    Stopped,
}

impl State {
    /// The state's name, for status pages, traces and tables.
    pub fn name(&self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Checking { .. } => "checking",
            State::Registering { .. } => "registering",
            State::Storing => "storing",
            State::Verifying { .. } => "verifying",
            State::Polling { .. } => "polling",
            State::Maintenance { .. } => "maintenance",
            State::Degraded { .. } => "degraded",
            State::Draining => "draining",
            State::Stopped => "stopped",
        }
    }

    /// When the state wants to be told the time.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let (turn, why) = match self {
            State::Registering { turn, .. } => (turn, "registration"),
            State::Verifying { turn }
            | State::Polling { turn }
            | State::Maintenance { turn }
            | State::Degraded { turn } => (turn, "poll"),
            State::Idle
            | State::Checking { .. }
            | State::Storing
            | State::Draining
            | State::Stopped => return None,
        };
        match turn {
            Turn::Due { at } => Some(Deadline::new(*at, why)),
            Turn::InFlight { .. } => None,
        }
    }
}

/// A repeated request: either one is in flight, or the next one has its time. Never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "turn", rename_all = "snake_case")]
pub enum Turn {
    /// The next request is due.
    Due {
        /// When.
        at: Timestamp,
    },
    /// A request is on its way.
    InFlight {
        /// Its number.
        request: u64,
        /// When it was sent.
        since: Timestamp,
        /// How long the Backend was asked to hold it, in seconds; 0 if it was not.
        wait_seconds: u64,
    },
}

impl Turn {
    /// Whether the answer to request `number` is the one awaited.
    pub(super) fn awaits(&self, number: u64) -> bool {
        matches!(self, Turn::InFlight { request, .. } if *request == number)
    }

    /// Whether the next request should go out.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        matches!(self, Turn::Due { at } if *at <= now)
    }
}

/// A group of states that answer the same events alike.
#[derive(Debug)]
pub(super) enum Superstate<'a> {
    /// Credentials that may be used: polls, heartbeats and the loss of the pairing.
    Paired {
        /// The poll.
        turn: &'a mut Turn,
        /// Whether polls may be held. After a failure and in maintenance they are not: a quick
        /// answer says more than a late one.
        may_hold: bool,
    },
    /// Shutting down, or over.
    Ending,
    /// Everything: answers what no other state does.
    Root,
}
