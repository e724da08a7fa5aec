//! What comes back: heads, bodies, and how exchanges end.

use alloc::vec::Vec;

use serde::Deserialize;

use super::classify::{Trouble, of_content, of_failure, of_status};
use super::exchange::{Carries, Reading};
use super::failure::Fault;
use super::head::{Content, Head};
use super::messages::{Place, What};
use super::peer::Peer;
use super::session::Form;
use super::{Effect, ExchangeId};
use crate::http::HttpFailure;
use crate::json::{Answer, Message, Parsed, parse};
use crate::limits::{MESSAGE_MAX_BYTES, REMOTE_REFUSAL_MAX_BYTES};
use crate::sse;
use crate::time::Timestamp;
use crate::{Refusal, Verdict};

const LATE: Verdict = Verdict::Ignored("late");

impl Peer {
    pub(super) fn head(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        head: &Head,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return LATE };
        if !matches!(exchange.reading, Reading::Head) {
            return Verdict::Refused(Refusal::IllegalTransition);
        }
        let endpoint = exchange.endpoint;
        let round_trip_ms = now.since(exchange.began);
        let carries = exchange.carries;
        // What the head announces decides what is read further.
        exchange.reading = Reading::Nothing;
        match carries {
            Carries::Nothing => {}
            Carries::Listening => self.listening_head(now, id, head, out),
            Carries::Stream => self.stream_head(now, id, head, out),
            Carries::Rest(number) => self.rest_head(now, id, number, head, out),
            Carries::Message(number) => {
                if let Some(message) = self.messages.get_mut(number) {
                    message.round_trip_ms = Some(round_trip_ms);
                }
                if head.is_success() {
                    self.endpoint_answered(now, id, endpoint);
                    self.accepted(now, id, number, head, out);
                } else {
                    self.refused(now, id, number, endpoint, head, out);
                }
            }
        }
        Verdict::Handled
    }

    pub(super) fn endpoint_answered(&mut self, now: Timestamp, id: ExchangeId, endpoint: usize) {
        let counted = self.exchanges.get(&id).and_then(|exchange| exchange.counted);
        let tries = counted.is_some_and(|counted| counted.tries);
        self.endpoints.succeeded(endpoint, now, id, tries);
        self.no_longer_tries(id);
    }

    /// The endpoint is judged already: how the exchange ends says nothing more about it.
    fn no_longer_tries(&mut self, id: ExchangeId) {
        let exchange = self.exchanges.get_mut(&id);
        if let Some(counted) = exchange.and_then(|exchange| exchange.counted.as_mut()) {
            counted.tries = false;
        }
    }

    fn blame_endpoint(&mut self, now: Timestamp, id: ExchangeId, asked_ms: Option<u64>) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let (endpoint, counted) = (exchange.endpoint, exchange.counted);
        let tried = counted.is_some_and(|counted| counted.tries);
        let next = ExchangeId(self.next_exchange);
        self.endpoints.failed(endpoint, now, next, (tried, asked_ms), &mut self.random);
        self.no_longer_tries(id);
    }

    /// The server took a message.
    fn accepted(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        number: u64,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        let Some(message) = self.messages.get_mut(number) else { return self.detach(now, id) };
        let what = message.what;
        if what.request().is_none() {
            self.messages.remove(number);
            self.detach(now, id);
            if what == What::Initialized {
                self.session_opened(now, out);
            }
            return;
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if matches!(what, What::Request(_)) && exchange.epoch == self.session.epoch {
            self.session.is_proven = true;
        }
        if self.session.form == Form::Legacy {
            let epoch = exchange.epoch;
            message.place = Place::Delivered(epoch);
            self.detach(now, id);
            if epoch != self.session.epoch || self.session.stream.is_none() {
                self.lose_delivered(now, epoch, "the server's stream ended", out);
            }
            return;
        }
        if matches!(what, What::Initialize(_)) {
            self.session.id = head.session.clone();
            self.session.endpoint = exchange.endpoint;
        }
        match head.content {
            Content::Json => exchange.reading = Reading::Json(Vec::new()),
            Content::Events => exchange.reading = Reading::events(),
            Content::Other | Content::Unnamed => {
                self.abort(now, id, out);
                self.failed(now, number, of_content(head), out);
            }
        }
    }

    /// The server did not take a message, or failed at it.
    fn refused(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        number: u64,
        endpoint: usize,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        let trouble = of_status(head, now);
        if trouble.blames_endpoint || trouble.failure.retry_after_ms.is_some() {
            self.blame_endpoint(now, id, trouble.failure.retry_after_ms);
            if let Some(message) = self.messages.get_mut(number) {
                message.avoid = Some(endpoint);
            }
        } else {
            self.endpoint_answered(now, id, endpoint);
        }
        let exchange = self.exchanges.get(&id).filter(|exchange| exchange.has_session);
        let session = exchange.map(|exchange| exchange.epoch);
        match head.status {
            404 if session.is_some() => {
                self.abort(now, id, out);
                return self.session_unknown(now, session, number, out);
            }
            401 | 403 => return self.unauthorised(now, id, number, head, out),
            // Whatever else it says, a time-out or a conflict may have come after the deed.
            400..500 if head.is_challenge && !trouble.may_have_run => {
                return self.unauthorised(now, id, number, head, out);
            }
            _ => {}
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let is_request =
            self.messages.get(number).is_some_and(|message| message.what.request().is_some());
        if is_request && head.content == Content::Json {
            let session = session.filter(|_| head.status == 400);
            exchange.reading = Reading::Refusal { body: Vec::new(), trouble, session };
            return;
        }
        self.abort(now, id, out);
        self.unaccepted(now, number, trouble, out);
    }

    /// A message came to nothing, by the status of its answer.
    fn unaccepted(&mut self, now: Timestamp, number: u64, trouble: Trouble, out: &mut Vec<Effect>) {
        let what = self.messages.get(number).map(|message| message.what);
        let may_be_legacy = trouble.failure.fault == Fault::Broken && !trouble.may_have_run;
        if matches!(what, Some(What::Initialize(_))) && may_be_legacy && self.try_legacy(&trouble) {
            return self.dispatch(now, number, out);
        }
        self.failed(now, number, trouble, out);
    }

    pub(super) fn chunk(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        bytes: &[u8],
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return LATE };
        let carries = exchange.carries;
        match &mut exchange.reading {
            Reading::Head => return Verdict::Refused(Refusal::IllegalTransition),
            Reading::Nothing => return Verdict::Ignored("of no interest"),
            Reading::Refusal { body, .. } => {
                let room = REMOTE_REFUSAL_MAX_BYTES.saturating_sub(body.len());
                body.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
            }
            Reading::Json(body) => {
                if body.len() + bytes.len() > MESSAGE_MAX_BYTES {
                    self.too_large(now, id, carries, out);
                    return Verdict::Refused(Refusal::LimitReached);
                }
                body.extend_from_slice(bytes);
            }
            Reading::Events(events) => {
                let Ok(complete) = events.take_whole(bytes) else {
                    self.too_large(now, id, carries, out);
                    return Verdict::Refused(Refusal::LimitReached);
                };
                for event in complete {
                    self.event(now, id, event, out);
                }
            }
        }
        Verdict::Handled
    }

    /// One event of a stream. What the exchange is for may change from one to the next.
    fn event(&mut self, now: Timestamp, id: ExchangeId, event: sse::Event, out: &mut Vec<Effect>) {
        let Some(exchange) = self.exchanges.get(&id) else { return };
        let carries = exchange.carries;
        if carries == Carries::Stream && event.name.as_deref() == Some("endpoint") {
            return self.endpoint_named(now, &event.data, out);
        }
        match carries {
            Carries::Message(number) | Carries::Rest(number) => {
                if let Some(message) = self.messages.get_mut(number) {
                    message.resumptions = 0;
                    message.last_event = event.id.or(message.last_event.take());
                    message.retry_ms = event.retry_ms.or(message.retry_ms);
                }
            }
            Carries::Listening => {
                self.session.last_event = event.id.or(self.session.last_event.take());
                self.session.retry_ms = event.retry_ms.or(self.session.retry_ms);
                self.session.stream_failures = 0;
            }
            Carries::Stream | Carries::Nothing => {}
        }
        if !event.data.is_empty() {
            self.hear(now, carries, &event.data, out);
        }
    }

    /// One whole message of the server.
    fn hear(&mut self, now: Timestamp, carries: Carries, message: &[u8], out: &mut Vec<Effect>) {
        let on = match carries {
            Carries::Message(number) | Carries::Rest(number) => {
                self.messages.get(number).and_then(|message| message.what.request())
            }
            Carries::Listening | Carries::Stream | Carries::Nothing => None,
        };
        let (ended, unread) = (self.relay.ended(), self.relay.unread());
        let on = on.filter(|id| self.relay.waiting(*id).is_some());
        self.relay.received(now, message, on, &mut self.wants);
        if self.relay.ended() == ended {
            return;
        }
        let is_read = self.relay.unread() == unread;
        let is_over = |(id, _): &(u64, u64)| self.relay.waiting(*id).is_none();
        // Nearly always it is the answer to the request on whose stream it came, and to no other.
        if let Some(id) = on.filter(|id| is_over(&(*id, 0)))
            && self.relay.ended() == ended + 1
            && let Some(number) = self.messages.of_request(id)
        {
            return self.answered(now, number, is_read, out);
        }
        let answered: Vec<(u64, u64)> = self.messages.requests().filter(is_over).collect();
        for (_, number) in answered {
            self.answered(now, number, is_read, out);
        }
    }

    fn answered(&mut self, now: Timestamp, number: u64, is_read: bool, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.remove(number) else { return };
        if let Place::InFlight(exchange) = message.place {
            self.detach(now, exchange);
        }
        if is_read {
            let took = message.round_trip_ms.or(message.sent.map(|(at, _)| now.since(at)));
            let exchange = message.sent.map(|(_, exchange)| exchange);
            let discovers = matches!(message.what, What::Initialize(_));
            self.told.reached(now, exchange, took.unwrap_or(0), discovers, out);
        } else {
            let what = "the server's answer cannot be read; look into the server's own log";
            self.told.failed(now, Trouble::broken(what).failure, false, out);
        }
    }

    fn too_large(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        carries: Carries,
        out: &mut Vec<Effect>,
    ) {
        self.abort(now, id, out);
        match carries {
            Carries::Message(number) | Carries::Rest(number) => {
                let limit = MESSAGE_MAX_BYTES;
                let trouble = of_failure(&HttpFailure::TooLarge { limit }, true);
                self.failed(now, number, trouble, out);
            }
            Carries::Listening => self.listening_failed(now),
            Carries::Stream => {
                let what = "the server sent an event that is too large";
                self.stream_lost(now, Trouble::broken(what), out);
            }
            Carries::Nothing => {}
        }
    }

    pub(super) fn ended(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return LATE };
        if matches!(exchange.reading, Reading::Head) {
            return Verdict::Refused(Refusal::IllegalTransition);
        }
        let (carries, epoch) = (exchange.carries, exchange.epoch);
        let reading = core::mem::replace(&mut exchange.reading, Reading::Nothing);
        self.leave(now, id);
        match carries {
            Carries::Nothing => {}
            Carries::Listening => self.listening_failed(now),
            Carries::Stream => {
                if epoch == self.session.epoch {
                    self.stream_lost(now, Trouble::cut("the server ended its stream"), out);
                }
            }
            Carries::Message(number) | Carries::Rest(number) => {
                self.body_ended(now, carries, number, reading, out);
            }
        }
        Verdict::Handled
    }

    fn body_ended(
        &mut self,
        now: Timestamp,
        carries: Carries,
        number: u64,
        reading: Reading,
        out: &mut Vec<Effect>,
    ) {
        match reading {
            Reading::Json(body) => {
                self.hear(now, carries, &body, out);
                let what =
                    "the server's answer holds none to the request; look into the server's own log";
                self.failed(now, number, Trouble::broken(what), out);
            }
            Reading::Refusal { body, trouble, session } => {
                if session.is_some_and(|session| self.may_be_unknown(session, number, &body)) {
                    return self.session_unknown(now, session, number, out);
                }
                let request = self.messages.get(number).and_then(|it| it.what.request());
                if request.is_some_and(|request| answers(&body, request)) {
                    self.hear(now, carries, &body, out);
                }
                self.unaccepted(now, number, trouble, out);
            }
            Reading::Events(_) => {
                self.stream_broke(now, number, "the server ended its answer", out)
            }
            Reading::Head | Reading::Nothing => {}
        }
    }

    /// Whether a message was refused for the sake of its session, which the server knew before.
    fn may_be_unknown(&self, session: u64, number: u64, body: &[u8]) -> bool {
        let was_known = session != self.session.epoch || self.session.is_proven;
        let message = self.messages.get(number);
        was_known && message.is_some_and(|it| !it.has_new_session) && is_of_transport(body)
    }

    /// The stream of an answer is over before the answer came.
    fn stream_broke(&mut self, now: Timestamp, number: u64, what: &str, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.get(number) else { return };
        if message.last_event.is_some() {
            return self.resume_later(now, number, out);
        }
        let what = alloc::format!(
            "{what} too early; check that the server, and what stands before it, keeps running"
        );
        self.failed(now, number, Trouble::cut(what), out);
    }

    pub(super) fn exchange_failed(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        failure: &HttpFailure,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(exchange) = self.exchanges.get(&id) else { return LATE };
        let (carries, epoch, endpoint) = (exchange.carries, exchange.epoch, exchange.endpoint);
        let has_head = !matches!(exchange.reading, Reading::Head);
        let is_stream = matches!(exchange.reading, Reading::Events(_));
        let trouble = of_failure(failure, has_head);
        if trouble.blames_endpoint && !matches!(carries, Carries::Nothing | Carries::Listening) {
            self.blame_endpoint(now, id, None);
        }
        self.leave(now, id);
        match carries {
            Carries::Nothing => {}
            Carries::Listening => self.listening_failed(now),
            Carries::Stream => {
                if epoch == self.session.epoch {
                    self.stream_lost(now, trouble, out);
                }
            }
            Carries::Message(number) | Carries::Rest(number) => {
                let is_resumable = matches!(carries, Carries::Rest(_)) || is_stream;
                let Some(message) = self.messages.get_mut(number) else { return LATE };
                message.avoid = trouble.blames_endpoint.then_some(endpoint);
                if is_resumable && trouble.passes && message.last_event.is_some() {
                    self.resume_later(now, number, out);
                } else {
                    self.failed(now, number, trouble, out);
                }
            }
        }
        Verdict::Handled
    }
}

/// The code with which servers made after the protocol's own example answer a session that they do
/// not know, under status 400.
const CODE_NO_SESSION: i64 = -32_000;

/// Whether `body` says that a message did not get past the transport.
fn is_of_transport(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    match parse(body) {
        Ok(Parsed::Single(Message::Response { answer: Answer::Error(error), .. })) => {
            serde_json::from_str(error.get()).is_ok_and(|Code { code }| code == CODE_NO_SESSION)
        }
        _ => false,
    }
}

/// Whether `body` is the answer to `request`: a refusal may be one.
fn answers(body: &[u8], request: u64) -> bool {
    match parse(body) {
        Ok(Parsed::Single(Message::Response { id: Some(id), .. })) => id.number() == Some(request),
        _ => false,
    }
}
