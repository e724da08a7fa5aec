//! Commands of the Backend: each is executed at most once here, one at a time, the most urgent
//! first, and its one result is sent until the Backend confirms it.
//!
//! Every step of a command is synced in the journal before what presumes it: its receipt before it
//! is acknowledged and may begin, its beginning before it is executed, its result before that is
//! sent. So wherever a daemon ends, the next one knows what may still be done.

mod acknowledgements;
mod admission;
mod intake;
mod outcome;
mod payload;
mod restoring;
mod results;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::CommandId;
use crate::journal::{Entry, StoredCommand};
use crate::limits::{COMMAND_RESULT_MAX_BYTES, COMMAND_TIMEOUT_MS, JOURNAL_RETRY_MS};
use crate::link::{answer, request};
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Refusal, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::wire;
use crate::wire::command::{Command, CommandResult, CommandStatus, Priority, Unreadable};

use acknowledgements::Acknowledgements;
pub use admission::{Admission, Known, admit};
pub use outcome::Outcome;
pub use payload::Payload;
use results::Results;

/// An event of the command queue.
#[derive(Debug)]
pub enum Event {
    /// Credentials may be used.
    Paired(Credentials),
    /// Whether the Backend wants to know that a command is stored (addition `command-lease`).
    LeaseGranted(bool),
    /// The journal of an earlier daemon held these commands. Comes before any other command.
    Restored {
        /// The commands, the oldest first.
        commands: Vec<StoredCommand>,
        /// Whether the journal has lost entries: then what seems not to have begun may have.
        is_doubtful: bool,
        /// Whether the pairing under which they came still stands. Else nothing of them is begun or
        /// sent, unless a Backend delivers it again: what took effect does not do so once more.
        is_paired: bool,
    },
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
    /// What was to be synced is, or could not be; the error is for people.
    Stored {
        /// The number that was asked with.
        ticket: u64,
        /// The outcome.
        outcome: Result<(), String>,
    },
    /// A request of channel `Result` or `Acknowledgement` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// The daemon is to end: no further command is begun. Those that wait are begun after the next
    /// start.
    DrainRequested,
    /// Time has passed.
    Tick,
}

/// An effect of the command queue.
#[derive(Clone, Debug)]
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
    /// Enter something in the journal.
    Journal {
        /// What.
        entry: Entry,
        /// If a number, it is to be synced; answered by `Stored`.
        ticket: Option<u64>,
    },
    /// Print a log line.
    Log(LogLine),
}

/// The commands of this satellite.
#[derive(Debug)]
pub struct Commands {
    random: Random,
    credentials: Option<Credentials>,
    lease_granted: bool,
    /// What is being synced, by ticket.
    storing: BTreeMap<u64, Storing>,
    tickets: u64,
    waiting: BTreeMap<Place, Waiting>,
    arrivals: u64,
    executing: Option<Executing>,
    /// The journal could not be written: until then nothing is begun.
    held_until: Option<Timestamp>,
    acknowledgements: Acknowledgements,
    results: Results,
    draining: bool,
}

/// By urgency, then by arrival.
type Place = (Priority, u64);

#[derive(Debug)]
struct Waiting {
    command: Command,
    received_at: Timestamp,
}

#[derive(Debug)]
enum Storing {
    /// A command that was received.
    Receipt(Place, Waiting),
    /// That the command whose turn it is begins.
    Beginning,
    /// A result.
    Result(CommandId),
}

#[derive(Debug)]
struct Executing {
    place: Place,
    waited: Waiting,
    since: Timestamp,
    /// Whether its beginning is synced and it is being executed.
    is_begun: bool,
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
            lease_granted: false,
            storing: BTreeMap::new(),
            tickets: 0,
            waiting: BTreeMap::new(),
            arrivals: 0,
            executing: None,
            held_until: None,
            acknowledgements: Acknowledgements::default(),
            results: Results::default(),
            draining: false,
        }
    }

    /// Whether nothing is being executed and the Backend has confirmed every result.
    pub fn is_idle(&self) -> bool {
        self.executing.is_none() && self.unconfirmed() == 0
    }

    /// How many results the Backend has still to confirm.
    pub fn unconfirmed(&self) -> usize {
        let storing = self.storing.values();
        storing.filter(|storing| matches!(storing, Storing::Result(_))).count()
            + self.results.waiting()
    }

    /// The command being executed.
    pub fn executing(&self) -> Option<&CommandId> {
        self.executing.as_ref().map(|executing| &executing.waited.command.id)
    }

    fn ticket(&mut self, storing: Storing) -> Option<u64> {
        self.tickets += 1;
        self.storing.insert(self.tickets, storing);
        Some(self.tickets)
    }

    fn stored(
        &mut self,
        now: Timestamp,
        ticket: u64,
        outcome: Result<(), String>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        match (self.storing.remove(&ticket), outcome) {
            (None, _) => return Verdict::Ignored("late"),
            (Some(Storing::Receipt(place, waiting)), Ok(())) => self.take_up(place, waiting),
            (Some(Storing::Receipt(_, waiting)), Err(error)) => {
                let msg = "A command could not be stored and is not begun; the Backend will deliver it again";
                out.push(Effect::Log(
                    about(Level::Error, msg, &waiting.command.id).with("error", error),
                ));
            }
            (Some(Storing::Beginning), outcome) => self.begin(now, outcome, out),
            // The result is in memory still: the Backend may have it.
            (Some(Storing::Result(id)), _) => self.results.release(&id),
        }
        Verdict::Handled
    }

    /// Has the most urgent command begun, unless another is.
    fn begin_next(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.held_until.take_if(|until| *until <= now);
        // What is being stored may be more urgent.
        let arrives = self.storing.values().any(|one| matches!(one, Storing::Receipt(..)));
        if arrives || self.held_until.is_some() || self.draining {
            return;
        }
        while self.executing.is_none() {
            let Some((place, waited)) = self.waiting.pop_first() else { return };
            let Waiting { command, received_at } = &waited;
            if let Some(expires_in) = command.expires_in
                && now.since(*received_at) >= expires_in.saturating_mul(SECOND)
            {
                let outcome = Outcome::failed(now, admission::expired(expires_in));
                self.finish(&About::of(command), outcome, out);
                continue;
            }
            let entry = Entry::Begun { id: command.id.clone(), at: now };
            let ticket = self.ticket(Storing::Beginning);
            out.push(Effect::Journal { entry, ticket });
            self.executing = Some(Executing { place, waited, since: now, is_begun: false });
        }
    }

    /// Executes the command whose beginning is synced. If it cannot be, it waits on: begun without
    /// a trace, it might begin twice.
    fn begin(&mut self, now: Timestamp, outcome: Result<(), String>, out: &mut Vec<Effect>) {
        match (self.executing.take(), outcome) {
            (None, _) => {}
            (Some(executing), Ok(())) => {
                out.push(Effect::Execute(executing.waited.command.clone()));
                self.executing = Some(Executing { since: now, is_begun: true, ..executing });
            }
            (Some(executing), Err(error)) => {
                let id = &executing.waited.command.id;
                out.push(Effect::Log(
                    about(Level::Error, "A command waits until the journal can be written", id)
                        .with("error", error),
                ));
                self.waiting.insert(executing.place, executing.waited);
                self.held_until = Some(now.after(JOURNAL_RETRY_MS));
            }
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
        let Ok(body) = String::from_utf8(body)
            .map_err(drop)
            .and_then(|body| RawValue::from_string(body).map_err(drop))
        else {
            // What was just written as JSON is JSON.
            return;
        };
        let entry = Entry::Finished { id: command.id.clone(), result: body.clone() };
        let ticket = self.ticket(Storing::Result(command.id.clone()));
        out.push(Effect::Journal { entry, ticket });
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
        if let Some((number, body)) = self.acknowledgements.next() {
            let path = wire::path::command_result(&credentials.satellite_id);
            let http = request::post(credentials, path, body);
            let request = RequestKey { channel: Channel::Acknowledgement, number };
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
            Ok(received) if received.is_success() => self.settled(out).map_or((), drop),
            // The Backend will not take this result, however often it is sent.
            Ok(received) if matches!(received.status, 400 | 404 | 413 | 422) => {
                if let Some(id) = self.settled(out) {
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

    fn settled(&mut self, out: &mut Vec<Effect>) -> Option<CommandId> {
        let id = self.results.settled()?;
        out.push(Effect::Journal { entry: Entry::Reported { id: id.clone() }, ticket: None });
        Some(id)
    }

    fn time_out(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let overdue = |executing: &mut Executing| {
            executing.is_begun && now.since(executing.since) >= COMMAND_TIMEOUT_MS
        };
        let Some(executing) = self.executing.take_if(overdue) else { return false };
        let error = format!("not finished within {} s", COMMAND_TIMEOUT_MS / SECOND);
        let outcome = Outcome::failed(executing.since, error).with_result(now, Value::Null);
        self.finish(&About::of(&executing.waited.command), outcome, out);
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
            Event::LeaseGranted(granted) => {
                self.lease_granted = granted;
                Verdict::Handled
            }
            Event::Restored { commands, is_doubtful, is_paired } => {
                self.restore(now, commands, (is_doubtful, is_paired), out);
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
                let is_it = |executing: &mut Executing| {
                    executing.is_begun && executing.waited.command.id == id
                };
                let Some(executing) = self.executing.take_if(is_it) else {
                    return Verdict::Ignored("late");
                };
                self.finish(&About::of(&executing.waited.command), outcome, out);
                Verdict::Handled
            }
            Event::Stored { ticket, outcome } => self.stored(now, ticket, outcome, out),
            Event::Answered { request, .. } if request.channel == Channel::Acknowledgement => {
                if !self.acknowledgements.answered(request.number) {
                    return Verdict::Ignored("late");
                }
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
                Verdict::Handled
            }
            Event::Tick => {
                let due = self.results.due().is_some_and(|due| due <= now);
                let is_held = self.held_until.is_some_and(|until| until <= now);
                if !self.time_out(now, out) && !due && !is_held {
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
        let running = self.executing.as_ref().filter(|executing| executing.is_begun);
        let execution = running.map(|executing| {
            Deadline::new(executing.since.after(COMMAND_TIMEOUT_MS), "command overdue")
        });
        let held = self.held_until.filter(|_| !self.draining);
        let held = held.map(|until| Deadline::new(until, "command begins again"));
        let result = self.results.due().map(|due| Deadline::new(due, "command result again"));
        Deadline::earlier(held, Deadline::earlier(execution, result))
    }
}
