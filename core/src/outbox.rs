//! Events on their way to the Backend: numbered, batched, kept until confirmed, bounded.
//!
//! A window opens with the first waiting event; when it closes, everything that waits goes out in
//! batches, one in flight, back to back. What the Backend did not confirm is sent again with the
//! same ids. What had to be dropped is told in an event of its own.

mod queue;
#[cfg(test)]
mod tests;

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::EventId;
use crate::limits::{
    EVENT_BATCH_MAX, EVENT_BATCH_MAX_BYTES, EVENT_THROTTLE_MAX_MS, EVENT_THROTTLE_MIN_MS, Settings,
};
use crate::link::{answer, request};
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::time::{IsoTime, Timestamp};
use crate::view::OutboxView;
use crate::wire;
use crate::wire::event::{EventData, EventsReply};

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
    /// The daemon is about to end: from here on nothing waits for company.
    FlushRequested,
    /// Time has passed.
    Tick,
}

/// An effect of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
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

/// What the outbox is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing waits.
    Quiet,
    /// The window is open.
    Collecting { until: Timestamp },
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

    /// An empty outbox whose first event gets the number `seq`: one more than the last number this
    /// satellite has ever used.
    pub fn starting_at(seq: u64, settings: &Settings, random: Random) -> Self {
        Outbox {
            batch_max: settings.event_batch_max.clamp(1, EVENT_BATCH_MAX),
            window_ms: settings.event_window_ms,
            random,
            credentials: None,
            queue: Queue::new(settings.event_queue_max),
            phase: Phase::Quiet,
            next_seq: seq,
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
        self.next_seq = self.next_seq.saturating_add(1);
        let event = wire::event::Event {
            id: Some(new_id(&mut self.random)),
            seq: Some(seq),
            timestamp: IsoTime(at),
            data,
        };
        let kind = event.data.kind();
        let content = Content::Event { kind, json: wire::encode(&event) };
        let entry = Entry { seq, content, attempted: false };
        let random = &mut self.random;
        let dropped = self.queue.push(entry, now, || new_id(random));
        if dropped > 0 && !self.overflowing {
            self.overflowing = true;
            out.push(Effect::Log(
                LogLine::new(Level::Warn, "Too many events wait; the oldest are being dropped")
                    .with("operation", "events_dropped")
                    .with("capacity", self.queue.capacity()),
            ));
        }
        if self.phase == Phase::Quiet {
            self.phase = Phase::Collecting { until: now.after(self.window_ms) };
        }
        if self.flushing && matches!(self.phase, Phase::Collecting { .. }) {
            self.send(out);
        }
    }

    /// Sends what is first in line, if anything waits and the satellite is paired.
    fn send(&mut self, out: &mut Vec<Effect>) {
        let Some(credentials) = &self.credentials else { return };
        let count = match self.suspects {
            0 => self.batch_max,
            suspects => (suspects / 2).max(1),
        };
        let count = self.queue.batch_len(count, EVENT_BATCH_MAX_BYTES);
        if count == 0 {
            self.phase = Phase::Quiet;
            return;
        }
        let mut body = Vec::from(&b"{\"events\":["[..]);
        for (place, entry) in self.queue.attempt(count).enumerate() {
            if place > 0 {
                body.push(b',');
            }
            match &entry.content {
                Content::Event { json, .. } => body.extend_from_slice(json),
                Content::Gap { id, from_seq, count, at } => {
                    body.extend_from_slice(&wire::encode(&wire::event::Event {
                        id: Some(id.clone()),
                        seq: Some(entry.seq),
                        timestamp: IsoTime(*at),
                        data: gap(*from_seq, entry.seq, *count),
                    }));
                }
            }
        }
        body.extend_from_slice(b"]}");
        let http = request::post(credentials, wire::path::events(&credentials.satellite_id), body);
        self.requests += 1;
        self.phase = Phase::InFlight { number: self.requests, count };
        let request = RequestKey { channel: Channel::Events, number: self.requests };
        out.push(Effect::Send { request, http });
    }

    fn settle(
        &mut self,
        now: Timestamp,
        count: usize,
        answer: &Result<HttpAnswer, HttpFailure>,
        out: &mut Vec<Effect>,
    ) {
        let asked = answer::asked_wait(answer, now);
        match answer {
            Ok(received) if received.is_success() => {
                match wire::decode::<EventsReply>("events reply", &received.body) {
                    Ok(reply) => self.confirmed(count, &reply, out),
                    Err(error) => self.retry(now, &error, asked, out),
                }
            }
            Ok(received) if matches!(received.status, 400 | 413 | 422) => {
                self.isolate(now, count, &answer::describe(answer), out);
            }
            Ok(received) if received.status == 429 => {
                self.throttled = self.throttled.saturating_add(1);
                let doubled = EVENT_THROTTLE_MIN_MS
                    .saturating_mul(1u64.checked_shl(self.throttled - 1).unwrap_or(u64::MAX));
                let wait = doubled.min(EVENT_THROTTLE_MAX_MS).max(asked.unwrap_or(0));
                self.pause(now, wait, "HTTP 429", out);
            }
            _ => self.retry(now, &answer::describe(answer), asked, out),
        }
    }

    /// The Backend has taken the batch. What it could not use it never will: that is said once.
    fn confirmed(&mut self, count: usize, reply: &EventsReply, out: &mut Vec<Effect>) {
        for failure in reply.failures.iter().take(count) {
            let unknown = failure.error.to_ascii_lowercase().contains("unknown event type");
            let level = if unknown { Level::Debug } else { Level::Warn };
            out.push(Effect::Log(
                LogLine::new(level, "The Backend could not use an event")
                    .with("operation", "event_refused")
                    .with("type", &failure.kind)
                    .with("error", &failure.error),
            ));
        }
        self.queue.remove(count);
        self.suspects = self.suspects.saturating_sub(count);
        self.throttled = 0;
        self.failures = 0;
        self.overflowing = false;
        self.send(out);
    }

    /// The Backend refused the whole batch: halve until the one event to blame is alone.
    fn isolate(&mut self, now: Timestamp, count: usize, error: &str, out: &mut Vec<Effect>) {
        if count > 1 {
            self.suspects = count;
            self.send(out);
            return;
        }
        let kind = match self.queue.get(0).map(|entry| &entry.content) {
            Some(Content::Event { kind, .. }) => kind,
            Some(Content::Gap { from_seq, count, .. }) => gap(*from_seq, *from_seq, *count).kind(),
            None => "",
        };
        out.push(Effect::Log(
            LogLine::new(Level::Warn, "The Backend refused an event; it is dropped")
                .with("operation", "event_refused")
                .with("type", kind)
                .with("error", error),
        ));
        self.queue.remove(1);
        self.suspects = 0;
        if self.queue.is_empty() || self.flushing {
            self.send(out);
        } else {
            // A Backend that refuses everything is not hammered.
            self.phase = Phase::Pausing { until: now.after(self.window_ms) };
        }
    }

    fn retry(&mut self, now: Timestamp, error: &str, asked: Option<u64>, out: &mut Vec<Effect>) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::after_failures(self.failures, asked, &mut self.random);
        self.pause(now, wait, error, out);
    }

    fn pause(&mut self, now: Timestamp, wait: u64, error: &str, out: &mut Vec<Effect>) {
        out.push(Effect::Log(
            LogLine::new(Level::Warn, "Events could not be sent and are kept")
                .with("error", error)
                .with("waiting", self.queue.len())
                .with("next_attempt_ms", wait),
        ));
        self.phase = Phase::Pausing { until: now.after(wait) };
    }
}

fn new_id(random: &mut Random) -> EventId {
    EventId::from(random.id("evt_"))
}

fn gap(from_seq: u64, to_seq: u64, count: u64) -> EventData {
    EventData::EventsGap(wire::event::EventsGap {
        from_seq,
        to_seq,
        count,
        reason: "queue_full".to_string(),
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
            Event::FlushRequested => {
                self.flushing = true;
                if !matches!(self.phase, Phase::InFlight { .. }) {
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
            Phase::Quiet | Phase::InFlight { .. } => None,
        }
    }
}
