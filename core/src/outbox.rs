//! Events on their way to the Backend: numbered, batched, kept until confirmed, bounded.
//!
//! A window opens with the first waiting event; when it closes, everything that waits goes out in
//! batches, one in flight, back to back. What the Backend did not confirm is sent again with the
//! same ids. What had to be dropped is told in an event of its own. Every step is entered in the
//! journal, and a batch waits until its events are synced, or the journal says at least that it lacks
//! them: only then is it known that they outlive the machine, or are told as lost, and that no number
//! that the Backend has seen is given again.

mod answers;
mod queue;
mod restoring;
#[cfg(test)]
mod tests;

use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::value::to_raw_value;

use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::EventId;
use crate::journal::{self, Gap, Kept};
use crate::limits::{
    EVENT_BATCH_MAX, EVENT_BATCH_MAX_BYTES, EVENT_QUEUE_MAX_BYTES, JOURNAL_RETRY_MS, Settings,
};
use crate::link::request;
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::time::{IsoTime, Timestamp};
use crate::view::OutboxView;
use crate::wire;
use crate::wire::event::EventData;

use queue::{Content, Entry, Queue};

/// An event of the outbox.
#[derive(Debug)]
pub enum Event {
    /// Something happened that the Backend is to know.
    Emitted {
        /// What.
        data: EventData,
        /// When it happened.
        at: Timestamp,
    },
    /// Credentials may be used.
    Paired(Credentials),
    /// A request of channel `Events` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// What was to be synced is, or could not be.
    Stored {
        /// The number that was asked with.
        ticket: u64,
        /// What has become of it.
        kept: Kept,
    },
    /// The daemon is about to end: from here on nothing waits for company.
    FlushRequested,
    /// Time has passed.
    Tick,
}

/// An effect of the outbox.
#[derive(Clone, Debug)]
pub enum Effect {
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
        entry: journal::Entry,
        /// If a number, everything up to this entry is to be synced; answered by `Stored`.
        ticket: Option<u64>,
    },
    /// Print a log line.
    Log(LogLine),
}

/// What the outbox is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing waits.
    Quiet,
    /// The window is open.
    Collecting { until: Timestamp },
    /// The first `count` events are being synced, and then sent.
    Storing { ticket: u64, count: usize },
    /// A batch of the first `count` events is on its way.
    InFlight { number: u64, count: usize },
    /// The Backend could not take the last batch, or is being spared.
    Pausing { until: Timestamp },
}

/// Events on their way to the Backend.
#[derive(Debug)]
pub struct Outbox {
    batch_max: usize,
    window_ms: u64,
    random: Random,
    credentials: Option<Credentials>,
    queue: Queue,
    phase: Phase,
    next_seq: u64,
    /// Events up to this number are synced.
    synced_through: u64,
    /// Events up to this number are being synced.
    syncing_through: u64,
    /// Syncs asked for.
    tickets: u64,
    requests: u64,
    /// The first so many events hold one for which a batch was refused; 0 if none is known.
    suspects: usize,
    /// 429s in a row.
    throttled: u32,
    /// Other failures in a row.
    failures: u32,
    flushing: bool,
    /// Whether the present overflow has been logged.
    overflowing: bool,
}

impl Outbox {
    /// An empty outbox whose first event gets the number 1.
    pub fn new(settings: &Settings, random: Random) -> Self {
        Outbox::starting_at(1, settings, random)
    }

    fn starting_at(seq: u64, settings: &Settings, random: Random) -> Self {
        Outbox {
            batch_max: settings.event_batch_max.clamp(1, EVENT_BATCH_MAX),
            window_ms: settings.event_window_ms,
            random,
            credentials: None,
            queue: Queue::new(settings.event_queue_max, EVENT_QUEUE_MAX_BYTES),
            phase: Phase::Quiet,
            next_seq: seq,
            synced_through: 0,
            syncing_through: 0,
            tickets: 0,
            requests: 0,
            suspects: 0,
            throttled: 0,
            failures: 0,
            flushing: false,
            overflowing: false,
        }
    }

    /// What waits, as status pages show it.
    pub fn view(&self) -> OutboxView {
        OutboxView {
            waiting: self.queue.len(),
            capacity: self.queue.capacity(),
            bytes: self.queue.bytes(),
            dropped: self.queue.dropped(),
        }
    }

    /// Whether the Backend has confirmed everything.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number the next event will get.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn emit(&mut self, now: Timestamp, data: EventData, at: Timestamp, out: &mut Vec<Effect>) {
        let seq = self.next_seq;
        let event = wire::event::Event {
            id: Some(new_id(&mut self.random)),
            seq: Some(seq),
            timestamp: IsoTime(at),
            data,
        };
        let kind = event.data.kind();
        let Ok(json) = to_raw_value(&event) else {
            // No type of event has a form that JSON lacks.
            out.push(Effect::Log(
                LogLine::new(Level::Error, "An event has no JSON; it is dropped")
                    .with("type", kind),
            ));
            return;
        };
        self.next_seq = seq.saturating_add(1);
        out.push(enter(journal::Entry::Event(json.clone())));
        let entry = Entry { seq, content: Content::Event { kind, json }, attempted: false };
        let random = &mut self.random;
        if let Some(gap) = self.queue.push(entry, now, || new_id(random)) {
            out.push(enter(journal::Entry::Gap(gap)));
            if !self.overflowing {
                self.overflowing = true;
                out.push(Effect::Log(
                    LogLine::new(Level::Warn, "Too many events wait; the oldest are being dropped")
                        .with("operation", "events_dropped")
                        .with("capacity", self.queue.capacity()),
                ));
            }
        }
        if self.phase == Phase::Quiet {
            self.phase = Phase::Collecting { until: now.after(self.window_ms) };
        }
        if self.flushing && matches!(self.phase, Phase::Collecting { .. }) {
            self.send(out);
        }
    }

    /// Sends what is first in line, if anything waits and the satellite is paired. What was never
    /// sent is synced first.
    fn send(&mut self, out: &mut Vec<Effect>) {
        if self.credentials.is_none() {
            return;
        }
        let count = match self.suspects {
            0 => self.batch_max,
            suspects => (suspects / 2).max(1),
        };
        let count = self.queue.batch_len(count, EVENT_BATCH_MAX_BYTES);
        if count == 0 {
            self.phase = Phase::Quiet;
            return;
        }
        let is_first = self.queue.attempt(count).contains(&false);
        let through = self.queue.seq(count);
        let ticket = (through > self.synced_through).then(|| {
            self.tickets += 1;
            self.tickets
        });
        if is_first || ticket.is_some() {
            out.push(Effect::Journal { entry: journal::Entry::Sending { through }, ticket });
        }
        match ticket {
            Some(ticket) => {
                self.syncing_through = self.next_seq.saturating_sub(1);
                self.phase = Phase::Storing { ticket, count };
            }
            None => self.transmit(count, out),
        }
    }

    /// The batch goes out even if it could not be synced, as long as a daemon that dies leaves word of
    /// that: else the next one gave its numbers again.
    fn stored(&mut self, now: Timestamp, count: usize, kept: Kept, out: &mut Vec<Effect>) {
        match kept {
            Kept::Synced => self.synced_through = self.syncing_through,
            Kept::Marked => {}
            Kept::Not => {
                return self.pause(now, JOURNAL_RETRY_MS, "the journal cannot be written", out);
            }
        }
        self.transmit(count, out);
    }

    fn transmit(&mut self, count: usize, out: &mut Vec<Effect>) {
        let Some(credentials) = &self.credentials else { return };
        let mut body = Vec::from(&b"{\"events\":["[..]);
        for (place, entry) in self.queue.first(count).enumerate() {
            if place > 0 {
                body.push(b',');
            }
            match &entry.content {
                Content::Event { json, .. } => body.extend_from_slice(json.get().as_bytes()),
                Content::Gap(gap) => body.extend_from_slice(&wire::encode(&wire::event::Event {
                    id: Some(gap.id.clone()),
                    seq: Some(gap.to_seq),
                    timestamp: IsoTime(gap.at),
                    data: told(gap),
                })),
            }
        }
        body.extend_from_slice(b"]}");
        let http = request::post(credentials, wire::path::events(&credentials.satellite_id), body);
        self.requests += 1;
        self.phase = Phase::InFlight { number: self.requests, count };
        let request = RequestKey { channel: Channel::Events, number: self.requests };
        out.push(Effect::Send { request, http });
    }
}

fn new_id(random: &mut Random) -> EventId {
    EventId::from(random.id("evt_"))
}

/// An entry that nobody waits for.
fn enter(entry: journal::Entry) -> Effect {
    Effect::Journal { entry, ticket: None }
}

/// What the Backend is told of a gap.
fn told(gap: &Gap) -> EventData {
    EventData::EventsGap(wire::event::EventsGap {
        from_seq: gap.from_seq,
        to_seq: gap.to_seq,
        count: gap.count,
        reason: gap.reason.as_str().to_string(),
    })
}

impl Machine for Outbox {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let before = self.phase;
        match event {
            Event::Emitted { data, at } => self.emit(now, data, at, out),
            Event::Paired(credentials) => self.credentials = Some(credentials),
            Event::Answered { request, answer } => match self.phase {
                Phase::InFlight { number, count } if number == request.number => {
                    self.settle(now, count, &answer, out);
                }
                _ => return Verdict::Ignored("late"),
            },
            Event::Stored { ticket, kept } => match self.phase {
                Phase::Storing { ticket: awaited, count } if awaited == ticket => {
                    self.stored(now, count, kept, out);
                }
                _ => return Verdict::Ignored("late"),
            },
            Event::FlushRequested => {
                self.flushing = true;
                if !matches!(self.phase, Phase::InFlight { .. } | Phase::Storing { .. }) {
                    self.send(out);
                }
            }
            Event::Tick => match self.phase {
                Phase::Collecting { until } | Phase::Pausing { until }
                    if until <= now && self.credentials.is_some() =>
                {
                    self.send(out);
                }
                _ => return Verdict::Ignored("nothing is due"),
            },
        }
        if core::mem::discriminant(&before) == core::mem::discriminant(&self.phase) {
            Verdict::Handled
        } else {
            Verdict::Moved
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        // Unpaired, nothing can be sent, whatever the time.
        self.credentials.as_ref()?;
        match self.phase {
            Phase::Collecting { until } => Some(Deadline::new(until, "event window")),
            Phase::Pausing { until } => Some(Deadline::new(until, "events again")),
            Phase::Quiet | Phase::Storing { .. } | Phase::InFlight { .. } => None,
        }
    }
}
