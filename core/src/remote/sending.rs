//! Messages on their way out.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::classify::Trouble;
use super::endpoints::Sender;
use super::exchange::{Carries, Counted, Exchange, Reading};
use super::failure::{Failure, Fault};
use super::messages::{Place, What};
use super::peer::{Alarm, Peer};
use super::request::{Context, Method};
use super::session::{Form, Stage};
use super::{Effect, ExchangeId, Request};
use crate::limits::{REMOTE_ACCEPT_TIMEOUT_MS, REMOTE_EXCHANGES_MAX};
use crate::time::Timestamp;

impl Peer {
    /// Takes over a line of the relay.
    pub(super) fn write(&mut self, now: Timestamp, mut line: Vec<u8>, out: &mut Vec<Effect>) {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let what = What::of(&line);
        match what {
            What::Cancelled(id) => return self.cancel(now, id, line, out),
            What::Initialize(_) => {}
            What::Initialized => {
                self.session.stage = Stage::Announcing;
            }
            What::Request(_) | What::Other => {}
        }
        let number = self.messages.insert(what, line);
        self.dispatch(now, number, out);
    }

    /// The relay gave a request up: the server is told, by a message of its own. That the exchange
    /// ends tells it nothing.
    fn cancel(&mut self, now: Timestamp, id: u64, line: Vec<u8>, out: &mut Vec<Effect>) {
        let Some(number) = self.messages.of_request(id) else { return };
        let Some(message) = self.messages.get(number) else { return };
        let is_there = match message.place {
            Place::InFlight(_) | Place::Delivered(_) | Place::Resuming(_) => true,
            Place::Parked | Place::Waiting(_) => message.may_have_run,
        };
        if is_there && self.session.stage == Stage::Open {
            let notice = self.messages.insert(What::Cancelled(id), line);
            self.dispatch(now, notice, out);
        }
        self.forget(now, number, out);
    }

    /// Sends a message if it can be sent, else sees to it that it can be.
    pub(super) fn dispatch(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.get(number) else { return };
        let (what, avoid) = (message.what, message.avoid);
        if self.access.must_wait(now, out) {
            return self.park(number);
        }
        match (what, self.session.stage) {
            (What::Initialize(_), _) if self.session.form == Form::Legacy => {
                if self.session.post_url.is_none() {
                    return self.open_stream(now, number, out);
                }
            }
            (What::Initialize(_) | What::Initialized, _) | (_, Stage::Open) => {}
            (What::Request(_), Stage::Absent) => {
                self.park(number);
                return self.greet(now, out);
            }
            (What::Request(_), _) => return self.park(number),
            // An answer may be what the server waits for before it answers the handshake.
            (What::Other, Stage::Greeting | Stage::Announcing) => {}
            (What::Cancelled(_) | What::Other, _) => return self.forget(now, number, out),
        }
        let waiting = what.request().and_then(|id| self.relay.waiting(id));
        let is_own = waiting.is_none_or(|waiting| !waiting.is_call);
        let is_ordinary = matches!(what, What::Request(_));
        if is_ordinary && self.exchanges.len() >= REMOTE_EXCHANGES_MAX {
            return self.park(number);
        }
        let sender =
            Sender { is_own, may_try: waiting.is_some_and(|waiting| waiting.is_repeatable), avoid };
        match self.endpoint(now, what, sender) {
            Some(endpoint) => self.post(now, number, endpoint, out),
            None => self.no_endpoint(now, number, is_own, out),
        }
    }

    /// The endpoint that a message goes to.
    fn endpoint(&mut self, now: Timestamp, what: What, sender: Sender) -> Option<usize> {
        let bound = self.session.endpoint;
        if matches!(what, What::Initialize(_)) && self.session.form == Form::Streamable {
            // Not where the last one was lost.
            let lost = self.endpoints.is_resting(bound).then_some(bound);
            let sender = Sender { avoid: sender.avoid.or(lost), ..sender };
            return self.endpoints.choose(now, sender, &mut self.random);
        }
        if !self.session.is_bound() {
            return self.endpoints.choose(now, sender, &mut self.random);
        }
        self.endpoints.admits(bound, now, sender.is_own).then_some(bound)
    }

    /// Every endpoint the message could go to is left alone for the moment.
    pub(super) fn no_endpoint(
        &mut self,
        now: Timestamp,
        number: u64,
        is_own: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(message) = self.messages.get(number) else { return };
        let is_request = message.what.request().is_some();
        let has_waited = message.failures > 0;
        let is_lost = self.session.stage == Stage::Open
            && self.session.is_bound()
            && self.endpoints.is_to_be_left(self.session.endpoint);
        if is_request && is_lost {
            // The session is lost with its endpoint; another one has another.
            self.end_session(now, out);
            return self.dispatch(now, number, out);
        }
        // Where another may be back, that is found out first.
        let is_asked = !is_own && self.ask_whether_it_is_there(now, out);
        // A client that has waited already may as well wait for the end of the rest.
        let may_wait = is_own || has_waited || (is_asked && self.endpoints.is_one_tried());
        let (failures, until) = self.endpoints.troubles();
        let mut failure = Failure::new(
            Fault::Unreachable,
            alloc::format!(
                "not asked: it failed {failures} times in a row and is left alone for a moment; \
                 check that the server runs"
            ),
        );
        failure.retry_after_ms = until.map(|until| until.since(now));
        self.failed(now, number, Trouble::unsent(failure, may_wait), out);
    }

    pub(super) fn park(&mut self, number: u64) {
        if let Some(message) = self.messages.get_mut(number) {
            message.place = Place::Parked;
            self.parked.push_back(number);
        }
    }

    /// Whatever kept messages waiting may be over.
    pub(super) fn unpark(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for _ in 0..self.parked.len() {
            let Some(number) = self.parked.pop_front() else { break };
            self.dispatch(now, number, out);
        }
    }

    /// Exchanges ended: those that waited for their turn have it.
    pub(super) fn use_room(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.session.stage != Stage::Open || self.parked.is_empty() {
            return;
        }
        if self.access.must_wait(now, out) {
            return;
        }
        for _ in 0..self.parked.len() {
            if self.exchanges.len() >= REMOTE_EXCHANGES_MAX {
                break;
            }
            let Some(number) = self.parked.pop_front() else { break };
            self.dispatch(now, number, out);
        }
    }

    fn post(&mut self, now: Timestamp, number: u64, endpoint: usize, out: &mut Vec<Effect>) {
        let Some(message) = self.messages.get(number) else { return };
        let (what, body) = (message.what, Arc::clone(&message.body));
        let url = match &self.session.post_url {
            Some(url) if self.session.form == Form::Legacy => String::from(url.expose()),
            _ => String::from(self.endpoints.url(endpoint)),
        };
        let mut context = self.context(None);
        if matches!(what, What::Initialize(_)) {
            context.session = None;
            context.revision = None;
        }
        let request = Request::new(&self.spec, Method::Post, &url, context, Some(body));
        let is_request = what.request().is_some();
        let ends = (!is_request).then(|| now.after(REMOTE_ACCEPT_TIMEOUT_MS));
        let carries = Carries::Message(number);
        let exchange = self.begin(now, carries, Reading::Head, endpoint, ends, request, out);
        if is_request {
            let tries = self.endpoints.sent(endpoint);
            if let Some(exchange) = self.exchanges.get_mut(&exchange) {
                exchange.counted = Some(Counted { tries });
            }
        }
        if let Some(message) = self.messages.get_mut(number) {
            message.place = Place::InFlight(exchange);
            message.sent = Some((now, exchange));
            message.endpoint = endpoint;
            message.epoch = self.session.epoch;
        }
    }

    /// What of the conversation shows in a request.
    pub(super) fn context<'a>(&'a self, last_event: Option<&'a str>) -> Context<'a> {
        Context {
            token: self.access.token(),
            session: self.session.id.as_ref(),
            revision: self.relay.revision(),
            last_event,
        }
    }

    /// Begins an exchange.
    #[expect(clippy::too_many_arguments, reason = "each is one property of the exchange")]
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        carries: Carries,
        reading: Reading,
        endpoint: usize,
        ends: Option<Timestamp>,
        request: Request,
        out: &mut Vec<Effect>,
    ) -> ExchangeId {
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        self.told.began(id);
        let has_session = request.headers.iter().any(|(name, _)| name == "mcp-session-id");
        let exchange = Exchange {
            carries,
            reading,
            counted: None,
            endpoint,
            epoch: self.session.epoch,
            has_session,
            token: self.access.token().map(|token| token.id),
            began: now,
            ends,
        };
        self.exchanges.insert(id, exchange);
        if let Some(at) = ends {
            self.alarms.insert((at, Alarm::Exchange(id)));
        }
        out.push(Effect::Exchange { exchange: id, request });
        id
    }
}
