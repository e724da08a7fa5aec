//! Link, configuration, commands and outbox: who of them asks what of the Backend, and what its
//! answers mean for the others.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Control, Effect, Record, Start};
use crate::http::{HttpAnswer, HttpFailure};
use crate::journal::Waiter;
use crate::log::{Level, LogLine};
use crate::request::{Channel, RequestKey};
use crate::time::Timestamp;
use crate::wire::capability::COMMAND_LEASE;
use crate::wire::event::EventData;
use crate::{Deadline, Machine, Refusal, Verdict, commands, configuration, link, outbox};

type Answer = Result<HttpAnswer, HttpFailure>;

impl Control {
    pub(super) fn start(&mut self, now: Timestamp, start: Start, out: &mut Vec<Effect>) -> Verdict {
        let found = self.take_up_journal(now, &start, out);
        let Start { credentials, registration_token, configuration, .. } = start;
        let paired = credentials.is_some();
        let started = link::Event::Started { credentials, registration_token };
        let verdict = self.feed_link(now, started, out);
        // The last good configuration serves while the Backend is away; without a pairing it is
        // somebody else's.
        if paired && let Some(raw) = configuration {
            self.feed_configuration(now, configuration::Event::Restored(raw), out);
        }
        // What a command did stays done: the Backend may pair this satellite again, and ask.
        let is_doubtful = found.condition.damaged_lines > 0;
        let restored =
            commands::Event::Restored { commands: found.commands, is_doubtful, is_paired: paired };
        self.feed_commands(now, restored, out);
        verdict
    }

    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        request: RequestKey,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        match request.channel {
            Channel::Pairing | Channel::Poll => {
                self.feed_link(now, link::Event::Answered { request, answer }, out)
            }
            Channel::Configuration => self.feed_configuration(
                now,
                configuration::Event::Answered { request, answer },
                out,
            ),
            Channel::Result | Channel::Acknowledgement => {
                self.feed_commands(now, commands::Event::Answered { request, answer }, out)
            }
            Channel::Events => {
                self.feed_outbox(now, outbox::Event::Answered { request, answer }, out)
            }
            Channel::Heartbeat => Verdict::Refused(Refusal::Unknown),
        }
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        now: Timestamp,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if answer.as_ref().is_ok_and(HttpAnswer::is_success) {
            self.errors = 0;
        }
        let verdict = self.feed_link(now, link::Event::HeartbeatAnswered { answer }, out);
        let granted = self.link.granted().contains(COMMAND_LEASE);
        self.feed_commands(now, commands::Event::LeaseGranted(granted), out);
        verdict
    }

    pub(super) fn persisted(
        &mut self,
        now: Timestamp,
        record: &'static str,
        outcome: Result<(), String>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if record == "journal" {
            self.journal_persisted(now, &outcome, out);
            return Verdict::Handled;
        }
        self.persist_errors.remove(record);
        if let Err(error) = &outcome {
            self.persist_errors.insert(record, error.clone());
            self.errors += 1;
            out.push(Effect::Log(
                LogLine::new(Level::Error, "a record could not be written")
                    .with("operation", record)
                    .with("error", error),
            ));
        }
        match record {
            "credentials" => self.feed_link(now, link::Event::Stored(outcome), out),
            _ => Verdict::Handled,
        }
    }

    pub(super) fn feed_link(
        &mut self,
        now: Timestamp,
        event: link::Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        #[cfg(feature = "coverage")]
        {
            use super::visits;
            let cell = (self.link.state().name(), visits::link(&event));
            *self.visits.entry((visits::Lifecycle::Link, cell.0, cell.1)).or_default() += 1;
        }
        let mut asked = Vec::new();
        let verdict = self.link.handle(now, event, &mut asked);
        for effect in asked {
            match effect {
                link::Effect::Send { request, http } => out.push(Effect::Send { request, http }),
                link::Effect::Store(credentials) => {
                    if self.journal.failure().is_some() {
                        // It may hold what was for another pairing still: a daemon that finds it
                        // beside these credentials would send that under them.
                        self.journal.sync();
                        self.flush_journal(now, out);
                    }
                    out.push(Effect::Persist(Record::Credentials(credentials)));
                }
                link::Effect::Forget => out.push(Effect::Persist(Record::Unpaired)),
                link::Effect::Paired(identity) => self.paired(now, identity, out),
                link::Effect::Received(commands) => {
                    self.feed_commands(now, commands::Event::Received(commands), out);
                }
                link::Effect::ReceivedUnreadable(commands) => {
                    self.feed_commands(now, commands::Event::ReceivedUnreadable(commands), out);
                }
                link::Effect::Moved { from, to } => out.push(Effect::Log(
                    LogLine::new(Level::Info, "link moved").with("from", from).with("to", to),
                )),
                link::Effect::Log(line) => self.log(line, out),
                link::Effect::Exit(exit) => {
                    self.begin_ending(now, exit, out);
                }
            }
        }
        verdict
    }

    fn paired(
        &mut self,
        now: Timestamp,
        identity: crate::view::SatelliteIdentity,
        out: &mut Vec<Effect>,
    ) {
        self.identity = Some(identity);
        let Some(credentials) = self.link.credentials().cloned() else { return };
        self.feed_outbox(now, outbox::Event::Paired(credentials.clone()), out);
        self.feed_commands(now, commands::Event::Paired(credentials.clone()), out);
        self.feed_configuration(now, configuration::Event::Paired(credentials), out);
    }

    pub(super) fn feed_configuration(
        &mut self,
        now: Timestamp,
        event: configuration::Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut asked = Vec::new();
        let verdict = self.configuration.handle(now, event, &mut asked);
        for effect in asked {
            match effect {
                configuration::Effect::Send { request, http } => {
                    out.push(Effect::Send { request, http });
                }
                configuration::Effect::Apply(applied) => self.apply(now, applied, out),
                configuration::Effect::Unchanged(confirmed) => {
                    self.emit(now, EventData::ConfigRefreshed(confirmed), out);
                    self.configured(now, &[], out);
                }
                configuration::Effect::FetchFailed(failure) => {
                    self.fetch_failed(now, failure, out);
                }
                configuration::Effect::Log(line) => self.log(line, out),
            }
        }
        verdict
    }

    pub(super) fn feed_commands(
        &mut self,
        now: Timestamp,
        event: commands::Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut asked = Vec::new();
        let verdict = self.commands.handle(now, event, &mut asked);
        for effect in asked {
            match effect {
                commands::Effect::Execute(command) => self.execute(now, command, out),
                commands::Effect::Send { request, http } => {
                    out.push(Effect::Send { request, http });
                }
                commands::Effect::Journal { entry, ticket } => {
                    self.enter(&entry, ticket.map(Waiter::Commands));
                }
                commands::Effect::Log(line) => self.log(line, out),
            }
        }
        verdict
    }

    pub(super) fn feed_outbox(
        &mut self,
        now: Timestamp,
        event: outbox::Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let mut asked = Vec::new();
        let verdict = self.outbox.handle(now, event, &mut asked);
        for effect in asked {
            match effect {
                outbox::Effect::Send { request, http } => out.push(Effect::Send { request, http }),
                outbox::Effect::Journal { entry, ticket } => {
                    let fails = self.journal.failure().is_some();
                    let waits = ticket.filter(|_| !fails);
                    self.enter(&entry, waits.map(Waiter::Outbox));
                    // A disk that fails is tried again now and then, not with each batch.
                    let lacking = ticket.filter(|_| fails).and_then(|ticket| {
                        let next_seq = self.outbox.next_seq();
                        let kept = self.journal.lacks(next_seq, Waiter::Outbox(ticket))?;
                        Some(outbox::Event::Stored { ticket, kept })
                    });
                    if let Some(stored) = lacking {
                        self.feed_outbox(now, stored, out);
                    }
                }
                outbox::Effect::Log(line) => self.log(line, out),
            }
        }
        verdict
    }

    fn log(&mut self, line: LogLine, out: &mut Vec<Effect>) {
        if line.level >= Level::Error {
            self.errors += 1;
        }
        out.push(Effect::Log(line));
    }

    pub(super) fn drain_conversation(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.feed_link(now, link::Event::DrainRequested, out);
        self.feed_commands(now, commands::Event::DrainRequested, out);
        self.feed_outbox(now, outbox::Event::FlushRequested, out);
    }

    pub(super) fn conversation_deadline(&self) -> Option<Deadline> {
        [
            self.link.next_deadline(),
            self.configuration.next_deadline(),
            self.commands.next_deadline(),
            self.outbox.next_deadline(),
        ]
        .into_iter()
        .fold(None, Deadline::earlier)
    }

    pub(super) fn tick_conversation(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let due = |deadline: Option<Deadline>| deadline.is_some_and(|next| next.at <= now);
        let mut any = false;
        if due(self.link.next_deadline()) {
            self.feed_link(now, link::Event::Tick, out);
            any = true;
        }
        if due(self.configuration.next_deadline()) {
            self.feed_configuration(now, configuration::Event::Tick, out);
            any = true;
        }
        if due(self.commands.next_deadline()) {
            self.feed_commands(now, commands::Event::Tick, out);
            any = true;
        }
        if due(self.outbox.next_deadline()) {
            self.feed_outbox(now, outbox::Event::Tick, out);
            any = true;
        }
        any
    }
}
