//! Streams asked for with GET: the server's own, and the rest of an answer that broke off
//! (MCP 2025-11-25, Listening for Messages from the Server; Resumability and Redelivery).

use alloc::string::String;
use alloc::vec::Vec;

use super::classify::Trouble;
use super::endpoints::Sender;
use super::exchange::{Carries, Counted, Reading};
use super::head::{Content, Head};
use super::messages::Place;
use super::peer::{Alarm, Peer};
use super::request::Method;
use super::session::{Form, Stage};
use super::{Effect, ExchangeId, Request};
use crate::limits::{
    REMOTE_ACCEPT_TIMEOUT_MS, REMOTE_RESUMPTIONS_MAX, REMOTE_STREAM_RETRY_MAX_MS,
    REMOTE_STREAM_RETRY_MIN_MS,
};
use crate::time::Timestamp;

impl Peer {
    /// Asks for the stream on which the server speaks of its own accord.
    pub(super) fn listen(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.session.listen_at = None;
        let is_wanted = self.session.stage == Stage::Open && self.session.form == Form::Streamable;
        if !is_wanted || self.session.stream.is_some() {
            return;
        }
        let last_event = self.session.last_event.clone();
        let endpoint = self.listening_endpoint(now);
        let request = self.get(endpoint, last_event.as_deref());
        let ends = Some(now.after(REMOTE_ACCEPT_TIMEOUT_MS));
        let listening =
            self.begin(now, Carries::Listening, Reading::Head, endpoint, ends, request, out);
        self.session.stream = Some(listening);
    }

    /// Where the session lives, or anywhere that is not left alone.
    fn listening_endpoint(&mut self, now: Timestamp) -> usize {
        let bound = self.session.endpoint;
        if self.session.is_bound() || !self.endpoints.is_resting(bound) {
            return bound;
        }
        let sender = Sender { is_own: false, may_try: false, avoid: Some(bound) };
        self.endpoints.choose(now, sender, &mut self.random).unwrap_or(bound)
    }

    fn get(&self, endpoint: usize, last_event: Option<&str>) -> Request {
        let url = String::from(self.endpoints.url(endpoint));
        Request::new(&self.spec, Method::Get, &url, self.context(last_event), None)
    }

    pub(super) fn listening_head(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        if head.is_success() && head.content == Content::Events {
            let Some(exchange) = self.exchanges.get_mut(&id) else { return };
            exchange.reading = Reading::events();
            self.session.has_listened = true;
            if let Some(at) = exchange.ends.take() {
                self.alarms.remove(&(at, Alarm::Exchange(id)));
            }
            return;
        }
        let has_session = self.exchanges.get(&id).is_some_and(|exchange| exchange.has_session);
        self.abort(now, id, out);
        match head.status {
            404 if has_session && self.session.has_listened => {
                // Its next message would find out; its lists may have changed already.
                self.end_session(now, out);
                self.greet(now, out);
            }
            500..600 | 429 => self.listening_failed(now),
            // 405, or 404 where there was no such stream before: the server has nothing to say of
            // its own accord.
            _ => {}
        }
    }

    /// The server's stream ended or could not be had: it is asked for again, ever more seldom.
    pub(super) fn listening_failed(&mut self, now: Timestamp) {
        if self.session.stage != Stage::Open || self.session.form != Form::Streamable {
            return;
        }
        let doubled = REMOTE_STREAM_RETRY_MIN_MS << self.session.stream_failures.min(10);
        let longest = doubled.min(REMOTE_STREAM_RETRY_MAX_MS);
        let asked = self.session.retry_ms.unwrap_or(0).min(REMOTE_STREAM_RETRY_MAX_MS);
        let wait = self.random.between(longest / 2, longest).max(asked);
        self.session.stream_failures = self.session.stream_failures.saturating_add(1);
        let at = now.after(wait);
        self.session.listen_at = Some(at);
        self.alarms.insert((at, Alarm::Listen(self.session.epoch)));
    }

    /// The stream of an answer broke off behind an event that has an id: the rest is asked for.
    pub(super) fn resume_later(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.get_mut(number) else { return };
        message.resumptions += 1;
        // Its answer had begun: however the rest is lost, the server took it.
        message.may_have_run = true;
        if message.resumptions > REMOTE_RESUMPTIONS_MAX {
            return self.not_resumed(now, number, out);
        }
        let wait = message.retry_ms.unwrap_or(REMOTE_STREAM_RETRY_MIN_MS);
        let wait = wait.min(REMOTE_STREAM_RETRY_MAX_MS);
        let at = now.after(self.random.between(wait, wait + wait / 4));
        message.place = Place::Resuming(at);
        self.alarms.insert((at, Alarm::Resume(number)));
    }

    fn not_resumed(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        let what = "the server's answer broke off and could not be taken up again; check that the \
                    server keeps running";
        self.failed(now, number, Trouble::cut(what), out);
    }

    pub(super) fn resume(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.get(number) else { return };
        let (endpoint, epoch) = (message.endpoint, message.epoch);
        let last_event = message.last_event.clone();
        if epoch != self.session.epoch || self.session.stage != Stage::Open {
            return self.not_resumed(now, number, out);
        }
        let request = self.get(endpoint, last_event.as_deref());
        let carries = Carries::Rest(number);
        let exchange = self.begin(now, carries, Reading::Head, endpoint, None, request, out);
        let tries = self.endpoints.sent(endpoint);
        if let Some(exchange) = self.exchanges.get_mut(&exchange) {
            exchange.counted = Some(Counted { tries });
        }
        if let Some(message) = self.messages.get_mut(number) {
            message.place = Place::InFlight(exchange);
        }
    }

    pub(super) fn rest_head(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        number: u64,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if head.is_success() && head.content == Content::Events {
            exchange.reading = Reading::events();
            let endpoint = exchange.endpoint;
            return self.endpoint_answered(now, id, endpoint);
        }
        self.abort(now, id, out);
        if (500..600).contains(&head.status) || head.status == 429 {
            self.resume_later(now, number, out);
        } else {
            self.not_resumed(now, number, out);
        }
    }
}
