//! The command poll: its path, its pace, and what its answers mean for the pairing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use statig::Outcome;

use super::answer;
use super::conversation::{Context, Conversation};
use super::request;
use super::state::{State, Turn};
use super::{Effect, exit};
use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::CommandId;
use crate::limits::{
    BACKOFF_MAX_MS, BACKOFF_MIN_MS, HEARTBEAT_INTERVAL_MS as RETURN_MAX_MS, POLL_IMMEDIATE_MS,
    POLL_LIMIT, POLL_MAINTENANCE_MS, POLL_QUIET_MS, POLL_TIMEOUT_MS, POLL_WAIT_MAX_SECONDS,
};
use crate::log::{Level, LogLine};
use crate::request::Channel;
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::wire::capability::{ADDITIONS, POLL_WAIT};
use crate::wire::command::{PollQuery, PollReply};
use crate::wire::heartbeat::HeartbeatReply;
use crate::wire::{self, path};

/// Where commands come from, and how far they have been read.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The scope-aware path answered 404, so the flat one is used.
    flat: bool,
    /// The scope-aware path has answered 2xx: a later 404 is a failure like any other.
    confirmed: bool,
    /// When the last successful poll was started.
    last_success: Option<Timestamp>,
    /// The commands of the last reply.
    last_commands: Vec<CommandId>,
}

impl Feed {
    /// The poll, held for `wait_seconds` unless that is 0.
    fn request(&self, credentials: &Credentials, wait_seconds: u64) -> HttpRequest {
        let satellite = &credentials.satellite_id;
        let mut path = if self.flat {
            path::commands_flat(satellite)
        } else {
            path::commands_scoped(satellite, credentials.team_id.as_ref())
        };
        let query = PollQuery {
            last_poll: self.last_success.map(IsoTime),
            limit: Some(POLL_LIMIT),
            wait: (wait_seconds > 0).then_some(wait_seconds),
        };
        path.push_str(&query.to_query());
        let mut http = request::get(credentials, path);
        http.timeout_ms = POLL_TIMEOUT_MS + wait_seconds * SECOND;
        http.headers
            .extend(self.last_success.map(|last| ("x-last-poll".to_string(), last.to_iso())));
        http
    }

    /// Whether `reply` to a poll of `elapsed_ms` shows that the Backend held it: it came with
    /// something, or with nothing after the whole wait. A peer that repeats the commands of its
    /// last reply doesn't hold, and would otherwise be polled without pause.
    fn was_held(&self, reply: &PollReply, wait_seconds: u64, elapsed_ms: u64) -> bool {
        let news = reply.commands.iter().any(|command| !self.last_commands.contains(&command.id));
        wait_seconds > 0 && (news || elapsed_ms >= wait_seconds * SECOND)
    }
}

/// How long after the start of one poll the next one starts.
///
/// `guidance` is the Backend's, in seconds; `own` holds until it gives some.
pub(super) fn interval_ms(guidance: Option<u64>, maintenance: bool, own: u64) -> u64 {
    let longest = if maintenance { POLL_MAINTENANCE_MS } else { POLL_QUIET_MS };
    match guidance {
        Some(seconds) => seconds.saturating_mul(SECOND).clamp(POLL_IMMEDIATE_MS, longest),
        None if maintenance => POLL_MAINTENANCE_MS,
        None => own.clamp(POLL_IMMEDIATE_MS, POLL_MAINTENANCE_MS),
    }
}

impl Conversation {
    /// Sends a poll and says so. `may_hold`: whether it may ask to be held, if that was granted.
    pub(super) fn send_poll(&mut self, may_hold: bool, context: &mut Context<'_>) -> Turn {
        let wait_seconds =
            if may_hold && self.granted.contains(POLL_WAIT) { POLL_WAIT_MAX_SECONDS } else { 0 };
        self.begins_to_hold &= wait_seconds == 0;
        let Some(credentials) = &self.credentials else {
            // Unreachable: no paired state is entered without credentials.
            return Turn::Due { at: context.now.after(POLL_QUIET_MS) };
        };
        let http = self.feed.request(credentials, wait_seconds);
        let request = self.send(Channel::Poll, http, context);
        Turn::InFlight { request, since: context.now, wait_seconds }
    }

    /// A poll sent at `since` ended.
    pub(super) fn polled(
        &mut self,
        since: Timestamp,
        wait_seconds: u64,
        answer: &Result<HttpAnswer, HttpFailure>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        let Ok(received) = answer else {
            return self.poll_failed(answer::describe(answer), None, context);
        };
        if received.is_success() {
            return match wire::decode::<PollReply>("poll reply", &received.body) {
                Ok(reply) => self.poll_succeeded(since, wait_seconds, reply, context),
                Err(error) => {
                    self.poll_failed(error, answer::asked_wait(answer, context.now), context)
                }
            };
        }
        if let Some(reason) = unpairing(received) {
            return self.unpair(&reason, context);
        }
        if received.status == 404 && !self.feed.flat && !self.feed.confirmed {
            self.feed.flat = true;
            context.log(LogLine::new(
                Level::Info,
                "The Backend has no scope-aware command path; polling the flat one",
            ));
            let turn = self.send_poll(false, context);
            return context.move_to(if self.failures == 0 {
                State::Verifying { turn }
            } else {
                State::Degraded { turn }
            });
        }
        let asked = answer::asked_wait(answer, context.now);
        self.poll_failed(answer::describe(answer), asked, context)
    }

    fn poll_succeeded(
        &mut self,
        since: Timestamp,
        wait_seconds: u64,
        reply: PollReply,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        let maintenance = reply.maintenance;
        let held =
            !maintenance && self.feed.was_held(&reply, wait_seconds, context.now.since(since));
        let interval =
            interval_ms(reply.next_poll_interval, maintenance, self.settings.poll_interval_ms);
        self.feed.confirmed |= !self.feed.flat;
        self.feed.last_success = Some(since);
        self.feed.last_commands = reply.commands.iter().map(|command| command.id.clone()).collect();
        if self.failures > 0 {
            context.log(
                LogLine::new(Level::Info, "The Backend answers again")
                    .with("failures", self.failures),
            );
        }
        self.failures = 0;
        self.hastened = false;
        self.last_error = None;
        self.note_verified(context);
        if !reply.commands.is_empty() {
            context.out.push(Effect::Received(reply.commands));
        }
        if !reply.unreadable.is_empty() {
            context.out.push(Effect::ReceivedUnreadable(reply.unreadable));
        }
        let at = since.after(interval);
        let begins_to_hold = self.begins_to_hold && !maintenance;
        let turn = if held || begins_to_hold || at <= context.now {
            self.send_poll(!maintenance, context)
        } else {
            Turn::Due { at }
        };
        context.move_to(if maintenance {
            State::Maintenance { turn }
        } else {
            State::Polling { turn }
        })
    }

    fn poll_failed(
        &mut self,
        error: String,
        asked_ms: Option<u64>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::after_failures(self.failures, asked_ms, &mut self.random);
        let asked_ms = asked_ms.unwrap_or(0).min(BACKOFF_MAX_MS);
        self.spared_until = context.now.after(asked_ms);
        context.log(
            LogLine::new(Level::Warn, "The command poll failed")
                .with("error", &error)
                .with("failures", self.failures)
                .with("next_attempt_ms", wait),
        );
        self.last_error = Some(error);
        context.move_to(State::Degraded { turn: Turn::Due { at: context.now.after(wait) } })
    }

    /// A heartbeat ended: it may grant capabilities, or say that the pairing is void.
    pub(super) fn heartbeat_answered(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        let Ok(answer) = answer else { return context.handled() };
        if let Some(reason) = unpairing(answer) {
            return self.unpair(&reason, context);
        }
        if answer.is_success()
            && let Ok(reply) = wire::decode::<HeartbeatReply>("heartbeat reply", &answer.body)
        {
            let could_hold = self.granted.contains(POLL_WAIT);
            // What was not offered can't be granted.
            self.granted = reply
                .capabilities
                .into_iter()
                .filter(|capability| ADDITIONS.contains(&capability.as_str()))
                .collect();
            let can_hold = self.granted.contains(POLL_WAIT);
            self.begins_to_hold = can_hold && (self.begins_to_hold || !could_hold);
        }
        context.handled()
    }

    /// A heartbeat that comes through after polls have failed says that the Backend is back: the next
    /// poll comes forward to a moment drawn from the next [2 s, 30 s], instead of up to 300 s after.
    ///
    /// Heartbeats of a fleet are spread over 30 s and so are their polls then, so that it does not
    /// return as one (`cargo sim fleet` shows the curve). A poll never comes sooner than 2 s after
    /// its failure, nor sooner than a `Retry-After` said; and it comes forward once in a row of
    /// failures, or again after a heartbeat that failed too: where heartbeats are answered and polls
    /// are not, the backoff stands.
    pub(super) fn hasten(
        &mut self,
        turn: &mut Turn,
        answer: &Result<HttpAnswer, HttpFailure>,
        context: &Context<'_>,
    ) {
        if !answer.as_ref().is_ok_and(HttpAnswer::is_success) {
            self.hastened = false;
        } else if let Turn::Due { at } = turn
            && self.failures > 0
            && !self.hastened
        {
            self.hastened = true;
            let soon = context.now.after(self.random.between(BACKOFF_MIN_MS, RETURN_MAX_MS));
            *at = soon.max(self.spared_until).min(*at);
        }
    }

    fn unpair(&mut self, reason: &str, context: &mut Context<'_>) -> Outcome<State> {
        self.credentials = None;
        self.stored = false;
        context.out.push(Effect::Forget);
        context.exit(exit::revoked(reason))
    }
}

/// The code by which an answer voids the pairing, if it does.
fn unpairing(answer: &HttpAnswer) -> Option<String> {
    let body = answer::error_body(answer);
    (matches!(answer.status, 401 | 403) && body.voids_pairing()).then_some(body.error)
}
