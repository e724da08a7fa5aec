//! The relay's phases, and what it does of its own accord: handshake, lists, probes.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use super::discovery::{Discovery, Failure, List};
use super::framing::Framer;
use super::reporting::Reporting;
use super::table::{InFlight, Purpose, Table};
use super::{CallId, CallOutcome, Effect, Event, Report, handshake};
use crate::json::{notification_line, request_line};
use crate::limits::{
    DISCOVERY_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, MESSAGE_MAX_BYTES, PROBE_TIMEOUT_MS,
    RELIST_INTERVAL_MS,
};
use crate::time::Timestamp;
use crate::{Deadline, Machine, Refusal, Verdict};

/// What a relay needs to know of its instance.
#[derive(Clone, Copy, Debug)]
pub struct RelaySettings {
    /// How long the handshake may take.
    pub handshake_timeout_ms: u64,
}

impl Default for RelaySettings {
    fn default() -> Self {
        RelaySettings { handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS }
    }
}

/// The conversation with one MCP peer. Its documentation is that of [`crate::relay`].
#[derive(Debug)]
pub struct Relay {
    pub(super) settings: RelaySettings,
    pub(super) phase: Phase,
    pub(super) framer: Framer,
    pub(super) table: Table,
    pub(super) reporting: Reporting,
    /// Whether the peer's revision lets it send batches.
    pub(super) may_batch: bool,
    /// The revision the peer speaks.
    pub(super) revision: Option<&'static str>,
    /// The call on whose stream the peer is heard, where it has one of its own.
    pub(super) heard_for: Option<CallId>,
    /// Requests that ended because their answer could not be read.
    pub(super) unread: u64,
    /// The lists the peer says it has.
    lists: Vec<List>,
    /// The result of its `initialize`.
    greeting: Option<Box<RawValue>>,
    pub(super) discovery: Option<Discovery>,
    /// Whether the first lists are known.
    listed: bool,
    /// When the lists are to be asked for again.
    pub(super) relist_at: Option<Timestamp>,
    /// When they were last asked for.
    relisted: Timestamp,
    /// What the peer says has changed since.
    changed: Vec<ListChanged>,
    /// What it said before: to be passed on once the lists are known, so that whoever asks for them
    /// then sees the change.
    announcing: Vec<ListChanged>,
    probing: bool,
}

/// Where the conversation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The pipes are not open yet.
    Unopened,
    /// `initialize` is on its way.
    Initializing,
    /// Calls are carried.
    Ready,
    /// The handshake or the first lists failed.
    Unusable,
    /// The pipes are closed.
    Closed { reason: String },
}

/// A peer's word that a list has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListChanged {
    Tools,
    Resources,
    Prompts,
}

impl ListChanged {
    pub(super) fn of(method: &str) -> Option<Self> {
        [ListChanged::Tools, ListChanged::Resources, ListChanged::Prompts]
            .into_iter()
            .find(|changed| changed.method() == method)
    }

    fn method(self) -> &'static str {
        match self {
            ListChanged::Tools => "notifications/tools/list_changed",
            ListChanged::Resources => "notifications/resources/list_changed",
            ListChanged::Prompts => "notifications/prompts/list_changed",
        }
    }
}

impl Relay {
    /// A relay whose pipes are not open yet.
    pub fn new(settings: RelaySettings) -> Self {
        Relay {
            settings,
            phase: Phase::Unopened,
            framer: Framer::new(MESSAGE_MAX_BYTES),
            table: Table::new(),
            reporting: Reporting::default(),
            may_batch: false,
            revision: None,
            heard_for: None,
            unread: 0,
            lists: Vec::new(),
            greeting: None,
            discovery: None,
            listed: false,
            relist_at: None,
            relisted: Timestamp(0),
            changed: Vec::new(),
            announcing: Vec::new(),
            probing: false,
        }
    }

    /// Calls of clients in flight.
    pub fn in_flight(&self) -> usize {
        self.table.calls()
    }

    fn opened(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        if self.phase != Phase::Unopened {
            return Verdict::Refused(Refusal::IllegalTransition);
        }
        self.phase = Phase::Initializing;
        self.greet(now, out);
        Verdict::Handled
    }

    pub(super) fn greet(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let params = serde_json::from_str::<&RawValue>(handshake::PARAMS).ok();
        let id = self.table.insert(now, Purpose::Initialize, self.settings.handshake_timeout_ms);
        out.push(Effect::Write(request_line(id, handshake::METHOD, params, None)));
    }

    /// The handshake ended.
    pub(super) fn initialized(
        &mut self,
        now: Timestamp,
        answer: Result<&RawValue, String>,
        out: &mut Vec<Effect>,
    ) {
        match answer.and_then(handshake::read) {
            Ok(greeting) => {
                self.phase = Phase::Ready;
                self.may_batch = greeting.may_batch;
                self.revision = Some(greeting.revision);
                self.lists = greeting.lists;
                self.greeting = Some(greeting.result);
                out.push(Effect::Write(notification_line(handshake::INITIALIZED, None)));
                out.push(Effect::Report(Report::Initialized));
                self.discover(now, out);
            }
            // A peer that was greeted again keeps its lists, and may be greeted once more.
            Err(reason) if self.phase == Phase::Ready => {
                self.relist_at = None;
                out.push(Effect::Report(Report::Unusable { step: handshake::METHOD, reason }));
            }
            Err(reason) => self.give_up(handshake::METHOD, reason, out),
        }
    }

    fn give_up(&mut self, step: &'static str, reason: String, out: &mut Vec<Effect>) {
        self.phase = Phase::Unusable;
        self.discovery = None;
        self.relist_at = None;
        out.push(Effect::Report(Report::Unusable { step, reason }));
    }

    /// Begins with the lists.
    fn discover(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.relist_at = None;
        self.relisted = now;
        self.announcing = core::mem::take(&mut self.changed);
        self.discovery = Some(Discovery::new(now, &self.lists, self.greeting.clone()));
        self.ask_for_list(now, out);
    }

    /// Asks the next question of the discovery, or ends it.
    fn ask_for_list(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(discovery) = &mut self.discovery else { return };
        let spent = now.since(discovery.began);
        if spent >= DISCOVERY_TIMEOUT_MS {
            discovery.cut();
        }
        if let Some((method, params)) = discovery.question() {
            let id = self.table.insert(now, Purpose::List, DISCOVERY_TIMEOUT_MS - spent);
            let params = params.as_deref().and_then(|text| serde_json::from_str(text).ok());
            out.push(Effect::Write(request_line(id, method, params, None)));
            return;
        }
        if let Some(discovery) = self.discovery.take() {
            self.listed = true;
            let inventory = Arc::new(discovery.finish(now));
            out.push(Effect::Report(Report::Listed(inventory)));
            self.announce_changes(out);
        }
    }

    /// A page of a list came, or did not.
    pub(super) fn list_answered(
        &mut self,
        now: Timestamp,
        answer: Result<&RawValue, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(discovery) = &mut self.discovery else { return };
        match discovery.answered(answer, &mut self.reporting) {
            Ok(()) => self.ask_for_list(now, out),
            Err(Failure { step, reason }) if self.listed => {
                self.discovery = None;
                out.push(Effect::Report(Report::ListsStale { step, reason }));
                self.announce_changes(out);
            }
            Err(Failure { step, reason }) => self.give_up(step, reason, out),
        }
    }

    /// The peer says that a list has changed. However often it does, the lists are asked for at
    /// most once per [`RELIST_INTERVAL_MS`].
    pub(super) fn list_changed(&mut self, now: Timestamp, changed: ListChanged) {
        if self.phase != Phase::Ready {
            return;
        }
        if !self.changed.contains(&changed) {
            self.changed.push(changed);
        }
        let due = now.max(self.relisted.after(RELIST_INTERVAL_MS));
        self.relist_at = Some(self.relist_at.map_or(due, |at| at.min(due)));
    }

    /// Passes on what had changed before the lists were asked for.
    fn announce_changes(&mut self, out: &mut Vec<Effect>) {
        for changed in core::mem::take(&mut self.announcing) {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, changed.method());
            if let Ok(message) = RawValue::from_string(text) {
                out.push(Effect::NotifyAll { message });
            }
        }
    }

    fn relist(&mut self, now: Timestamp) -> Verdict {
        match self.phase {
            Phase::Ready if self.relist_at.is_some_and(|at| at <= now) => {
                Verdict::Ignored("the lists are about to be asked for")
            }
            Phase::Ready => {
                self.relist_at = Some(now);
                Verdict::Handled
            }
            _ => Verdict::Refused(Refusal::IllegalTransition),
        }
    }

    fn probed(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        if self.phase != Phase::Ready {
            out.push(Effect::Report(Report::Probe { answered: false }));
            return Verdict::Refused(Refusal::IllegalTransition);
        }
        if self.probing {
            return Verdict::Ignored("a probe is under way");
        }
        self.probing = true;
        let id = self.table.insert(now, Purpose::Ping, PROBE_TIMEOUT_MS);
        out.push(Effect::Write(request_line(id, "ping", None, None)));
        Verdict::Handled
    }

    /// A probe ended.
    pub(super) fn probe_ended(&mut self, answered: bool, out: &mut Vec<Effect>) {
        self.probing = false;
        out.push(Effect::Report(Report::Probe { answered }));
    }

    fn closed(&mut self, now: Timestamp, reason: String, out: &mut Vec<Effect>) -> Verdict {
        if matches!(self.phase, Phase::Closed { .. }) {
            return Verdict::Ignored("closed already");
        }
        // A last answer may lack its line end.
        if let Some(rest) = self.framer.finish() {
            self.last_words(now, &rest, out);
        }
        while let Some(id) = self.table.first() {
            if let Some(InFlight { purpose: Purpose::Call { call, .. }, .. }) =
                self.table.remove(id)
            {
                let reason = reason.clone();
                self.end_call(call, CallOutcome::OutcomeUnknown { reason }, out);
            }
        }
        if self.probing {
            self.probe_ended(false, out);
        }
        self.discovery = None;
        self.relist_at = None;
        self.reporting.flush_all(now, self.table.calls(), out);
        out.push(Effect::Report(Report::Closed { reason: reason.clone() }));
        self.phase = Phase::Closed { reason };
        Verdict::Handled
    }

    /// When the lists are to be asked for again. After a greeting they are asked for anyway.
    fn lists_due(&self) -> Option<Timestamp> {
        self.relist_at.filter(|_| self.discovery.is_none() && !self.table.is_greeting())
    }

    /// Does what an event has made due.
    pub(super) fn settle(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.lists_due().is_some_and(|at| at <= now) {
            self.discover(now, out);
        }
        self.reporting.flush(now, self.table.calls(), out);
    }

    fn ticked(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while let Some((id, late)) = self.table.remove_expired(now) {
            let after_ms = now.since(late.sent);
            match late.purpose {
                Purpose::Call { call, .. } => {
                    self.tell_cancelled(id, Some("timed out"), out);
                    self.end_call(call, CallOutcome::TimedOut { after_ms }, out);
                }
                // The handshake is the one request that may not be cancelled.
                Purpose::Initialize => {
                    let reason = format!(
                        "no answer within {after_ms} ms; start the server by hand to see what it waits for"
                    );
                    self.initialized(now, Err(reason), out);
                }
                Purpose::List => {
                    self.tell_cancelled(id, Some("timed out"), out);
                    let reason = format!("no answer within {after_ms} ms");
                    self.list_answered(now, Err(reason), out);
                }
                Purpose::Ping => self.probe_ended(false, out),
            }
        }
    }
}

impl Machine for Relay {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let before = core::mem::discriminant(&self.phase);
        let verdict = match event {
            Event::Opened => self.opened(now, out),
            Event::Read(bytes) => self.read(now, &bytes, out),
            Event::Called(call) => self.called(now, &call, out),
            Event::Cancelled { call, reason } => self.cancelled(call, reason.as_deref(), out),
            Event::Relist => self.relist(now),
            Event::Probed => self.probed(now, out),
            Event::Closed { reason } => self.closed(now, reason, out),
            Event::Tick => {
                self.ticked(now, out);
                Verdict::Handled
            }
        };
        self.settle(now, out);
        if core::mem::discriminant(&self.phase) == before { verdict } else { Verdict::Moved }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let timeout = self.table.next_deadline().map(|at| Deadline::new(at, "request timed out"));
        let lists = self.lists_due().map(|at| Deadline::new(at, "lists changed"));
        let report = self.reporting.due().map(|at| Deadline::new(at, "report due"));
        Deadline::earlier(Deadline::earlier(timeout, lists), report)
    }
}
