//! The conversation with the Backend: pairing, verification, polling, maintenance, draining.
//!
//! A statig machine (by hand, without its macro): [`State`] is the state, its groups share answers,
//! and the outermost group answers every event, so none is dropped silently. Nothing but a refusal
//! the Backend spells out ([`crate::exit::Exit`] code 4) ends a pairing; everything else backs
//! off and comes back.

pub(crate) mod answer;
mod conversation;
mod exit;
mod pairing;
mod polling;
pub(crate) mod request;
mod state;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use statig::blocking::{IntoStateMachineExt, StateMachine};

use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::limits::Settings;
use crate::log::LogLine;
use crate::machine::{Deadline, Machine, Refusal, Verdict};
use crate::random::Random;
use crate::request::RequestKey;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::view::{LinkView, SatelliteIdentity};
use crate::wire::command::{Command, Unreadable};

use conversation::{Context, Conversation};
pub use state::{State, Turn};

/// An event of the link.
#[derive(Debug)]
pub enum Event {
    /// The daemon started. Comes once, first.
    Started {
        /// Credentials of an earlier pairing.
        credentials: Option<Credentials>,
        /// The registration token; read only without credentials.
        registration_token: Option<Secret>,
    },
    /// A request of channel `Pairing` or `Poll` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// The credentials are on disk, or could not be written.
    Stored(Result<(), String>),
    /// A heartbeat was answered, or not.
    HeartbeatAnswered {
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// The daemon is to end: no new work is taken.
    DrainRequested,
    /// Time has passed.
    Tick,
}

/// An effect of the link.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a request to the Backend; answered by `Answered`.
    Send {
        /// Which.
        request: RequestKey,
        /// The request.
        http: HttpRequest,
    },
    /// Write the credentials; answered by `Stored`.
    Store(Credentials),
    /// The pairing is void: remove the credentials.
    Forget,
    /// Credentials are on disk and may be used.
    Paired(SatelliteIdentity),
    /// The Backend handed out commands.
    Received(Vec<Command>),
    /// The Backend handed out what can't be read as commands.
    ReceivedUnreadable(Vec<Unreadable>),
    /// The state changed.
    Moved {
        /// The state before.
        from: &'static str,
        /// The state after.
        to: &'static str,
    },
    /// Print a log line.
    Log(LogLine),
    /// End the daemon: it could not be paired, or the pairing was revoked.
    Exit(Exit),
}

/// The link to the Backend.
pub struct Link {
    machine: StateMachine<Conversation>,
}

impl Link {
    /// A link that waits for `Started`.
    pub fn new(settings: &Settings, random: Random) -> Self {
        Link { machine: Conversation::new(settings, random).state_machine() }
    }

    /// The state.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The credentials, once they may be used.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.machine.inner().usable_credentials()
    }

    /// The capabilities the Backend granted in its last heartbeat reply.
    pub fn granted(&self) -> &BTreeSet<String> {
        &self.machine.inner().granted
    }

    /// Whether the last poll succeeded.
    pub fn is_reachable(&self) -> bool {
        matches!(self.state(), State::Polling { .. } | State::Maintenance { .. })
    }

    /// The link as a status page shows it. Whether the configuration is fresh is not for the link
    /// to know; it says no.
    pub fn view(&self) -> LinkView {
        let conversation = self.machine.inner();
        LinkView {
            state: self.state().name(),
            last_answer: conversation.last_answer,
            failures: conversation.failures,
            last_error: conversation.last_error.clone(),
            configuration_fresh: false,
        }
    }
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Link").field(self.state()).finish()
    }
}

impl Machine for Link {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let mut context = Context { now, out, verdict: None };
        self.machine.handle_with_context(&event, &mut context);
        debug_assert!(context.verdict.is_some(), "the outermost group answers every event");
        context.verdict.unwrap_or(Verdict::Refused(Refusal::IllegalTransition))
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.state().deadline()
    }
}
