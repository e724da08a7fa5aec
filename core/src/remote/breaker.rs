//! A circuit breaker: an endpoint that keeps failing is left alone, then tried by one request.

use crate::limits::{
    BACKOFF_MAX_MS, BREAKER_FAILURES_MAX, BREAKER_REST_MAX_MS, BREAKER_REST_MIN_MS,
};
use crate::random::Random;
use crate::time::Timestamp;

/// The breaker of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breaker {
    state: State,
    /// Failures in a row.
    failures: u32,
    /// Rests in a row, each but the last ended by a request that failed again.
    rests: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Requests pass.
    Closed,
    /// None passes before this moment.
    Open { until: Timestamp },
    /// One is under way; none other passes before it has ended.
    HalfOpen,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Breaker { state: State::Closed, failures: 0, rests: 0 }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a request may pass. One of our own may end a rest early: somebody wants to know
    /// whether the server is back.
    pub(super) fn admits(&self, now: Timestamp, is_own: bool) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => is_own || until <= now,
            State::HalfOpen => false,
        }
    }

    /// A request that was admitted is sent. Whether it is the one that tries the endpoint.
    pub(super) fn sent(&mut self) -> bool {
        let tries = matches!(self.state, State::Open { .. });
        if tries {
            self.state = State::HalfOpen;
        }
        tries
    }

    /// The endpoint answered. Whether that brought it back.
    pub(super) fn succeeded(&mut self) -> bool {
        let is_back = self.state != State::Closed;
        *self = Breaker::new();
        is_back
    }

    /// A request failed. `tried` says whether it was the one that tried the endpoint; `asked_ms`
    /// how long the endpoint itself asks to be left alone.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        tried: bool,
        asked_ms: Option<u64>,
        random: &mut Random,
    ) {
        self.failures = self.failures.saturating_add(1);
        let rests = match self.state {
            State::Closed => self.failures >= BREAKER_FAILURES_MAX || asked_ms.is_some(),
            State::HalfOpen => tried,
            State::Open { .. } => false,
        };
        let rest = match asked_ms {
            Some(asked) => asked.min(BACKOFF_MAX_MS),
            None => {
                let doubled = BREAKER_REST_MIN_MS.saturating_mul(1 << self.rests.min(16));
                let longest = doubled.min(BREAKER_REST_MAX_MS);
                random.between(longest / 2, longest)
            }
        };
        if rests {
            self.rests = self.rests.saturating_add(1);
            self.state = State::Open { until: now.after(rest) };
        } else if let (State::Open { until }, true) = (self.state, asked_ms.is_some()) {
            self.state = State::Open { until: until.max(now.after(rest)) };
        }
    }

    /// The request that tried the endpoint was given up: the next one tries it.
    pub(super) fn given_up(&mut self, now: Timestamp) {
        if self.state == State::HalfOpen {
            self.state = State::Open { until: now };
        }
    }
}
