//! The user's access token: fetched before the first request, and once more where it is refused.

use alloc::vec::Vec;

use super::classify::{Trouble, of_status};
use super::failure::Failure;
use super::head::Head;
use super::messages::Place;
use super::peer::Peer;
use super::{AccessToken, Effect, ExchangeId};
use crate::Verdict;
use crate::time::Timestamp;

/// What is known of the token.
#[derive(Debug)]
pub(super) struct Access {
    is_needed: bool,
    token: Option<AccessToken>,
    /// Whether it is being fetched.
    is_asked: bool,
    /// Whether what is being fetched may be of before the user's tokens were dropped.
    is_outdated: bool,
}

impl Access {
    pub(super) fn new(is_needed: bool) -> Self {
        Access { is_needed, token: None, is_asked: false, is_outdated: false }
    }

    pub(super) fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref()
    }

    /// Whether requests must wait for a token; it is then asked for.
    pub(super) fn must_wait(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let must_wait = self.is_waiting(now);
        if must_wait {
            self.ask(None, out);
        }
        must_wait
    }

    /// Whether a token is being fetched, or must be.
    pub(super) fn is_waiting(&self, now: Timestamp) -> bool {
        let has_ended = |token: &AccessToken| token.expires_at.is_some_and(|at| at <= now);
        self.is_needed && (self.is_asked || self.token.as_ref().is_none_or(has_ended))
    }

    /// Has the next request ask for the token that counts then.
    pub(super) fn forget(&mut self) {
        self.token = None;
    }

    /// Whatever is known of the user's token, and whatever is on its way, counts no more.
    pub(super) fn dropped(&mut self) -> Verdict {
        if !self.is_needed {
            return Verdict::Ignored("it needs no token");
        }
        self.forget();
        self.is_outdated = self.is_asked;
        Verdict::Handled
    }

    fn ask(&mut self, stale: Option<u64>, out: &mut Vec<Effect>) {
        if !self.is_asked {
            self.is_asked = true;
            out.push(Effect::FetchToken { stale });
        }
    }
}

impl Peer {
    /// The server refused the message's credentials. With a token another one is tried, once.
    pub(super) fn unauthorised(
        &mut self,
        now: Timestamp,
        exchange: ExchangeId,
        number: u64,
        head: &Head,
        out: &mut Vec<Effect>,
    ) {
        let used = self.exchanges.get(&exchange).and_then(|exchange| exchange.token);
        self.abort(now, exchange, out);
        let trouble = of_status(head, now);
        let Some(message) = self.messages.get_mut(number) else { return };
        if !self.access.is_needed || message.has_new_token {
            return self.give_up(now, number, trouble, out);
        }
        message.has_new_token = true;
        message.place = Place::Parked;
        if self.access.token.as_ref().map(|token| token.id) == used {
            self.access.token = None;
            self.access.ask(used, out);
        }
        self.dispatch(now, number, out);
    }

    /// The token was fetched, or could not be had.
    pub(super) fn token_fetched(
        &mut self,
        now: Timestamp,
        token: Result<AccessToken, Failure>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if !self.access.is_asked {
            return Verdict::Ignored("late");
        }
        self.access.is_asked = false;
        if core::mem::take(&mut self.access.is_outdated) {
            self.access.ask(None, out);
            return Verdict::Handled;
        }
        match token {
            Ok(token) if token.expires_at.is_none_or(|at| at > now) => {
                self.access.token = Some(token);
                self.unpark(now, out);
            }
            // What has ended already would be asked for again without end.
            Ok(_) => {
                let what = "the access token has ended already; check this machine's clock";
                self.fail_parked(now, &Failure::new(super::Fault::Broken, what), out);
            }
            Err(failure) => self.fail_parked(now, &failure, out),
        }
        Verdict::Handled
    }

    /// No message that waits can be sent.
    pub(super) fn fail_parked(&mut self, now: Timestamp, failure: &Failure, out: &mut Vec<Effect>) {
        for number in core::mem::take(&mut self.parked) {
            self.give_up(now, number, Trouble::unsent(failure.clone(), false), out);
        }
    }
}
