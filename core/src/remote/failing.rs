//! Messages that failed: sent again where that is safe, given up where not.

use alloc::vec::Vec;

use super::classify::Trouble;
use super::exchange::{Carries, Exchange, Reading};
use super::failure::Fault;
use super::messages::{Place, What};
use super::peer::{Alarm, Peer};
use super::session::Stage;
use super::told::Known;
use super::{Effect, ExchangeId};
use crate::limits::{REMOTE_LINGER_MS, REMOTE_RETRY_AFTER_MAX_MS, REMOTE_RETRY_DELAYS_MS};
use crate::relay;
use crate::time::Timestamp;

impl Peer {
    /// One attempt at a message failed.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        number: u64,
        trouble: Trouble,
        out: &mut Vec<Effect>,
    ) {
        let Some(message) = self.messages.get_mut(number) else { return };
        let before = message.failures;
        message.failures += 1;
        message.may_have_run |= trouble.may_have_run;
        message.last_failure = Some(trouble.failure.clone());
        message.last_event = None;
        let (what, avoid, may_have_run) = (message.what, message.avoid, message.may_have_run);
        let waiting = what.request().and_then(|id| self.relay.waiting(id));
        let may_repeat = match waiting {
            Some(waiting) => waiting.is_repeatable || !may_have_run,
            // That the handshake is over may be said twice.
            None => what == What::Initialized,
        };
        let wait = usize::try_from(before).ok().and_then(|at| REMOTE_RETRY_DELAYS_MS.get(at));
        let Some(wait) = wait.copied().filter(|_| trouble.passes && may_repeat) else {
            return self.give_up(now, number, trouble, out);
        };
        let is_bound_to = |failed: usize| {
            let session = &self.session;
            session.endpoint == failed && session.stage == Stage::Open && session.is_bound()
        };
        if let Some(failed) = avoid
            && trouble.blames_endpoint
            && what.request().is_some()
            && (self.endpoints.has_other(failed, now, waiting.is_none_or(|it| !it.is_call))
                || (is_bound_to(failed) && self.endpoints.is_to_be_left(failed)))
        {
            // Another endpoint may do at once what this one did not.
            if is_bound_to(failed) {
                self.end_session(now, out);
            }
            if let Some(message) = self.messages.get_mut(number) {
                message.place = Place::Parked;
            }
            return self.dispatch(now, number, out);
        }
        let asked = trouble.failure.retry_after_ms.unwrap_or(0);
        let wait = self.random.between(wait * 3 / 4, wait * 5 / 4).max(asked);
        let at = now.after(wait);
        let is_too_late = waiting.is_some_and(|waiting| waiting.deadline <= at);
        if asked > REMOTE_RETRY_AFTER_MAX_MS || is_too_late {
            return self.give_up(now, number, trouble, out);
        }
        if let Some(message) = self.messages.get_mut(number) {
            message.place = Place::Waiting(at);
            self.alarms.insert((at, Alarm::Retry(number)));
        }
    }

    /// Nothing more is tried for a message. Whoever waits for its answer is told.
    pub(super) fn give_up(
        &mut self,
        now: Timestamp,
        number: u64,
        trouble: Trouble,
        out: &mut Vec<Effect>,
    ) {
        let Some(message) = self.messages.remove(number) else { return };
        if let Place::InFlight(exchange) = message.place {
            self.abort(now, exchange, out);
        }
        let failure = trouble.failure;
        match message.what {
            What::Initialize(id) | What::Request(id) => {
                let Some(waiting) = self.relay.waiting(id) else { return };
                // The relay says what a failure of its own requests comes to.
                self.cause = (!waiting.is_call).then(|| failure.clone());
                if message.may_have_run || trouble.may_have_run {
                    self.relay.unanswered(now, id, &failure, &mut self.wants);
                } else {
                    self.relay.unreached(now, id, &failure, &mut self.wants);
                }
                self.carry(now, out);
                let left = self.cause.take();
                let is_of_endpoint =
                    trouble.blames_endpoint && self.endpoints.has_sound_other(message.endpoint);
                let is_of_server = waiting.is_call
                    && !is_of_endpoint
                    && !(failure.fault == Fault::Unreachable
                        && self.ask_whether_it_is_there(now, out));
                let of_call = is_of_server.then_some(failure);
                if let Some(failure) = left.or(of_call) {
                    self.told.failed(now, failure, false, out);
                }
            }
            What::Initialized if trouble.passes => {
                self.session_failed(now, &failure, out);
                let is_awaited = core::mem::take(&mut self.is_reconnecting);
                self.told.failed(now, failure, is_awaited, out);
            }
            // Servers that refuse a notification may still answer requests.
            What::Initialized => self.session_opened(now, out),
            What::Cancelled(_) | What::Other => {}
        }
    }

    /// One endpoint failed a call, and whether another is back is not known: a request of our own
    /// finds out, and says how the server fares. Whether one is under way.
    pub(super) fn ask_whether_it_is_there(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) -> bool {
        if !self.endpoints.are_several() || self.told.known == Known::Nothing {
            return false;
        }
        // A session that is being begun finds out as well.
        if self.session.stage == Stage::Open {
            self.tell(now, relay::Event::Probed);
            self.carry(now, out);
        }
        self.told.known != Known::Nothing
    }

    /// A message is of no interest any more, and neither is what became of it.
    pub(super) fn forget(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.remove(number) else { return };
        if let Place::InFlight(exchange) = message.place {
            self.abort(now, exchange, out);
        }
    }

    /// Requests that the relay waits for no longer.
    pub(super) fn forget_ended(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let is_over = |(id, _): &(u64, u64)| self.relay.waiting(*id).is_none();
        let over: Vec<(u64, u64)> = self.messages.requests().filter(is_over).collect();
        for (_, number) in over {
            self.forget(now, number, out);
        }
    }

    /// The stream is gone on which the answers to these messages were to come.
    pub(super) fn lose_delivered(
        &mut self,
        now: Timestamp,
        epoch: u64,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let is_lost = |place: Place| place == Place::Delivered(epoch);
        let lost: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, message)| is_lost(message.place))
            .map(|(number, _)| number)
            .collect();
        for number in lost {
            let what =
                alloc::format!("{why} before the answer came; check that the server keeps running");
            self.failed(now, number, Trouble::cut(what), out);
        }
    }

    /// Gives up an exchange.
    pub(super) fn abort(&mut self, now: Timestamp, id: ExchangeId, out: &mut Vec<Effect>) {
        if self.leave(now, id).is_some() {
            out.push(Effect::Abort { exchange: id });
        }
    }

    /// An exchange is over, one way or another.
    pub(super) fn leave(&mut self, now: Timestamp, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&id)?;
        if let Some(counted) = exchange.counted {
            self.endpoints.left(exchange.endpoint, now, counted.tries);
        }
        if let Some(at) = exchange.ends {
            self.alarms.remove(&(at, Alarm::Exchange(id)));
        }
        if self.session.stream == Some(id) {
            self.session.stream = None;
        }
        Some(exchange)
    }

    /// What an exchange was for is done. It is read on for a moment, so that its connection can be
    /// used again, and so that what comes too late is known as such.
    pub(super) fn detach(&mut self, now: Timestamp, id: ExchangeId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if let Some(counted) = exchange.counted.take() {
            self.endpoints.left(exchange.endpoint, now, counted.tries);
        }
        if let Some(at) = exchange.ends.take() {
            self.alarms.remove(&(at, Alarm::Exchange(id)));
        }
        let at = now.after(REMOTE_LINGER_MS);
        exchange.carries = Carries::Nothing;
        if !matches!(exchange.reading, Reading::Head | Reading::Events(_)) {
            exchange.reading = Reading::Nothing;
        }
        exchange.ends = Some(at);
        self.alarms.insert((at, Alarm::Exchange(id)));
    }

    /// An exchange has taken as long as it may.
    pub(super) fn exchange_due(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        id: ExchangeId,
        out: &mut Vec<Effect>,
    ) {
        let Some(exchange) = self.exchanges.get(&id).filter(|it| it.ends == Some(at)) else {
            return;
        };
        let carries = exchange.carries;
        self.abort(now, id, out);
        match carries {
            Carries::Message(number) | Carries::Rest(number) => {
                let what = "a message was not accepted in time; check that the server answers";
                self.failed(now, number, Trouble::cut(what), out);
            }
            Carries::Listening => self.listening_failed(now),
            Carries::Stream | Carries::Nothing => {}
        }
    }
}
