//! Commands as they arrive: admitted, stored, acknowledged.

use alloc::format;
use alloc::vec::Vec;

use super::admission::{Admission, Known, admit};
use super::{About, Commands, Effect, Outcome, Payload, Place, Storing, Waiting, about};
use crate::id::CommandId;
use crate::journal::Entry;
use crate::limits::COMMANDS_WAITING_MAX;
use crate::log::{Level, LogLine};
use crate::machine::{Refusal, Verdict};
use crate::time::Timestamp;
use crate::wire::command::{Command, Unreadable};

impl Commands {
    pub(super) fn known(&self, id: &CommandId) -> Known {
        let storing = self.storing.values().filter_map(|storing| match storing {
            Storing::Receipt(_, waiting) => Some(waiting),
            Storing::Beginning | Storing::Result(_) => None,
        });
        let waits = self.executing() == Some(id)
            || self.waiting.values().chain(storing).any(|waiting| waiting.command.id == *id);
        if waits { Known::Pending } else { self.results.known(id) }
    }

    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        commands: Vec<Command>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut verdict = Verdict::Ignored("no command");
        for command in commands {
            let team = self.credentials.as_ref().and_then(|own| own.team_id.as_ref());
            let known = self.known(&command.id);
            let room = self.waiting.len() + self.storing.len() < COMMANDS_WAITING_MAX;
            let admission = admit(&command, known, team);
            let payload = Payload::read(&command.payload);
            match admission {
                Admission::Execute if !room => {
                    // Not answered: the Backend delivers it again when there is room.
                    out.push(Effect::Log(about(
                        Level::Warn,
                        "A command is not taken: too many wait",
                        &command.id,
                    )));
                    verdict = Verdict::Refused(Refusal::LimitReached);
                }
                Admission::Execute => match payload {
                    Ok(payload) => {
                        let payload = payload.kept();
                        self.store(now, Command { payload, ..command }, out);
                        if !matches!(verdict, Verdict::Refused(_)) {
                            verdict = Verdict::Handled;
                        }
                    }
                    Err(reason) => {
                        self.finish(&About::of(&command), Outcome::failed(now, reason), out);
                        verdict = Verdict::Refused(Refusal::Unknown);
                    }
                },
                Admission::Ignore(why) => {
                    if known == Known::Pending {
                        self.acknowledge_again(&command);
                    }
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
    pub(super) fn receive_unreadable(
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

    fn store(&mut self, now: Timestamp, command: Command, out: &mut Vec<Effect>) {
        self.arrivals += 1;
        let place = (command.priority, self.arrivals);
        let entry = Entry::Received { command: command.clone(), at: now };
        let ticket = self.ticket(Storing::Receipt(place, Waiting { command, received_at: now }));
        out.push(Effect::Journal { entry, ticket });
    }

    /// A command is stored: the Backend may know, and it may begin.
    pub(super) fn take_up(&mut self, place: Place, waiting: Waiting) {
        if self.lease_granted {
            self.acknowledgements.put(&waiting.command);
        }
        self.waiting.insert(place, waiting);
    }

    /// The Backend delivered a command that is stored already: it does not know that.
    fn acknowledge_again(&mut self, command: &Command) {
        let is_stored = self.executing() == Some(&command.id)
            || self.waiting.values().any(|waiting| waiting.command.id == command.id);
        if self.lease_granted && is_stored {
            self.acknowledgements.put(command);
        }
    }
}
