//! What the Backend's answer to a batch means for the events in it.

use alloc::vec::Vec;

use super::queue::Content;
use super::{Effect, Outbox, Phase, enter, told};
use crate::backoff;
use crate::http::{HttpAnswer, HttpFailure};
use crate::journal;
use crate::limits::{EVENT_THROTTLE_MAX_MS, EVENT_THROTTLE_MIN_MS};
use crate::link::answer;
use crate::log::{Level, LogLine};
use crate::time::Timestamp;
use crate::wire;
use crate::wire::event::EventsReply;

impl Outbox {
    pub(super) fn settle(
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
        self.remove(count, out);
        self.suspects = self.suspects.saturating_sub(count);
        self.throttled = 0;
        self.failures = 0;
        self.overflowing = false;
        self.send(out);
    }

    /// The Backend has the first events, or never will.
    fn remove(&mut self, count: usize, out: &mut Vec<Effect>) {
        let through = self.queue.seq(count);
        self.queue.remove(count);
        out.push(enter(journal::Entry::Confirmed { through }));
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
            Some(Content::Gap(gap)) => told(gap).kind(),
            None => "",
        };
        out.push(Effect::Log(
            LogLine::new(Level::Warn, "The Backend refused an event; it is dropped")
                .with("operation", "event_refused")
                .with("type", kind)
                .with("error", error),
        ));
        self.remove(1, out);
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

    pub(super) fn pause(&mut self, now: Timestamp, wait: u64, error: &str, out: &mut Vec<Effect>) {
        out.push(Effect::Log(
            LogLine::new(Level::Warn, "Events could not be sent and are kept")
                .with("error", error)
                .with("waiting", self.queue.len())
                .with("next_attempt_ms", wait),
        ));
        self.phase = Phase::Pausing { until: now.after(wait) };
    }
}
