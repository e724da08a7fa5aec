//! HTTP with server-sent events (MCP 2024-11-05): one stream down, messages posted beside it.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::classify::{Trouble, of_content, of_status};
use super::endpoints::Sender;
use super::exchange::{Carries, Reading};
use super::head::{Content, Head};
use super::messages::What;
use super::peer::Peer;
use super::request::Method;
use super::session::{Form, Stage};
use super::{Effect, ExchangeId, Request};
use crate::egress::Target;
use crate::secret::Secret;
use crate::time::Timestamp;

impl Peer {
    /// The handshake was refused with 4xx: the server may speak the older form only (MCP
    /// 2025-11-25, Backwards Compatibility). Whether that is tried.
    pub(super) fn try_legacy(&mut self, refusal: &Trouble) -> bool {
        if self.session.form == Form::Legacy {
            return false;
        }
        self.session.form = Form::Legacy;
        self.session.first_refusal = Some(refusal.clone());
        true
    }

    /// Asks for the stream that is the session, for the sake of the handshake `number`.
    pub(super) fn open_stream(&mut self, now: Timestamp, number: u64, out: &mut Vec<Effect>) {
        if self.session.stream.is_some() {
            return;
        }
        let avoid = self.messages.get(number).and_then(|message| message.avoid);
        let sender = Sender { is_own: true, may_try: true, avoid };
        let Some(endpoint) = self.endpoints.choose(now, sender, &mut self.random) else {
            return self.no_endpoint(now, number, true, out);
        };
        let mut context = self.context(None);
        context.revision = None;
        let url = self.endpoints.url(endpoint).to_string();
        let request = Request::new(&self.spec, Method::Get, &url, context, None);
        let stream = self.begin(now, Carries::Stream, Reading::Head, endpoint, None, request, out);
        self.session.endpoint = endpoint;
        self.session.stream = Some(stream);
    }

    pub(super) fn stream_head(
        &mut self,
        now: Timestamp,
        id: ExchangeId,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let endpoint = exchange.endpoint;
        if head.is_success() && head.content == Content::Events {
            exchange.reading = Reading::events();
            return self.endpoint_answered(now, id, endpoint);
        }
        let handshake = self.handshake();
        if matches!(head.status, 401 | 403) || (head.status / 100 == 4 && head.is_challenge) {
            match handshake {
                Some(number) => return self.unauthorised(now, id, number, head, out),
                None => return self.abort(now, id, out),
            }
        }
        let trouble = if head.is_success() { of_content(head) } else { of_status(head, now) };
        self.abort(now, id, out);
        self.stream_lost(now, trouble, out);
    }

    /// The handshake's message.
    fn handshake(&self) -> Option<u64> {
        let is_handshake = |what| matches!(what, What::Initialize(_) | What::Initialized);
        self.messages.iter().find(|(_, it)| is_handshake(it.what)).map(|(number, _)| number)
    }

    /// The stream's first event names the address for messages: of the same origin, or somebody
    /// else would be sent them.
    pub(super) fn endpoint_named(&mut self, now: Timestamp, data: &[u8], out: &mut Vec<Effect>) {
        if self.session.post_url.is_some() {
            return;
        }
        let base = Target::parse(self.endpoints.url(self.session.endpoint));
        let named = core::str::from_utf8(data).map(str::trim).unwrap_or_default();
        let target = base.and_then(|base| {
            let target = base.join(named)?;
            Ok(target.is_same_origin(&base).then_some(target))
        });
        match target {
            Ok(Some(target)) => {
                self.session.post_url = Some(Secret::new(target.to_string()));
                if let Some(number) = self.handshake() {
                    self.dispatch(now, number, out);
                }
            }
            Ok(None) | Err(_) => {
                if let Some(stream) = self.session.stream {
                    self.abort(now, stream, out);
                }
                let what = "the server names an address for messages that is not its own; \
                            configure the address of the server itself";
                self.stream_lost(now, Trouble::broken(what), out);
            }
        }
    }

    /// The stream is gone, and the session with it.
    pub(super) fn stream_lost(&mut self, now: Timestamp, trouble: Trouble, out: &mut Vec<Effect>) {
        let epoch = self.session.epoch;
        let stage = self.session.stage;
        self.session.stream = None;
        self.session.post_url = None;
        if stage == Stage::Open {
            self.session.reset();
        }
        if let Some(number) = self.handshake() {
            match self.session.first_refusal.take() {
                // It speaks neither form: what it said to the first counts.
                Some(refusal) if !trouble.passes => {
                    self.give_up(now, number, refusal, out);
                }
                refusal => {
                    self.session.first_refusal = refusal;
                    if let Some(message) = self.messages.get_mut(number) {
                        let failed = self.session.endpoint;
                        message.avoid = trouble.blames_endpoint.then_some(failed);
                    }
                    self.failed(now, number, trouble, out);
                }
            }
        }
        self.lose_delivered(now, epoch, "the server's stream ended", out);
    }
}
