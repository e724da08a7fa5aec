//! The lifecycle of one installation: its status is that of its best instance.
//!
//! ```text
//!  Offline ──► Connecting ──► DiscoveringTools ──► Online
//!     ▲            │                 │               │
//!     └────────────┴── Error · RequiresReauth ◄──────┘
//! ```

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use statig::Outcome;
use statig::blocking::{self, IntoStateMachine, IntoStateMachineExt, StateMachine};

use crate::time::Timestamp;
use crate::view::{InstanceStatus, ServerStatus};
use crate::{Deadline, Machine, Refusal, Verdict};

/// What can happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its instances' statuses changed; this is the best of them, if it has any.
    BestChanged(Option<ServerStatus>),
    /// It is no longer configured, and its last instance is gone.
    Removed,
    /// Time has passed.
    Tick,
}

/// What a server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Its status has changed; for the log.
    Moved {
        /// The status left.
        from: &'static str,
        /// The status entered.
        to: &'static str,
    },
}

/// The state of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing runs, and nothing is wrong.
    #[default]
    Offline,
    /// An instance is being started or reached.
    Connecting,
    /// An instance is being asked for its tools.
    DiscoveringTools,
    /// An instance serves.
    Online,
    /// Something is wrong with every instance.
    Error,
    /// Every instance needs its user to authorise again.
    RequiresReauth,
    /// It is no longer configured.
    Gone,
}

impl State {
    /// The state's name in tables, traces and logs.
    pub fn name(self) -> &'static str {
        match self {
            State::Offline => "offline",
            State::Connecting => "connecting",
            State::DiscoveringTools => "discovering_tools",
            State::Online => "online",
            State::Error => "error",
            State::RequiresReauth => "requires_reauth",
            State::Gone => "gone",
        }
    }
}

impl From<ServerStatus> for State {
    fn from(status: ServerStatus) -> Self {
        match status {
            ServerStatus::Offline => State::Offline,
            ServerStatus::Connecting => State::Connecting,
            ServerStatus::DiscoveringTools => State::DiscoveringTools,
            ServerStatus::Online => State::Online,
            ServerStatus::Error => State::Error,
            ServerStatus::RequiresReauth => State::RequiresReauth,
        }
    }
}

/// What an instance contributes to its server's status.
pub fn contribution(status: InstanceStatus) -> ServerStatus {
    match status {
        InstanceStatus::Online => ServerStatus::Online,
        InstanceStatus::DiscoveringTools | InstanceStatus::SyncingTools => {
            ServerStatus::DiscoveringTools
        }
        InstanceStatus::Connecting | InstanceStatus::Restarting => ServerStatus::Connecting,
        InstanceStatus::AwaitingUserConfig
        | InstanceStatus::Provisioning
        | InstanceStatus::CommandReceived
        | InstanceStatus::Offline => ServerStatus::Offline,
        InstanceStatus::RequiresReauth => ServerStatus::RequiresReauth,
        InstanceStatus::Error | InstanceStatus::PermanentlyFailed => ServerStatus::Error,
    }
}

/// One installation.
pub struct Server {
    machine: StateMachine<Installation>,
}

/// The machine's shared storage: everything a server knows is in its state.
#[derive(Debug, Default)]
pub struct Installation;

/// What a handler works with. The verdict is empty before an event and set after it.
#[derive(Default)]
pub struct Context {
    verdict: Option<Verdict>,
}

/// Groups of states.
pub enum Superstate {
    /// Configured, in whatever condition.
    Configured,
    /// Everything else ends here.
    Root,
}

impl Default for Server {
    fn default() -> Self {
        Server::new()
    }
}

impl Server {
    /// A server without instances.
    pub fn new() -> Self {
        Server { machine: Installation.state_machine() }
    }

    /// The state it is in.
    pub fn state(&self) -> State {
        *self.machine.state()
    }

    /// Its published status.
    pub fn status(&self) -> ServerStatus {
        match self.state() {
            State::Offline | State::Gone => ServerStatus::Offline,
            State::Connecting => ServerStatus::Connecting,
            State::DiscoveringTools => ServerStatus::DiscoveringTools,
            State::Online => ServerStatus::Online,
            State::Error => ServerStatus::Error,
            State::RequiresReauth => ServerStatus::RequiresReauth,
        }
    }
}

impl Machine for Server {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, _now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let from = self.state();
        let mut context = Context::default();
        self.machine.handle_with_context(&event, &mut context);
        debug_assert!(context.verdict.is_some(), "a server event was left without a verdict");
        let to = self.state();
        if from != to {
            out.push(Effect::Moved { from: from.name(), to: to.name() });
        }
        context.verdict.unwrap_or(Verdict::Ignored("unanswered"))
    }

    fn next_deadline(&self) -> Option<Deadline> {
        None
    }
}

impl IntoStateMachine for Installation {
    type Event<'event> = Event;
    type Context<'context> = Context;
    type State = State;
    type Superstate<'state> = Superstate;

    fn initial() -> State {
        State::Offline
    }
}

impl blocking::State<Installation> for State {
    fn call_handler(
        &mut self,
        _: &mut Installation,
        event: &Event,
        cx: &mut Context,
    ) -> Outcome<State> {
        match (self, event) {
            (State::Gone, Event::BestChanged(_)) => {
                cx.verdict = Some(Verdict::Refused(Refusal::Unknown));
                Outcome::Handled
            }
            (State::Gone, Event::Removed) => {
                cx.verdict = Some(Verdict::Ignored("already removed"));
                Outcome::Handled
            }
            (state, Event::BestChanged(best)) => {
                let to = best.map_or(State::Offline, State::from);
                if *state == to {
                    cx.verdict = Some(Verdict::Ignored("no change"));
                    return Outcome::Handled;
                }
                cx.verdict = Some(Verdict::Moved);
                Outcome::Transition(to)
            }
            (_, Event::Removed | Event::Tick) => Outcome::Super,
        }
    }

    fn superstate(&mut self) -> Option<Superstate> {
        Some(match self {
            State::Gone => Superstate::Root,
            State::Offline
            | State::Connecting
            | State::DiscoveringTools
            | State::Online
            | State::Error
            | State::RequiresReauth => Superstate::Configured,
        })
    }
}

impl blocking::Superstate<Installation> for Superstate {
    fn call_handler(
        &mut self,
        _: &mut Installation,
        event: &Event,
        cx: &mut Context,
    ) -> Outcome<State> {
        match (self, event) {
            (Superstate::Configured, Event::Removed) => {
                cx.verdict = Some(Verdict::Moved);
                Outcome::Transition(State::Gone)
            }
            (Superstate::Configured, _) => Outcome::Super,
            (Superstate::Root, _) => {
                cx.verdict = Some(Verdict::Ignored("nothing is due"));
                Outcome::Handled
            }
        }
    }

    fn superstate(&mut self) -> Option<Superstate> {
        match self {
            Superstate::Configured => Some(Superstate::Root),
            Superstate::Root => None,
        }
    }
}
