//! The peer: the relay above, the transport below, and what passes between them.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::access::Access;
use super::classify::Trouble;
use super::endpoints::Endpoints;
use super::exchange::Exchange;
use super::failure::{Failure, Fault};
use super::messages::{Messages, Place, What};
use super::session::{Session, Stage};
use super::spec::RemoteSpec;
use super::told::{Known, Told};
use super::{Effect, Event, ExchangeId};
use crate::random::Random;
use crate::relay::{self, Relay, RelaySettings, Report};
use crate::time::Timestamp;
use crate::{Deadline, Machine, Refusal, Verdict};

/// What is due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// A message is sent again.
    Retry(u64),
    /// The rest of an answer is asked for.
    Resume(u64),
    /// An exchange has taken too long, or its stream was read long enough.
    Exchange(ExchangeId),
    /// The server's own stream is asked for again.
    Listen(u64),
}

/// The conversation with one remote. Its documentation is that of [`crate::remote`].
#[derive(Debug)]
pub struct Peer {
    pub(super) spec: RemoteSpec,
    pub(super) relay: Relay,
    pub(super) random: Random,
    pub(super) endpoints: Endpoints,
    pub(super) session: Session,
    pub(super) access: Access,
    pub(super) messages: Messages,
    pub(super) exchanges: BTreeMap<ExchangeId, Exchange>,
    pub(super) next_exchange: u64,
    /// Messages that wait for a session, a token or their turn, in their order.
    pub(super) parked: VecDeque<u64>,
    pub(super) alarms: BTreeSet<(Timestamp, Alarm)>,
    pub(super) told: Told,
    /// Why the relay is about to be told of a failure, until it says what it makes of it.
    pub(super) cause: Option<Failure>,
    /// Whether the control machine waits for new lists.
    pub(super) is_reconnecting: bool,
    /// What the relay asks for, until it is carried out.
    pub(super) wants: Vec<relay::Effect>,
    pub(super) is_open: bool,
}

impl Peer {
    /// A peer that has sent nothing yet. Its sequence of decisions follows from `random`.
    pub fn new(spec: RemoteSpec, random: Random) -> Self {
        let settings = RelaySettings { handshake_timeout_ms: spec.handshake_timeout_ms };
        Peer {
            relay: Relay::new(settings),
            random,
            endpoints: Endpoints::new(&spec.endpoints),
            session: Session::new(spec.transport),
            access: Access::new(spec.requires_oauth),
            messages: Messages::default(),
            exchanges: BTreeMap::new(),
            next_exchange: 1,
            parked: VecDeque::new(),
            alarms: BTreeSet::new(),
            told: Told::default(),
            cause: None,
            is_reconnecting: false,
            wants: Vec::new(),
            is_open: false,
            spec,
        }
    }

    /// Calls of clients in flight.
    pub fn in_flight(&self) -> usize {
        self.relay.in_flight()
    }

    /// Exchanges under way.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    pub(super) fn tell(&mut self, now: Timestamp, event: relay::Event) -> Verdict {
        self.relay.handle(now, event, &mut self.wants)
    }

    /// Carries out what the relay asks for, and what it then asks for, to the end.
    pub(super) fn carry(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while !self.wants.is_empty() {
            for effect in core::mem::take(&mut self.wants) {
                match effect {
                    relay::Effect::Write(line) => self.write(now, line, out),
                    relay::Effect::Answer { call, outcome } => {
                        out.push(Effect::Answer { call, outcome });
                    }
                    relay::Effect::NotifyCall { call, message } => {
                        out.push(Effect::NotifyCall { call, message });
                    }
                    relay::Effect::NotifyAll { message } => out.push(Effect::NotifyAll { message }),
                    relay::Effect::Report(report) => self.report(now, report, out),
                }
            }
        }
    }

    /// What the control machine hears of the relay. A remote that fails is not of no use: it says
    /// why, and can be greeted again.
    fn report(&mut self, now: Timestamp, report: Report, out: &mut Vec<Effect>) {
        match report {
            Report::Initialized => {
                // A session that is begun anew without a failure changes nothing for anybody.
                if self.told.known != Known::Nothing && !self.is_reconnecting {
                    return;
                }
                self.told.known = Known::Greeting;
                out.push(Effect::Report(Report::Initialized));
            }
            Report::Listed(_) => {
                self.is_reconnecting = false;
                self.told.known = Known::Lists;
                out.push(Effect::Report(report));
            }
            Report::ListsStale { step, reason } => {
                let is_awaited = core::mem::take(&mut self.is_reconnecting);
                if self.told.known == Known::Greeting {
                    self.told.known = Known::Nothing;
                }
                if is_awaited || self.cause.is_some() {
                    let failure = self.handshake_failure(step, &reason);
                    self.told.failed(now, failure, is_awaited, out);
                }
                out.push(Effect::Report(Report::ListsStale { step, reason }));
            }
            Report::Unusable { step, reason } => {
                self.is_reconnecting = false;
                let failure = self.handshake_failure(step, &reason);
                if step == relay::HANDSHAKE {
                    self.session_failed(now, &failure, out);
                }
                self.told.failed(now, failure, true, out);
            }
            other => out.push(Effect::Report(other)),
        }
    }

    fn ticked(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for id in self.relay.due(now) {
            self.request_due(now, id, out);
        }
        self.carry(now, out);
        self.tell(now, relay::Event::Tick);
        self.carry(now, out);
        self.forget_ended(now, out);
        if let Some(failure) = self.cause.take() {
            self.told.failed(now, failure, false, out);
        }
        while let Some((at, alarm)) = self.alarms.first().copied() {
            if at > now {
                break;
            }
            self.alarms.pop_first();
            self.rang(now, at, alarm, out);
            self.carry(now, out);
        }
    }

    /// A request has waited long enough. The relay ends it; here it is said what that shows.
    fn request_due(&mut self, now: Timestamp, id: u64, out: &mut Vec<Effect>) {
        let Some(number) = self.messages.of_request(id) else { return };
        let Some(message) = self.messages.get(number) else { return };
        let is_unsent = matches!(message.place, Place::Parked | Place::Waiting(_));
        if is_unsent && !message.may_have_run {
            let failure = message.last_failure.clone().unwrap_or_else(|| {
                let what = "the server could not be asked in time; check that it answers";
                Failure::new(Fault::Unreachable, what)
            });
            return self.give_up(now, number, Trouble::unsent(failure, false), out);
        }
        if self.relay.waiting(id).is_some_and(|waiting| !waiting.is_call) {
            let method = match message.what {
                What::Initialize(_) => "initialize",
                _ => "a request",
            };
            let what = format!("no answer to {method} in time; check that the server answers");
            self.cause = Some(Failure::new(Fault::Unreachable, what));
        }
    }

    fn rang(&mut self, now: Timestamp, at: Timestamp, alarm: Alarm, out: &mut Vec<Effect>) {
        match alarm {
            Alarm::Retry(number) => {
                let Some(message) = self.messages.get_mut(number) else { return };
                if message.place == Place::Waiting(at) {
                    message.place = Place::Parked;
                    self.dispatch(now, number, out);
                }
            }
            Alarm::Resume(number) => {
                let place = self.messages.get(number).map(|message| message.place);
                if place == Some(Place::Resuming(at)) {
                    self.resume(now, number, out);
                }
            }
            Alarm::Exchange(exchange) => self.exchange_due(now, at, exchange, out),
            Alarm::Listen(epoch) => {
                if epoch == self.session.epoch && self.session.listen_at == Some(at) {
                    self.listen(now, out);
                }
            }
        }
    }

    fn close(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        if !self.is_open {
            return Verdict::Ignored("closed already");
        }
        self.is_open = false;
        let reason = String::from("the connection to the server was ended on purpose");
        let unsent: Vec<(u64, u64)> = self.messages.requests().collect();
        for (id, number) in unsent {
            let Some(message) = self.messages.get(number) else { continue };
            let is_unsent = matches!(message.place, Place::Parked | Place::Waiting(_));
            if is_unsent && !message.may_have_run {
                self.relay.unsent(id, &reason, &mut self.wants);
            }
        }
        let verdict = self.tell(now, relay::Event::Closed { reason });
        self.carry(now, out);
        let under_way: Vec<ExchangeId> = self.exchanges.keys().copied().collect();
        for exchange in under_way {
            self.abort(now, exchange, out);
        }
        self.alarms.clear();
        // After everything of the session has been given up.
        self.say_goodbye(now, out);
        self.session.reset();
        self.messages = Messages::default();
        self.parked.clear();
        verdict
    }
}

impl Machine for Peer {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let verdict = match event {
            Event::Opened if self.is_open => Verdict::Refused(Refusal::IllegalTransition),
            Event::Opened => {
                let verdict = self.tell(now, relay::Event::Opened);
                self.is_open = verdict == Verdict::Moved;
                self.session.stage = Stage::Greeting;
                verdict
            }
            Event::Called(call) => self.tell(now, relay::Event::Called(call)),
            Event::Cancelled { call, reason } => {
                self.tell(now, relay::Event::Cancelled { call, reason })
            }
            Event::Relist => self.tell(now, relay::Event::Relist),
            Event::Probed => self.tell(now, relay::Event::Probed),
            Event::Reconnect => self.reconnect(now, out),
            Event::Head { exchange, head } => self.head(now, exchange, &head, out),
            Event::Chunk { exchange, bytes } => self.chunk(now, exchange, &bytes, out),
            Event::Ended { exchange } => self.ended(now, exchange, out),
            Event::Failed { exchange, failure } => {
                self.exchange_failed(now, exchange, &failure, out)
            }
            Event::TokenDropped => self.access.dropped(),
            Event::Token(token) => self.token_fetched(now, token, out),
            Event::Close => self.close(now, out),
            Event::Tick => {
                self.ticked(now, out);
                Verdict::Handled
            }
        };
        self.carry(now, out);
        self.use_room(now, out);
        self.carry(now, out);
        verdict
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let alarm = self.alarms.first().map(|(at, _)| Deadline::new(*at, "exchange due"));
        Deadline::earlier(self.relay.next_deadline(), alarm)
    }
}
