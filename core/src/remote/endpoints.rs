//! The endpoints of one server: which of them the next message goes to.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ExchangeId;
use super::breaker::{Breaker, State};
use crate::limits::{ENDPOINTS_MAX, SLOW_START_MS};
use crate::random::Random;
use crate::time::Timestamp;

/// The share of an endpoint that has just come back, of [`SHARE_FULL`].
const SHARE_FIRST: u64 = 100;
const SHARE_FULL: u64 = 1_000;

/// One endpoint.
#[derive(Debug)]
struct Endpoint {
    url: String,
    breaker: Breaker,
    /// Requests on their way.
    outstanding: u64,
    /// When it last came back.
    returned: Option<Timestamp>,
    /// The first exchange after its last failure: how older ones end says nothing of it since.
    since_failure: ExchangeId,
}

/// All of them, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Endpoints(Vec<Endpoint>);

/// Who wants to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    /// The peer itself, not a client.
    pub(super) is_own: bool,
    /// What it sends may be sent again, so that it can try an endpoint at no client's expense.
    pub(super) may_try: bool,
    /// The endpoint it comes from: not this one again, if there is another.
    pub(super) avoid: Option<usize>,
}

impl Endpoints {
    pub(super) fn new(urls: &[String]) -> Self {
        let endpoint = |url: &String| Endpoint {
            url: url.to_string(),
            breaker: Breaker::new(),
            outstanding: 0,
            returned: None,
            since_failure: ExchangeId(0),
        };
        Endpoints(urls.iter().take(ENDPOINTS_MAX).map(endpoint).collect())
    }

    pub(super) fn url(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |endpoint| endpoint.url.as_str())
    }

    /// Whether another endpoint than this one takes a request, which one of our own may be.
    pub(super) fn has_other(&self, index: usize, now: Timestamp, is_own: bool) -> bool {
        self.others(index).any(|other| other.breaker.admits(now, is_own))
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether it is being found out if one is back.
    pub(super) fn is_one_tried(&self) -> bool {
        self.0.iter().any(|endpoint| endpoint.breaker.state() == State::HalfOpen)
    }

    /// Whether another endpoint than this one has not failed since it answered: what fails here
    /// says nothing of the server then.
    pub(super) fn has_sound_other(&self, index: usize) -> bool {
        self.others(index)
            .any(|other| other.breaker.state() == State::Closed && other.breaker.failures() == 0)
    }

    /// Whether a session is better begun at another endpoint than this one. Beginning one is a
    /// request of our own, which may end a rest.
    pub(super) fn is_to_be_left(&self, index: usize) -> bool {
        self.is_resting(index)
            && self.others(index).any(|other| other.breaker.state() != State::HalfOpen)
    }

    /// Whether an endpoint failed so often that it is left alone.
    pub(super) fn is_resting(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|endpoint| endpoint.breaker.state() != State::Closed)
    }

    fn others(&self, index: usize) -> impl Iterator<Item = &Endpoint> {
        self.0.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, it)| it)
    }

    /// The endpoint for a message that any of them may have: the one with the least to do for its
    /// share. One that rested long enough is tried first, by a message that loses nothing by it.
    pub(super) fn choose(
        &self,
        now: Timestamp,
        sender: Sender,
        random: &mut Random,
    ) -> Option<usize> {
        let all = || self.0.iter().enumerate();
        let is_allowed = |index: usize| Some(index) != sender.avoid;
        let rested = |endpoint: &Endpoint| matches!(endpoint.breaker.state(), State::Open { until } if until <= now);
        if sender.may_try
            && let Some((index, _)) =
                all().find(|(index, endpoint)| is_allowed(*index) && rested(endpoint))
        {
            return Some(index);
        }
        let mut best: Vec<usize> = Vec::new();
        let mut least = u64::MAX;
        for (index, endpoint) in all() {
            if endpoint.breaker.state() != State::Closed || !is_allowed(index) {
                continue;
            }
            let load = endpoint.load(now);
            if load < least {
                least = load;
                best.clear();
            }
            if load == least {
                best.push(index);
            }
        }
        if !best.is_empty() {
            let drawn = random.below(best.len() as u64) as usize;
            return best.get(drawn).copied();
        }
        let admits = |endpoint: &Endpoint| endpoint.breaker.admits(now, sender.is_own);
        all()
            .find(|(index, endpoint)| is_allowed(*index) && admits(endpoint))
            .or_else(|| all().find(|(_, endpoint)| admits(endpoint)))
            .map(|(index, _)| index)
    }

    /// Whether a message for this endpoint only may be sent.
    pub(super) fn admits(&self, index: usize, now: Timestamp, is_own: bool) -> bool {
        self.0.get(index).is_some_and(|endpoint| endpoint.breaker.admits(now, is_own))
    }

    /// A request was sent. Whether it tries the endpoint.
    pub(super) fn sent(&mut self, index: usize) -> bool {
        let Some(endpoint) = self.0.get_mut(index) else { return false };
        endpoint.outstanding += 1;
        endpoint.breaker.sent()
    }

    /// A request is on its way no more. `tries` is what [`Endpoints::sent`] said, if nothing is
    /// known of its end.
    pub(super) fn left(&mut self, index: usize, now: Timestamp, tries: bool) {
        let Some(endpoint) = self.0.get_mut(index) else { return };
        endpoint.outstanding = endpoint.outstanding.saturating_sub(1);
        if tries {
            endpoint.breaker.given_up(now);
        }
    }

    /// It answered `exchange`, which `tries` it if it rested.
    pub(super) fn succeeded(
        &mut self,
        index: usize,
        now: Timestamp,
        exchange: ExchangeId,
        tries: bool,
    ) {
        let Some(endpoint) = self.0.get_mut(index) else { return };
        let is_outdated = exchange < endpoint.since_failure && !tries;
        if !is_outdated && endpoint.breaker.succeeded() {
            endpoint.returned = Some(now);
        }
    }

    /// An exchange with it failed; `next` will be the next one.
    pub(super) fn failed(
        &mut self,
        index: usize,
        now: Timestamp,
        next: ExchangeId,
        (tried, asked_ms): (bool, Option<u64>),
        random: &mut Random,
    ) {
        if let Some(endpoint) = self.0.get_mut(index) {
            endpoint.since_failure = next;
            endpoint.breaker.failed(now, tried, asked_ms, random);
        }
    }

    /// How many failures the least troubled endpoint has had in a row, and when it, or another, is
    /// tried next.
    pub(super) fn troubles(&self) -> (u32, Option<Timestamp>) {
        let failures = self.0.iter().map(|endpoint| endpoint.breaker.failures()).min();
        let until = |endpoint: &Endpoint| match endpoint.breaker.state() {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen => None,
        };
        (failures.unwrap_or(0), self.0.iter().filter_map(until).min())
    }
}

impl Endpoint {
    /// What it has to do, in proportion to its share: one that has just come back gets little.
    fn load(&self, now: Timestamp) -> u64 {
        let share = self.returned.map_or(SHARE_FULL, |returned| {
            let since = now.since(returned).min(SLOW_START_MS);
            SHARE_FIRST + (SHARE_FULL - SHARE_FIRST) * since / SLOW_START_MS
        });
        (self.outstanding + 1) * SHARE_FULL * SHARE_FULL / share
    }
}
