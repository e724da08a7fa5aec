//! What the link knows in every state, and which group of states answers which event.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use statig::Outcome;
use statig::blocking::{self, IntoStateMachine};

use super::polling::Feed;
use super::state::{State, Superstate, Turn};
use super::{Effect, Event};
use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::limits::Settings;
use crate::log::{Level, LogLine};
use crate::machine::{Refusal, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What outlives a single state.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) settings: Settings,
    pub(super) random: Random,
    /// Numbers requests, so that a late answer is known as such.
    pub(super) requests: u64,
    pub(super) registration_token: Option<Secret>,
    pub(super) credentials: Option<Credentials>,
    /// Set once the credentials are known to be on disk.
    pub(super) stored: bool,
    /// Set once the Backend accepted the key since the start.
    pub(super) verified: bool,
    pub(super) granted: BTreeSet<String>,
    /// Whether a heartbeat has granted that polls are held, and none that asks for it has gone out.
    pub(super) begins_to_hold: bool,
    pub(super) feed: Feed,
    /// Failures in a row, of registrations or of polls.
    pub(super) failures: u32,
    /// Whether a heartbeat has brought the next poll forward since the last one that failed, and
    /// since the last poll that succeeded.
    pub(super) hastened: bool,
    /// Until when the Backend has asked for no poll.
    pub(super) spared_until: Timestamp,
    pub(super) last_error: Option<String>,
    pub(super) last_answer: Option<(Timestamp, u64)>,
}

/// What a handler writes to. `verdict` is empty before each event and set after it.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Vec<Effect>,
    pub(super) verdict: Option<Verdict>,
}

impl Context<'_> {
    /// The event was used; the state stays.
    pub(super) fn handled(&mut self) -> Outcome<State> {
        self.verdict = Some(Verdict::Handled);
        Outcome::Handled
    }

    /// The event was used; `state` follows.
    pub(super) fn move_to(&mut self, state: State) -> Outcome<State> {
        self.verdict = Some(Verdict::Handled);
        Outcome::Transition(state)
    }

    /// The daemon ends.
    pub(super) fn exit(&mut self, exit: Exit) -> Outcome<State> {
        self.out.push(Effect::Exit(exit));
        self.move_to(State::Stopped)
    }

    pub(super) fn log(&mut self, line: LogLine) {
        self.out.push(Effect::Log(line));
    }

    fn ignored(&mut self, why: &'static str) -> Outcome<State> {
        self.verdict = Some(Verdict::Ignored(why));
        Outcome::Handled
    }

    fn refused(&mut self, refusal: Refusal) -> Outcome<State> {
        self.verdict = Some(Verdict::Refused(refusal));
        Outcome::Handled
    }
}

impl Conversation {
    pub(super) fn new(settings: &Settings, random: Random) -> Self {
        Conversation {
            settings: settings.clone(),
            random,
            requests: 0,
            registration_token: None,
            credentials: None,
            stored: false,
            verified: false,
            granted: BTreeSet::new(),
            begins_to_hold: false,
            feed: Feed::default(),
            failures: 0,
            hastened: false,
            spared_until: Timestamp::default(),
            last_error: None,
            last_answer: None,
        }
    }

    pub(super) fn usable_credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref().filter(|_| self.stored)
    }

    /// Sends `http` and returns its number.
    pub(super) fn send(
        &mut self,
        channel: Channel,
        http: HttpRequest,
        context: &mut Context<'_>,
    ) -> u64 {
        self.requests += 1;
        let request = RequestKey { channel, number: self.requests };
        context.out.push(Effect::Send { request, http });
        self.requests
    }

    /// Notes that the Backend answered, whatever it said.
    pub(super) fn note_answer(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
        context: &Context<'_>,
    ) {
        if let Ok(answer) = answer {
            self.last_answer = Some((context.now, answer.elapsed_ms));
        }
    }
}

impl IntoStateMachine for Conversation {
    type Event<'event> = Event;
    type Context<'context> = Context<'context>;
    type State = State;
    type Superstate<'sub> = Superstate<'sub>;

    fn initial() -> State {
        State::Idle
    }

    fn after_transition(&mut self, source: &State, target: &State, context: &mut Context<'_>) {
        let (from, to) = (source.name(), target.name());
        if from != to {
            context.out.push(Effect::Moved { from, to });
            context.verdict = Some(Verdict::Moved);
        }
    }
}

impl blocking::State<Conversation> for State {
    fn call_handler(
        &mut self,
        conversation: &mut Conversation,
        event: &Event,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        match (&*self, event) {
            (State::Idle, Event::Started { credentials, registration_token }) => {
                conversation.started(credentials.clone(), registration_token.clone(), context)
            }
            (State::Checking { request: awaited }, Event::Answered { request, answer })
                if *awaited == request.number =>
            {
                conversation.checked(answer, context)
            }
            (
                State::Registering { turn, failures, maybe_received },
                Event::Answered { request, answer },
            ) if turn.awaits(request.number) => {
                conversation.registered(answer, *failures, *maybe_received, context)
            }
            (State::Registering { turn, failures, maybe_received }, Event::Tick)
                if turn.is_due(context.now) =>
            {
                conversation.register(*failures, *maybe_received, context)
            }
            (State::Storing, Event::Stored(outcome)) => conversation.stored(outcome, context),
            _ => Outcome::Super,
        }
    }

    fn superstate(&mut self) -> Option<Superstate<'_>> {
        Some(match self {
            State::Idle | State::Checking { .. } | State::Registering { .. } | State::Storing => {
                Superstate::Root
            }
            State::Polling { turn } => Superstate::Paired { turn, may_hold: true },
            State::Verifying { turn } | State::Maintenance { turn } | State::Degraded { turn } => {
                Superstate::Paired { turn, may_hold: false }
            }
            State::Draining | State::Stopped => Superstate::Ending,
        })
    }
}

impl blocking::Superstate<Conversation> for Superstate<'_> {
    fn call_handler(
        &mut self,
        conversation: &mut Conversation,
        event: &Event,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        match self {
            Superstate::Paired { turn, may_hold } => {
                conversation.paired(turn, *may_hold, event, context)
            }
            Superstate::Ending => match event {
                Event::Started { .. }
                | Event::Answered { .. }
                | Event::Stored(_)
                | Event::HeartbeatAnswered { .. }
                | Event::DrainRequested => context.ignored("ending"),
                Event::Tick => Outcome::Super,
            },
            Superstate::Root => match event {
                Event::Answered { .. } => context.ignored("late"),
                Event::Tick => context.ignored("nothing is due"),
                Event::DrainRequested => context.move_to(State::Draining),
                Event::Started { .. } | Event::Stored(_) | Event::HeartbeatAnswered { .. } => {
                    context.refused(Refusal::IllegalTransition)
                }
            },
        }
    }

    fn superstate(&mut self) -> Option<Superstate<'_>> {
        match self {
            Superstate::Root => None,
            _ => Some(Superstate::Root),
        }
    }
}

impl Conversation {
    /// The answers that all paired states share.
    fn paired(
        &mut self,
        turn: &mut Turn,
        may_hold: bool,
        event: &Event,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        match event {
            Event::Answered { request, answer } => match *turn {
                Turn::InFlight { request: awaited, since, wait_seconds }
                    if awaited == request.number =>
                {
                    self.note_answer(answer, context);
                    self.polled(since, wait_seconds, answer, context)
                }
                _ => Outcome::Super,
            },
            Event::Tick if turn.is_due(context.now) => {
                *turn = self.send_poll(may_hold, context);
                context.handled()
            }
            Event::HeartbeatAnswered { answer } => {
                self.note_answer(answer, context);
                let began_before = self.begins_to_hold;
                let outcome = self.heartbeat_answered(answer, context);
                self.hasten(turn, answer, context);
                // From here on the Backend holds polls: one is sent at once, since a command would
                // otherwise wait for the rest of the interval. With a poll on its way, it is the
                // next one that does not wait.
                if may_hold
                    && self.begins_to_hold
                    && !began_before
                    && let Turn::Due { at } = turn
                {
                    *at = context.now.min(*at);
                }
                outcome
            }
            Event::Stored(outcome) => {
                // Only the time of the last verification was at stake: the key itself is on disk.
                if let Err(error) = outcome {
                    context.log(
                        LogLine::new(
                            Level::Warn,
                            "The credentials' last verification could not be stored",
                        )
                        .with("error", error),
                    );
                }
                context.handled()
            }
            _ => Outcome::Super,
        }
    }
}
