//! Commands of the Backend: each is executed at most once here, one at a time, the most urgent
//! first, and its one result is sent until the Backend confirms it.

mod admission;
mod payload;
mod results;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::CommandId;
use crate::limits::{COMMAND_RESULT_MAX_BYTES, COMMAND_TIMEOUT_MS, COMMANDS_WAITING_MAX};
use crate::link::{answer, request};
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Refusal, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::wire;
use crate::wire::command::{Command, CommandResult, CommandStatus, Priority, Unreadable};

pub use admission::{Admission, Known, admit};
pub use payload::Payload;
use results::Results;

/// An event of the command queue.
#[derive(Debug)]
pub enum Event {
    /// Credentials may be used.
    Paired(Credentials),
    /// The Backend handed out commands.
    Received(Vec<Command>),
    /// The Backend handed out what can't be read as commands.
    ReceivedUnreadable(Vec<Unreadable>),
    /// The command that was to be executed has ended.
    Completed {
        /// Which.
        id: CommandId,
        /// How.
        outcome: Outcome,
    },
    /// A request of channel `Result` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// The daemon is to end: no further command is begun. Those that wait stay the Backend's, to
    /// be delivered again.
    DrainRequested,
    /// Time has passed.
    Tick,
}

/// An effect of the command queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Execute a command; answered by `Completed`. None other follows before.
    Execute(Command),
    /// Send a request to the Backend; answered by `Answered`.
    Send {
        /// Which.
        request: RequestKey,
        /// The request.
        http: HttpRequest,
    },
    /// Print a log line.
    Log(LogLine),
}

/// How a command ended: with an error it has failed, without one it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What it brought; the keys depend on the command's type.
    pub result: Map<String, Value>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// When it was begun.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

impl Outcome {
    /// It was begun at `started_at` and is done at `now`. `result` should be an object.
    pub fn completed(started_at: Timestamp, now: Timestamp, result: Value) -> Self {
        Outcome { started_at, ..Outcome::default() }.with_result(now, result)
    }

    /// It was begun at `started_at` and failed.
    pub fn failed(started_at: Timestamp, error: impl Into<String>) -> Self {
        Outcome { error: Some(error.into()), started_at, ..Outcome::default() }
    }

    /// The outcome with what it brought until `now`.
    #[must_use]
    pub fn with_result(mut self, now: Timestamp, result: Value) -> Self {
        self.result = match result {
            Value::Object(result) => result,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_string(), other)]),
        };
        self.duration_ms = now.since(self.started_at);
        self
    }
}

/// The commands of this satellite.
#[derive(Debug)]
pub struct Commands {
    random: Random,
    credentials: Option<Credentials>,
    /// By urgency, then by arrival.
    waiting: BTreeMap<(Priority, u64), Waiting>,
    arrivals: u64,
    executing: Option<Executing>,
    results: Results,
    draining: bool,
}

#[derive(Debug)]
struct Waiting {
    command: Command,
    received_at: Timestamp,
}

#[derive(Debug)]
struct Executing {
    about: About,
    since: Timestamp,
}

/// What a result repeats of its command.
#[derive(Clone, Debug)]
struct About {
    id: CommandId,
    correlation_id: Option<String>,
    attempt: Option<u64>,
}

impl About {
    fn of(command: &Command) -> Self {
        About {
            id: command.id.clone(),
            correlation_id: command.correlation_id.clone(),
            attempt: command.attempt,
        }
    }
}

impl Commands {
    /// An empty queue.
    pub fn new(random: Random) -> Self {
        Commands {
            random,
            credentials: None,
            waiting: BTreeMap::new(),
            arrivals: 0,
            executing: None,
            results: Results::default(),
            draining: false,
        }
    }

    /// Whether nothing is being executed and the Backend has confirmed every result.
    pub fn is_idle(&self) -> bool {
        self.executing.is_none() && self.results.waiting() == 0
    }

    /// How many results the Backend has still to confirm.
    pub fn unconfirmed(&self) -> usize {
        self.results.waiting()
    }

    /// The command being executed.
    pub fn executing(&self) -> Option<&CommandId> {
        self.executing.as_ref().map(|executing| &executing.about.id)
    }

    fn known(&self, id: &CommandId) -> Known {
        let waits = self.executing() == Some(id)
            || self.waiting.values().any(|waiting| waiting.command.id == *id);
        if waits { Known::Pending } else { self.results.known(id) }
    }

    fn receive(
        &mut self,
        now: Timestamp,
        commands: Vec<Command>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut verdict = Verdict::Ignored("no command");
        for command in commands {
            let team = self.credentials.as_ref().and_then(|own| own.team_id.as_ref());
            match admit(&command, self.known(&command.id), team) {
                Admission::Execute if self.waiting.len() >= COMMANDS_WAITING_MAX => {
                    // Not answered: the Backend delivers it again when there is room.
                    out.push(Effect::Log(about(
                        Level::Warn,
                        "A command is not taken: too many wait",
                        &command.id,
                    )));
                    verdict = Verdict::Refused(Refusal::LimitReached);
                }
                Admission::Execute => {
                    self.arrivals += 1;
                    let place = (command.priority, self.arrivals);
                    self.waiting.insert(place, Waiting { command, received_at: now });
                    if !matches!(verdict, Verdict::Refused(_)) {
                        verdict = Verdict::Handled;
                    }
                }
                Admission::Ignore(why) => {
                    if matches!(verdict, Verdict::Ignored(_)) {
                        verdict = Verdict::Ignored(why);
                    }
                }
                Admission::Repeat => {
                    self.results.repeat(&command.id);
                    if !matches!(verdict, Verdict::Refused(_)) {
                        verdict = Verdict::Handled;
                    }
                }
                Admission::Refuse { refusal, reason } => {
                    let outcome = Outcome::failed(now, reason);
                    self.finish(&About::of(&command), outcome, out);
                    verdict = Verdict::Refused(refusal);
                }
            }
        }
        verdict
    }

    /// What can't be read is answered by a failure as far as it can be named.
    fn receive_unreadable(
        &mut self,
        now: Timestamp,
        found: Vec<Unreadable>,
        out: &mut Vec<Effect>,
    ) {
        for Unreadable { id, reason } in found {
            let error = format!("the command cannot be read: {reason}");
            match id {
                Some(id) if self.known(&id) == Known::New => {
                    let about = About { id, correlation_id: None, attempt: None };
                    self.finish(&about, Outcome::failed(now, error), out);
                }
                Some(id) => self.results.repeat(&id),
                None => out.push(Effect::Log(
                    LogLine::new(Level::Warn, "A command without an id cannot be answered")
                        .with("error", &reason),
                )),
            }
        }
    }

    /// Begins the most urgent command, unless one is being executed.
    fn begin_next(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while self.executing.is_none() && !self.draining {
            let Some((_, Waiting { command, received_at })) = self.waiting.pop_first() else {
                return;
            };
            if let Some(expires_in) = command.expires_in
                && now.since(received_at) >= expires_in.saturating_mul(SECOND)
            {
                let outcome = Outcome::failed(now, admission::expired(expires_in));
                self.finish(&About::of(&command), outcome, out);
                continue;
            }
            self.executing = Some(Executing { about: About::of(&command), since: now });
            out.push(Effect::Execute(command));
        }
    }

    /// Keeps a command's result for sending.
    fn finish(&mut self, command: &About, outcome: Outcome, out: &mut Vec<Effect>) {
        let status = match outcome.error {
            None => CommandStatus::Completed,
            Some(_) => CommandStatus::Failed,
        };
        let mut result = CommandResult::new(command.id.clone(), status);
        if let Some(error) = outcome.error {
            out.push(Effect::Log(
                about(Level::Warn, "A command failed", &command.id).with("error", &error),
            ));
            result = result.with_error(error);
        }
        result.correlation_id.clone_from(&command.correlation_id);
        result.attempt = command.attempt;
        result.started_at = Some(IsoTime(outcome.started_at));
        result.duration_ms = Some(outcome.duration_ms);
        result.result = (!outcome.result.is_empty()).then_some(outcome.result);
        let mut body = wire::encode(&result);
        if body.len() > COMMAND_RESULT_MAX_BYTES {
            let note =
                format!("left out: {} bytes, {COMMAND_RESULT_MAX_BYTES} allowed", body.len());
            result.result = Some(Map::from_iter([("omitted".to_string(), Value::from(note))]));
            body = wire::encode(&result);
        }
        if let Some(lost) = self.results.keep(&command.id, body) {
            out.push(Effect::Log(about(
                Level::Warn,
                "A command's result was dropped unconfirmed: too many are kept",
                &lost,
            )));
        }
    }

    fn send_next(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(credentials) = &self.credentials else { return };
        if let Some((number, body)) = self.results.next(now) {
            let path = wire::path::command_result(&credentials.satellite_id);
            let http = request::post(credentials, path, body);
            let request = RequestKey { channel: Channel::Result, number };
            out.push(Effect::Send { request, http });
        }
    }

    fn answered(
        &mut self,
        now: Timestamp,
        answer: &Result<HttpAnswer, HttpFailure>,
        out: &mut Vec<Effect>,
    ) {
        match answer {
            Ok(received) if received.is_success() => {
                self.results.settled();
            }
            // The Backend will not take this result, however often it is sent.
            Ok(received) if matches!(received.status, 400 | 404 | 413 | 422) => {
                if let Some(id) = self.results.settled() {
                    out.push(Effect::Log(
                        about(Level::Warn, "The Backend refused a command's result", &id)
                            .with("error", answer::describe(answer)),
                    ));
                }
            }
            _ => {
                let asked = answer::asked_wait(answer, now);
                let wait = backoff::after_failures(self.results.failed(), asked, &mut self.random);
                self.results.pause(now.after(wait));
                out.push(Effect::Log(
                    LogLine::new(Level::Warn, "A command's result could not be sent and is kept")
                        .with("error", answer::describe(answer))
                        .with("waiting", self.results.waiting())
                        .with("next_attempt_ms", wait),
                ));
            }
        }
    }

    fn time_out(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let overdue = |executing: &mut Executing| now.since(executing.since) >= COMMAND_TIMEOUT_MS;
        let Some(executing) = self.executing.take_if(overdue) else { return false };
        let error = format!("not finished within {} s", COMMAND_TIMEOUT_MS / SECOND);
        let outcome = Outcome::failed(executing.since, error).with_result(now, Value::Null);
        self.finish(&executing.about, outcome, out);
        true
    }
}

fn about(level: Level, msg: &'static str, id: &CommandId) -> LogLine {
    LogLine::new(level, msg).with("operation", "command").with("command_id", id.as_str())
}

impl Machine for Commands {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let verdict = match event {
            Event::Paired(credentials) => {
                self.credentials = Some(credentials);
                Verdict::Handled
            }
            Event::Received(_) | Event::ReceivedUnreadable(_) if self.draining => {
                return Verdict::Refused(Refusal::Draining);
            }
            Event::Received(commands) => self.receive(now, commands, out),
            Event::ReceivedUnreadable(found) => {
                self.receive_unreadable(now, found, out);
                Verdict::Handled
            }
            Event::Completed { id, outcome } => {
                let Some(executing) = self.executing.take_if(|executing| executing.about.id == id)
                else {
                    return Verdict::Ignored("late");
                };
                self.finish(&executing.about, outcome, out);
                Verdict::Handled
            }
            Event::Answered { request, answer } => {
                if !self.results.awaits(request.number) {
                    return Verdict::Ignored("late");
                }
                self.answered(now, &answer, out);
                Verdict::Handled
            }
            Event::DrainRequested => {
                self.draining = true;
                self.waiting.clear();
                Verdict::Handled
            }
            Event::Tick => {
                let due = self.results.due().is_some_and(|due| due <= now);
                if !self.time_out(now, out) && !due {
                    return Verdict::Ignored("nothing is due");
                }
                Verdict::Handled
            }
        };
        self.begin_next(now, out);
        self.send_next(now, out);
        verdict
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let execution = self.executing.as_ref().map(|executing| {
            Deadline::new(executing.since.after(COMMAND_TIMEOUT_MS), "command overdue")
        });
        let result = self.results.due().map(|due| Deadline::new(due, "command result again"));
        Deadline::earlier(execution, result)
    }
}
