//! Conversations with servers elsewhere: the peer as it ships, and below it exchanges with models.
//!
//! | file | what it does |
//! |---|---|
//! | `server` | what a model server is and knows |
//! | `serving` | what becomes of a request that reaches one |
//! | `reply` | what it answers, and what becomes of that |
//! | `tokens` | users' access, and where their tokens come from |
//! | `ending` | how a conversation ends, told to or not |
//! | `trouble` | faults of servers that last |
//! | `describe` | all of it as text and as a number |

mod describe;
mod ending;
mod reply;
pub mod server;
mod serving;
mod tokens;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::Machine;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::random::Random;
use satellite_core::relay::{Call, CallId, Report};
use satellite_core::remote::Fault::AuthorisationNeeded;
use satellite_core::remote::{Effect, Event, ExchangeId, Peer, RemoteSpec, Request};
use satellite_core::time::{SECOND, Timestamp};

use super::faults::Fault;
use super::{Due, Stage, describe as words, invariants};
use crate::trace::{Digest, Words};
use server::{ModelServer, Rpc};
pub(super) use serving::{header, parameter};
pub use tokens::Tokens;
pub(super) use tokens::read as read_token;

/// How long a conversation may take to say goodbye.
const GOODBYE_MS: u64 = 2 * SECOND;

/// Servers elsewhere, and what is known of all conversations with them.
#[derive(Debug)]
pub struct Remotes {
    /// The servers, by their slugs.
    pub servers: BTreeMap<String, ModelServer>,
    /// Where tokens come from.
    pub tokens: Tokens,
    /// Decides what servers do of their own accord. Nothing is drawn where there are none.
    pub(super) random: Random,
    /// Conversations that have begun.
    count: u64,
    /// How often one has begun or ended.
    changes: u64,
    /// Instances whose last conversation was refused access, by a server or by the source of tokens,
    /// with their satellites.
    pub(super) refused: BTreeSet<(usize, InstanceKey)>,
}

impl Remotes {
    /// None.
    pub fn new(random: Random) -> Remotes {
        let tokens = Tokens::default();
        Remotes {
            servers: BTreeMap::new(),
            tokens,
            random,
            count: 0,
            changes: 0,
            refused: BTreeSet::new(),
        }
    }

    /// Has a server exist somewhere, if there is one of that name.
    pub fn add(&mut self, slug: &str) {
        if let Some(kind) = server::kind(slug) {
            self.servers.entry(slug.to_string()).or_insert_with(|| ModelServer::new(kind));
        }
    }

    /// How the server of an instance speaks.
    pub(super) fn form_of(&self, key: &InstanceKey) -> Option<server::Form> {
        self.servers.get(tokens::slug(key)).map(|server| server.kind.form)
    }

    /// Whether an instance is one of a server elsewhere.
    pub(super) fn serves(&self, key: &InstanceKey) -> bool {
        self.servers.contains_key(tokens::slug(key))
    }

    /// How often conversations have begun or ended.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

/// How far a conversation is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It goes on.
    None,
    /// It was told to end.
    Told,
    /// It has heard that: what is under way is its goodbye.
    Heard,
}

/// A conversation with a server elsewhere.
pub struct Conversation {
    pub(super) key: InstanceKey,
    pub(super) incarnation: Incarnation,
    peer: Peer,
    /// For when, by the true clock, it is to be told the time.
    alarm: Option<Timestamp>,
    /// Exchanges under way, what each asks for, and whether its answer has begun.
    pub(super) running: BTreeMap<ExchangeId, (Rpc, bool)>,
    /// The token that is being fetched.
    fetch: Option<u64>,
    fetches: u64,
    pub(super) end: End,
    /// Whether it ended though nobody told it to.
    pub(super) is_broken: bool,
    /// Whether a server has told it its lists.
    pub(super) was_listed: bool,
}

/// What a conversation is told.
#[derive(Debug)]
pub(super) enum Told {
    /// An event as it is, of the daemon, a client or an exchange.
    Event(Event),
    /// The source of tokens has an answer.
    Token { fetch: u64, stale: Option<u64> },
    /// Its alarm rings.
    Alarm,
    /// It ends though nobody told it to.
    Breaks,
    /// Its goodbye has taken long enough.
    Over,
}

/// Whose request or answer something is.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) satellite: usize,
    pub(super) conversation: u64,
    pub(super) exchange: ExchangeId,
    pub(super) key: InstanceKey,
}

/// A request on its way to a server.
#[derive(Debug)]
pub(super) struct Knock {
    pub(super) origin: Origin,
    pub(super) request: Request,
}

impl Stage {
    /// Begins a conversation.
    pub(super) fn connect(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        remote: RemoteSpec,
    ) {
        let random = self.remotes.random.fork("conversation");
        self.remotes.count += 1;
        self.remotes.changes += 1;
        let number = self.remotes.count;
        let conversation = Conversation {
            key: key.clone(),
            incarnation,
            peer: Peer::new(remote, random),
            alarm: None,
            running: BTreeMap::new(),
            fetch: None,
            fetches: 0,
            end: End::None,
            is_broken: false,
            was_listed: false,
        };
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        subject.conversations.insert(number, conversation);
        self.remotes.refused.remove(&(satellite, key.clone()));
        self.tell_conversation(satellite, number, 0, Told::Event(Event::Opened));
        let within = if self.dice.chance(1, 2) { SECOND } else { 40 * SECOND };
        self.meddle(satellite, key, within);
        self.perhaps_break(satellite, number);
    }

    /// Tells a conversation something, if it goes on.
    pub(super) fn have_conversation(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        event: Event,
    ) {
        if let Some(number) = self.conversation_of(satellite, key, incarnation) {
            self.tell_conversation(satellite, number, 0, Told::Event(event));
        }
    }

    /// Has a conversation hear of something later, if it goes on by then.
    pub(super) fn tell_conversation(
        &mut self,
        satellite: usize,
        conversation: u64,
        after_ms: u64,
        what: Told,
    ) {
        let boot = self.boot_of(satellite);
        let due = Due::Remote { satellite, boot, conversation, what };
        self.queue.put(self.now.after(after_ms), due);
    }

    pub(super) fn conversation(
        &mut self,
        satellite: usize,
        number: u64,
    ) -> Option<&mut Conversation> {
        self.satellites.get_mut(satellite)?.conversations.get_mut(&number)
    }

    /// The conversation of one incarnation, unless it was told to end.
    pub(super) fn conversation_of(
        &self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) -> Option<u64> {
        let conversations = &self.satellites.get(satellite)?.conversations;
        let found = conversations
            .iter()
            .find(|(_, it)| it.incarnation == incarnation && it.key == *key && it.end == End::None);
        found.map(|(number, _)| *number)
    }

    /// Something happens to a conversation.
    pub(super) fn conversing(&mut self, satellite: usize, number: u64, what: Told) {
        let now = self.now;
        let Some(conversation) = self.conversation(satellite, number) else { return };
        if let Told::Over = what {
            self.leave_conversation(satellite, number);
            return;
        }
        if conversation.end == End::Heard {
            return;
        }
        let mut done = None;
        let event = match what {
            Told::Alarm => {
                // One that was set for another moment rings in vain.
                if conversation.alarm.is_none_or(|at| at > now) {
                    return;
                }
                conversation.alarm = None;
                Event::Tick
            }
            Told::Token { fetch, stale } => {
                if conversation.fetch != Some(fetch) {
                    return;
                }
                conversation.fetch = None;
                let key = conversation.key.clone();
                let token = self.token(satellite, &key, stale);
                let is_refused = matches!(&token, Err(it) if it.fault == AuthorisationNeeded);
                if is_refused {
                    self.access_refused(satellite, number, &key);
                }
                Event::Token(token)
            }
            Told::Breaks => {
                if !self.breaks(satellite, number) {
                    return;
                }
                Event::Close
            }
            Told::Event(event) => {
                if let Some(exchange) = exchange_of(&event)
                    && !conversation.running.contains_key(&exchange)
                {
                    // It was given up.
                    return;
                }
                match &event {
                    Event::Head { exchange, .. } => {
                        if let Some((_, is_heard)) = conversation.running.get_mut(exchange) {
                            *is_heard = true;
                        }
                    }
                    Event::Ended { exchange } | Event::Failed { exchange, .. } => {
                        conversation.running.remove(exchange);
                        done = Some(*exchange);
                    }
                    _ => {}
                }
                if let Event::Close = event {
                    conversation.end = End::Heard;
                    self.tell_conversation(satellite, number, GOODBYE_MS, Told::Over);
                }
                event
            }
            Told::Over => return,
        };
        if let Some(exchange) = done {
            self.hang_up(satellite, number, exchange);
        }
        let closes = matches!(event, Event::Close);
        self.converse(satellite, number, event);
        if closes {
            invariants::none_left(self, satellite, Through::Conversation(number));
        }
    }

    /// Gives a peer an event and performs what it asks for.
    fn converse(&mut self, satellite: usize, number: u64, event: Event) {
        let described = self.trace.keeps().then(|| describe::event(&event));
        let mut digest = Digest::default();
        describe::digest_event(number, &event, &mut digest);
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let shown = subject.clock.show(now);
        let Some(conversation) = subject.conversations.get_mut(&number) else { return };
        let mut effects = Vec::new();
        let verdict = conversation.peer.handle(shown, event, &mut effects);
        let (key, incarnation) = (conversation.key.clone(), conversation.incarnation);
        words::digest_verdict(verdict, &mut digest);
        for effect in &effects {
            describe::digest_effect(effect, &mut digest);
        }
        self.trace.step(now, digest, || Words {
            who: format!("{}/conversation {number} of {key}", subject.name),
            event: described.unwrap_or_default(),
            verdict: words::verdict(verdict),
            effects: effects.iter().map(describe::effect).collect(),
        });
        for effect in effects {
            match effect {
                Effect::Exchange { exchange, request } => {
                    let key = key.clone();
                    let conversation = number;
                    let origin = Origin { satellite, conversation, exchange, key };
                    self.exchange(Knock { origin, request });
                }
                Effect::Abort { exchange } => self.hang_up(satellite, number, exchange),
                Effect::FetchToken { stale } => self.fetch_token(satellite, number, stale),
                Effect::Answer { call, outcome } => invariants::answered(self, call, &outcome),
                Effect::NotifyCall { call, .. } => invariants::notified(self, call),
                Effect::NotifyAll { .. } => {}
                Effect::Report(report) => {
                    self.watch_report(satellite, number, &report);
                    self.report(satellite, &key, incarnation, 0, report);
                }
            }
        }
        self.arm_conversation(satellite, number);
    }

    /// What a conversation reports, as far as more than the daemon takes an interest in it.
    fn watch_report(&mut self, satellite: usize, number: u64, report: &Report) {
        if let Report::Listed(_) = report {
            invariants::listed(self, satellite, number);
        }
    }

    /// A peer sends a request.
    fn exchange(&mut self, knock: Knock) {
        let Knock { origin, request } = &knock;
        let rpc = Rpc::of(request);
        invariants::sent(self, origin, rpc);
        let (satellite, number) = (origin.satellite, origin.conversation);
        if let Some(conversation) = self.conversation(satellite, number) {
            conversation.running.insert(knock.origin.exchange, (rpc, false));
        }
        let way = self.remotes.random.between(1, 40);
        self.queue.put(self.now.after(way), Due::Knock(Box::new(knock)));
    }

    /// A peer gives an exchange up. The server notices if it still has it open.
    fn hang_up(&mut self, satellite: usize, number: u64, exchange: ExchangeId) {
        if let Some(conversation) = self.conversation(satellite, number) {
            conversation.running.remove(&exchange);
        }
        for server in self.remotes.servers.values_mut() {
            server.hung_up(number, exchange);
        }
    }

    fn fetch_token(&mut self, satellite: usize, number: u64, stale: Option<u64>) {
        let Some(conversation) = self.conversation(satellite, number) else { return };
        conversation.fetches += 1;
        let fetch = conversation.fetches;
        conversation.fetch = Some(fetch);
        let mut wait = self.remotes.random.between(0, 80);
        if self.strikes(satellite, Fault::TokenSlow) {
            wait = self.dice.between(SECOND, 60 * SECOND);
        }
        self.tell_conversation(satellite, number, wait, Told::Token { fetch, stale });
    }

    /// Sets a conversation's alarm. One that rings too early costs little, so it is only moved
    /// forward.
    fn arm_conversation(&mut self, satellite: usize, number: u64) {
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let clock = subject.clock;
        let Some(conversation) = subject.conversations.get_mut(&number) else { return };
        let Some(deadline) = conversation.peer.next_deadline() else { return };
        let at = clock.when(deadline.at).max(now);
        if conversation.alarm.is_none_or(|alarm| at < alarm) {
            conversation.alarm = Some(at);
            self.tell_conversation(satellite, number, at.since(now), Told::Alarm);
        }
    }

    /// Sets the alarms of a satellite's conversations anew, because its clock has changed.
    pub(super) fn arm_conversations(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let numbers: Vec<u64> = subject.conversations.keys().copied().collect();
        for conversation in subject.conversations.values_mut() {
            conversation.alarm = None;
        }
        for number in numbers {
            self.arm_conversation(satellite, number);
        }
    }

    /// Has a client call a tool of a server elsewhere.
    pub(super) fn call_elsewhere(&mut self, satellite: usize, number: u64, call: Call) {
        self.conversing(satellite, number, Told::Event(Event::Called(call)));
    }

    /// A client takes a call back, a while from now.
    pub(super) fn cancel_elsewhere(
        &mut self,
        satellite: usize,
        number: u64,
        after: u64,
        call: CallId,
    ) {
        let event = Event::Cancelled { call, reason: None };
        self.tell_conversation(satellite, number, after, Told::Event(event));
    }

    /// Conversations of a satellite that take calls: those whose instance says so, and now and then
    /// another, as a client may have asked a moment too early or too late.
    pub(super) fn callable(&mut self, satellite: usize) -> Vec<u64> {
        let Some(subject) = self.satellites.get(satellite) else { return Vec::new() };
        let Some(control) = &subject.control else { return Vec::new() };
        let view = control.view();
        let conversations = subject.conversations.iter().filter(|(_, it)| it.end == End::None);
        let found: Vec<(u64, bool)> = conversations
            .map(|(number, it)| {
                let instance = view.instances.get(&it.key);
                (*number, instance.is_some_and(|one| one.ready == Some(it.incarnation)))
            })
            .collect();
        let mut called = Vec::new();
        for (number, is_ready) in found {
            if is_ready || self.remotes.random.chance(1, 8) {
                called.push(number);
            }
        }
        called
    }
}

/// Whether a client says of a call that it may be repeated.
pub(super) fn may_repeat(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// What a call goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// A process, by its id.
    Process(u32),
    /// A conversation with a server elsewhere, by its number.
    Conversation(u64),
}

/// The exchange that an event is about.
fn exchange_of(event: &Event) -> Option<ExchangeId> {
    match event {
        Event::Head { exchange, .. }
        | Event::Chunk { exchange, .. }
        | Event::Ended { exchange }
        | Event::Failed { exchange, .. } => Some(*exchange),
        _ => None,
    }
}
