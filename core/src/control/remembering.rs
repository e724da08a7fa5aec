//! The journal as the machine's parts use it: who enters what, who waits for it, what a new daemon
//! makes of it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Control, Effect, Start};
use crate::id::EventId;
use crate::instance::Spec;
use crate::journal::{Entry, Journal, Recovered, Standing, ToolSwitch, Waiter, encode, recover};
use crate::limits::TOOL_SWITCHES_MAX;
use crate::log::{Level, LogLine};
use crate::outbox::Outbox;
use crate::time::Timestamp;
use crate::wire::configuration::Server;
use crate::{commands, outbox};

impl Control {
    /// Takes up what an earlier daemon left in the journal; returns it for the commands, which
    /// need a configuration first.
    pub(super) fn take_up_journal(
        &mut self,
        now: Timestamp,
        start: &Start,
        out: &mut Vec<Effect>,
    ) -> Recovered {
        let mut ids = self.random.fork("gaps");
        let found = recover(&start.journal, now, || EventId::from(ids.id("evt_")));
        let is_paired = start.credentials.is_some();
        let random = self.random.fork("outbox");
        let (outbox, altered) =
            Outbox::restored(now, &found, &start.boot, is_paired, &self.settings, random);
        self.outbox = outbox;
        self.boot.clone_from(&start.boot);
        if is_paired {
            self.switches.clone_from(&found.switches);
        }
        let is_whole = found.condition.is_whole();
        if !is_whole {
            self.errors += 1;
            let msg = "the journal lacks entries; what could be read is used, and the Backend is \
                       told which events are missing";
            out.push(Effect::Log(
                LogLine::new(Level::Error, msg)
                    .with("operation", "journal")
                    .with("damaged_lines", found.condition.damaged_lines)
                    .with("torn_bytes", found.condition.torn_bytes),
            ));
        }
        let waiting = self.outbox.view().waiting;
        let open = found.commands.iter().filter(|command| !command.is_reported).count();
        if waiting + open > 0 {
            out.push(Effect::Log(
                LogLine::new(Level::Info, "going on with what an earlier daemon left")
                    .with("operation", "journal")
                    .with("events", waiting)
                    .with("commands", open),
            ));
        }
        let unfit = altered || !is_whole || !is_paired;
        let written = found.next_seq.unwrap_or(self.outbox.next_seq());
        self.journal = Journal::new(start.journal.len(), written, unfit);
        self.enter(&Entry::Started { boot: start.boot.clone() }, None);
        // Else a power cut could leave the orderly end of the daemon before as the last word, and
        // what this one emitted would be missed by nobody.
        self.journal.sync();
        found
    }

    /// Enters something in the journal.
    pub(super) fn enter(&mut self, entry: &Entry, waiter: Option<Waiter>) {
        self.journal.note(entry, waiter);
    }

    /// Has what was entered in this step written.
    pub(super) fn flush_journal(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mut journal = core::mem::take(&mut self.journal);
        if let Some(record) = journal.flush(now, self.outbox.next_seq(), || self.remembered()) {
            out.push(Effect::Persist(record));
        }
        self.journal = journal;
    }

    /// Enters that the daemon ends in order, and has everything synced.
    pub(super) fn close_journal(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mut journal = core::mem::take(&mut self.journal);
        if journal.failure().is_none() {
            journal.note(&Entry::Ended, None);
            journal.sync();
            let whole = || {
                let mut whole = self.remembered();
                encode(&Entry::Ended, &mut whole);
                whole
            };
            if let Some(record) = journal.flush(now, self.outbox.next_seq(), whole) {
                out.push(Effect::Persist(record));
            }
        }
        self.journal = journal;
    }

    /// The whole journal as it would be without a past.
    fn remembered(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Entry::Started { boot: self.boot.clone() }, &mut bytes);
        let switches = self.switches.iter().cloned().map(Entry::ToolSwitched);
        let commands = self.commands.remembered();
        for entry in self.outbox.remembered().into_iter().chain(commands).chain(switches) {
            encode(&entry, &mut bytes);
        }
        bytes
    }

    pub(super) fn journal_persisted(
        &mut self,
        now: Timestamp,
        outcome: &Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let before = self.journal.failure().is_some();
        let waiters = self.journal.persisted(now, outcome);
        match (before, self.journal.failure()) {
            (false, Some(error)) => {
                let msg = "the journal cannot be written: events are sent from memory if that \
                           can be marked in it, and no command is begun until it can";
                let line = LogLine::new(Level::Error, msg).with("operation", "journal");
                out.push(Effect::Log(line.with("error", error)));
                self.errors += 1;
            }
            (true, None) => out.push(Effect::Log(
                LogLine::new(Level::Info, "the journal can be written again")
                    .with("operation", "journal"),
            )),
            _ => {}
        }
        for (waiter, kept) in waiters {
            match waiter {
                Waiter::Commands(ticket) => {
                    let outcome = outcome.clone();
                    self.feed_commands(now, commands::Event::Stored { ticket, outcome }, out);
                }
                Waiter::Outbox(ticket) => {
                    self.feed_outbox(now, outbox::Event::Stored { ticket, kept }, out);
                }
            }
        }
    }

    /// Keeps a switch of a tool for later configurations and daemons.
    pub(super) fn remember_switch(&mut self, switch: ToolSwitch) {
        self.enter(&Entry::ToolSwitched(switch.clone()), None);
        ToolSwitch::remember(&mut self.switches, switch);
        let over = self.switches.len().saturating_sub(TOOL_SWITCHES_MAX);
        self.switches.drain(..over);
    }

    /// Switches the tools of `spec`, which stands in a configuration made then, as they were switched
    /// by commands that it does not settle.
    pub(super) fn switch_tools(&self, spec: &mut Spec, standing: Standing, lists_tools: bool) {
        let open = self.switches.iter().filter(|switch| {
            switch.concerns(&spec.key) && !switch.is_settled_by(standing, lists_tools)
        });
        for switch in open {
            let tools = Arc::make_mut(&mut spec.disabled_tools);
            if switch.disabled {
                tools.insert(switch.tool.clone());
            } else {
                tools.remove(&switch.tool);
            }
        }
    }

    /// Forgets the switches that a configuration made then settles for every instance they concern.
    pub(super) fn forget_settled_switches(&mut self, servers: &[Server], standing: Standing) {
        let before = self.switches.len();
        self.switches.retain(|switch| {
            let mut concerned =
                servers.iter().filter(|server| switch.concerns(&server.key())).peekable();
            concerned.peek().is_none()
                || concerned.any(|server| !switch.is_settled_by(standing, server.lists_tools))
        });
        if self.switches.len() < before {
            // The next daemon must not find them: it may have nothing to order them by.
            self.journal.renew();
        }
    }
}
