//! The pace of a daemon's requests, by its own clock, as somebody on the wire sees it.

use std::collections::BTreeMap;

use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::limits::{
    BACKOFF_MAX_MS, BACKOFF_MIN_MS, POLL_IMMEDIATE_MS, POLL_MAINTENANCE_MS, POLL_QUIET_MS,
};
use satellite_core::request::Channel;
use satellite_core::time::{SECOND, Timestamp};
use serde::Deserialize;

use super::Invariant;
use crate::stage::Stage;

/// A tick may come that much later than its deadline, by rounding of a clock that drifts.
const SLACK_MS: u64 = 10;

/// What is known of one daemon's requests.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Whether a poll is on its way, since when, and whether the Backend was asked to hold it.
    poll: Option<(Timestamp, bool)>,
    /// Between which moments the next poll must start, and whether that follows a failure.
    next: Option<(Timestamp, Timestamp, bool)>,
    /// Polls that failed in a row.
    failures: u32,
    /// Before when a channel must be silent, after a failure.
    silent_until: BTreeMap<Channel, Timestamp>,
    /// When the last heartbeat left.
    pub(super) heartbeat: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Guidance {
    #[serde(default)]
    next_poll_interval: Option<u64>,
    #[serde(default)]
    maintenance: bool,
    #[serde(default)]
    polling_mode: Option<serde::de::IgnoredAny>,
}

impl Pace {
    /// A daemon polls: not while a poll is on its way, neither too early nor too late.
    fn polls(&mut self, http: &HttpRequest, now: Timestamp) -> Result<(), (Invariant, String)> {
        if let Some((since, _)) = self.poll {
            let detail = format!("a second poll, {} ms after the first", now.since(since));
            return Err((Invariant::OnePollAtATime, detail));
        }
        self.poll = Some((now, http.path.contains("wait=")));
        let Some((from, until, after_failure)) = self.next.take() else { return Ok(()) };
        let invariant =
            if after_failure { Invariant::PauseAfterFailure } else { Invariant::PollInterval };
        // From the moment at which the Backend grants it, a poll is held: it need not wait.
        let begins_to_hold = !after_failure && http.path.contains("wait=");
        if now < from && !begins_to_hold {
            return Err((invariant, format!("a poll came {} ms early", from.since(now))));
        }
        if now > until.after(SLACK_MS) {
            return Err((invariant, format!("a poll came {} ms late", now.since(until))));
        }
        Ok(())
    }

    /// A daemon has the answer to its poll.
    fn polled(&mut self, answer: &Result<HttpAnswer, HttpFailure>, now: Timestamp) {
        let Some((since, may_be_held)) = self.poll.take() else { return };
        let guidance = match answer {
            // Written as an array it is no answer, though it could be read.
            Ok(answer) if answer.is_success() && answer.body.starts_with(b"{") => {
                serde_json::from_slice::<Guidance>(&answer.body).ok()
            }
            _ => None,
        };
        self.next = Some(match guidance {
            // Garbage may be an object like any other; whether it was taken for an answer shows in
            // nothing, so both paces are good.
            Some(Guidance { polling_mode: None, .. }) => {
                self.failures += 1;
                let longest = now.after(backoff_most(self.failures));
                (
                    now.min(since.after(POLL_IMMEDIATE_MS)),
                    longest.max(since.after(BACKOFF_MAX_MS)),
                    true,
                )
            }
            Some(Guidance { next_poll_interval, maintenance, .. }) => {
                self.failures = 0;
                let longest = if maintenance { POLL_MAINTENANCE_MS } else { POLL_QUIET_MS };
                let told = next_poll_interval.unwrap_or(30).saturating_mul(SECOND);
                let due = since.after(told.clamp(POLL_IMMEDIATE_MS, longest)).max(now);
                (if may_be_held && !maintenance { now } else { due }, due, false)
            }
            None if answer.as_ref().is_ok_and(|answer| answer.status == 404) => {
                // The first time, it turns to the other path at once.
                self.failures += 1;
                (now, now.after(backoff_most(self.failures)), true)
            }
            None => {
                self.failures += 1;
                let asked = answer.as_ref().ok().and_then(asked_ms).unwrap_or(0);
                let from = now.after(asked.max(BACKOFF_MIN_MS));
                (from, now.after(backoff_most(self.failures).max(asked)), true)
            }
        });
    }

    /// What is wrong if a poll is long overdue at `now`.
    pub(super) fn is_late(&self, now: Timestamp) -> Option<String> {
        let (_, until, _) = self.next?;
        (now > until.after(SLACK_MS)).then(|| format!("a poll is {} ms overdue", now.since(until)))
    }

    /// The daemon's clock has jumped: what was due by then may be late.
    pub(in crate::stage) fn jumped(&mut self, by_ms: u64) {
        if let Some((_, until, _)) = &mut self.next {
            *until = until.after(by_ms);
        }
        self.heartbeat = None;
    }

    /// The daemon shuts down: it polls no more, and does not wait with what it has to say.
    pub(in crate::stage) fn ends(&mut self) {
        *self = Pace { poll: self.poll, ..Pace::default() };
    }
}

fn backoff_most(failures: u32) -> u64 {
    BACKOFF_MIN_MS
        .saturating_mul(1u64.checked_shl(failures).unwrap_or(u64::MAX))
        .min(BACKOFF_MAX_MS)
}

/// The `Retry-After` in seconds, as far as it counts.
fn asked_ms(answer: &HttpAnswer) -> Option<u64> {
    let seconds: u64 = answer.retry_after.as_deref()?.parse().ok()?;
    Some(seconds.saturating_mul(SECOND).min(BACKOFF_MAX_MS))
}

impl Stage {
    /// A daemon sends a request.
    pub(in crate::stage) fn watch_sent(
        &mut self,
        index: usize,
        channel: Channel,
        http: &HttpRequest,
    ) {
        if channel == Channel::Heartbeat {
            return;
        }
        let Some(subject) = self.satellites.get(index) else { return };
        let now = subject.clock.show(self.now());
        let pace = self.watch.paces.entry(index).or_default();
        let silent = pace.silent_until.get(&channel).filter(|until| now < **until);
        let early = silent.map(|until| {
            format!("{channel:?} of {} came {} ms early", subject.name, until.since(now))
        });
        let polls = (channel == Channel::Poll).then(|| pace.polls(http, now));
        let name = &subject.name;
        self.watch.holds(Invariant::PauseAfterFailure, early.map_or(Ok(()), Err));
        if let Some(outcome) = polls {
            self.watch.holds(Invariant::OnePollAtATime, Ok(()));
            self.watch.holds(Invariant::PollInterval, Ok(()));
            if let Err((invariant, detail)) = outcome {
                self.watch.holds(invariant, Err(format!("{name}: {detail}")));
            }
        }
    }

    /// A daemon has an answer.
    pub(in crate::stage) fn watch_answered(
        &mut self,
        index: usize,
        channel: Channel,
        answer: &Result<HttpAnswer, HttpFailure>,
    ) {
        let Some(subject) = self.satellites.get(index) else { return };
        let now = subject.clock.show(self.now());
        let pace = self.watch.paces.entry(index).or_default();
        if channel == Channel::Poll {
            pace.polled(answer, now);
            if subject.is_ending {
                // It polls no more, whatever the answer to its last poll says.
                pace.next = None;
            }
            return;
        }
        if !matches!(channel, Channel::Events | Channel::Result) || subject.is_ending {
            return;
        }
        match answer {
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                pace.silent_until.remove(&channel);
            }
            other => {
                let asked = other.as_ref().ok().and_then(asked_ms).unwrap_or(0);
                pace.silent_until.insert(channel, now.after(asked.max(BACKOFF_MIN_MS)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
