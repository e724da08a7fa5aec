//! The session with a remote: begun by the relay's handshake, kept per instance, begun again where
//! the server forgets it.

use alloc::string::String;
use alloc::vec::Vec;

use super::classify::Trouble;
use super::exchange::{Carries, Reading};
use super::failure::{Failure, Fault};
use super::messages::{Place, What};
use super::peer::Peer;
use super::request::Method;
use super::told::Known;
use super::{Effect, ExchangeId, Request};
use crate::Verdict;
use crate::limits::REMOTE_ACCEPT_TIMEOUT_MS;
use crate::relay::{self, Report};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::view::Transport;

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE of 2024-11-05: all answers come on one stream, which is the session.
    Legacy,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none; the next message begins one.
    Absent,
    /// `initialize` is under way.
    Greeting,
    /// The server is told that the handshake is over.
    Announcing,
    /// Messages are carried.
    Open,
}

/// What is known of the session.
#[derive(Debug)]
pub(super) struct Session {
    /// Counts the sessions: what belongs to an earlier one comes late.
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    pub(super) form: Form,
    /// Why the first form was given up, while the second is tried.
    pub(super) first_refusal: Option<Trouble>,
    /// `Mcp-Session-Id`; a server that gives none keeps nothing between messages.
    pub(super) id: Option<Secret>,
    /// Where it lives, if it lives anywhere.
    pub(super) endpoint: usize,
    /// Whether the server took a request in it: one that is unknown from the start is not begun
    /// again and again.
    pub(super) is_proven: bool,
    /// Whether the server's own stream could be had in it.
    pub(super) has_listened: bool,
    /// Legacy: where messages are posted.
    pub(super) post_url: Option<Secret>,
    /// The open stream on which the server speaks of its own accord.
    pub(super) stream: Option<ExchangeId>,
    /// The last event of that stream that has an id.
    pub(super) last_event: Option<String>,
    /// How long the server asks to wait before the stream is asked for again.
    pub(super) retry_ms: Option<u64>,
    /// Times in a row that it was asked for in vain.
    pub(super) stream_failures: u32,
    /// When it is asked for next.
    pub(super) listen_at: Option<Timestamp>,
}

impl Session {
    pub(super) fn new(transport: Transport) -> Self {
        let is_legacy = transport == Transport::Sse;
        Session {
            epoch: 0,
            stage: Stage::Absent,
            form: if is_legacy { Form::Legacy } else { Form::Streamable },
            first_refusal: None,
            id: None,
            endpoint: 0,
            is_proven: false,
            has_listened: false,
            post_url: None,
            stream: None,
            last_event: None,
            retry_ms: None,
            stream_failures: 0,
            listen_at: None,
        }
    }

    /// Whether its messages must all go to one endpoint.
    pub(super) fn is_bound(&self) -> bool {
        self.form == Form::Legacy || self.id.is_some() || self.stage != Stage::Open
    }

    /// Forgets it. The form stays.
    pub(super) fn reset(&mut self) {
        self.epoch += 1;
        self.stage = Stage::Absent;
        self.id = None;
        self.is_proven = false;
        self.has_listened = false;
        self.post_url = None;
        self.stream = None;
        self.last_event = None;
        self.retry_ms = None;
        self.stream_failures = 0;
        self.listen_at = None;
    }
}

impl Peer {
    /// Begins a session, unless one is being begun.
    pub(super) fn greet(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.session.stage == Stage::Absent {
            self.session.stage = Stage::Greeting;
            self.relay.greet_again(now, &mut self.wants);
            self.forget_ended(now, out);
        }
    }

    /// The control machine wants to begin anew.
    pub(super) fn reconnect(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        if !self.is_open {
            return Verdict::Refused(crate::Refusal::IllegalTransition);
        }
        let is_under_way = self.relay.is_discovering();
        if self.is_reconnecting && is_under_way {
            return Verdict::Ignored("under way already");
        }
        self.is_reconnecting = true;
        // What the control machine asks for may have begun before it asked.
        let is_greeting = matches!(self.session.stage, Stage::Greeting | Stage::Announcing);
        if (is_greeting || self.told.known == Known::Greeting) && is_under_way {
            return Verdict::Handled;
        }
        self.forget_handshake(now, out);
        let is_used =
            |place| matches!(place, Place::InFlight(_) | Place::Resuming(_) | Place::Delivered(_));
        let is_in_use = self.messages.iter().any(|(_, message)| is_used(message.place));
        if is_in_use && self.session.form == Form::Legacy && self.session.stage == Stage::Open {
            // Its stream carries the answers to calls: it stays, and its lists prove it good.
            self.told.known = Known::Greeting;
            out.push(Effect::Report(Report::Initialized));
            return self.tell(now, relay::Event::Relist);
        }
        if !is_in_use {
            self.say_goodbye(now, out);
        }
        self.end_session(now, out);
        // Its user may have become another at the server.
        self.access.forget();
        self.greet(now, out);
        Verdict::Handled
    }

    /// The session is over, whoever ended it. Exchanges of its messages go on to their end.
    pub(super) fn end_session(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let epoch = self.session.epoch;
        if let Some(stream) = self.session.stream {
            self.abort(now, stream, out);
        }
        self.session.reset();
        self.lose_delivered(now, epoch, "the session was ended", out);
    }

    /// The handshake failed: what waited for it fails with it.
    pub(super) fn session_failed(
        &mut self,
        now: Timestamp,
        failure: &Failure,
        out: &mut Vec<Effect>,
    ) {
        self.forget_handshake(now, out);
        self.end_session(now, out);
        // Whatever it spoke before, it may speak another form when it is back.
        if self.spec.transport == Transport::Http {
            self.session.form = Form::Streamable;
        }
        self.session.first_refusal = None;
        self.fail_parked(now, failure, out);
    }

    /// Nothing of a handshake that is over is sent any more.
    fn forget_handshake(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let handshake: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, it)| matches!(it.what, What::Initialize(_) | What::Initialized))
            .map(|(number, _)| number)
            .collect();
        for number in handshake {
            self.forget(now, number, out);
        }
    }

    /// The server was told that the handshake is over: everything may be sent.
    pub(super) fn session_opened(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.session.stage != Stage::Announcing {
            return;
        }
        self.session.stage = Stage::Open;
        self.session.first_refusal = None;
        if self.session.form == Form::Streamable {
            self.listen(now, out);
        }
        self.unpark(now, out);
    }

    /// The server does not know the session: it did not look at the message.
    pub(super) fn session_unknown(
        &mut self,
        now: Timestamp,
        epoch: Option<u64>,
        number: u64,
        out: &mut Vec<Effect>,
    ) {
        let mut is_useless = false;
        if epoch == Some(self.session.epoch) && self.session.stage == Stage::Open {
            is_useless = !self.session.is_proven;
            self.end_session(now, out);
        }
        let Some(message) = self.messages.get_mut(number) else { return };
        let what = message.what;
        if what.request().is_none() {
            self.forget(now, number, out);
            if what == What::Initialized {
                // The first request finds out whether the session is of any use.
                self.session_opened(now, out);
            }
            return;
        }
        if message.has_new_session || is_useless {
            let what = "the server forgets its sessions as soon as it makes them; if several \
                        machines serve this address, it must keep a client on one of them";
            let trouble = Trouble { may_have_run: false, ..Trouble::broken(what) };
            return self.give_up(now, number, trouble, out);
        }
        message.has_new_session = true;
        message.place = Place::Parked;
        self.dispatch(now, number, out);
    }

    /// Tells the server that the session is over, if it can be told.
    pub(super) fn say_goodbye(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.session.form != Form::Streamable || self.session.id.is_none() {
            return;
        }
        let url = String::from(self.endpoints.url(self.session.endpoint));
        let request = Request::new(&self.spec, Method::Delete, &url, self.context(None), None);
        let ends = Some(now.after(REMOTE_ACCEPT_TIMEOUT_MS));
        self.begin(now, Carries::Nothing, Reading::Head, self.session.endpoint, ends, request, out);
    }

    /// The relay's word on a handshake that failed for a reason of its own.
    pub(super) fn handshake_failure(&mut self, step: &str, reason: &str) -> Failure {
        self.cause.take().unwrap_or_else(|| {
            let what = alloc::format!("{step} failed: {reason}");
            Failure::new(Fault::Broken, what)
        })
    }
}
