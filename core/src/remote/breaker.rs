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
    /// One is under way; no other of a client passes before it has ended.
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
    /// whether the server is back, and a client's call that tries it may take its time.
    pub(super) fn admits(&self, now: Timestamp, is_own: bool) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => is_own || until <= now,
            State::HalfOpen => is_own,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_endpoint_is_tried_by_one_request_at_a_time(
            steps in prop::collection::vec((0_u8..5, 0_u64..6_000, prop::option::of(0_u64..600_000)), 0..60),
            seed in any::<u64>(),
        ) {
            let mut random = Random::new(seed);
            let mut breaker = Breaker::new();
            let mut now = Timestamp(1);
            // Requests under way, and whether each is the one that tries the endpoint.
            let mut under_way: alloc::vec::Vec<bool> = alloc::vec::Vec::new();
            for (step, pause, asked) in steps {
                now = now.after(pause);
                match step {
                    0 | 1 if breaker.admits(now, step == 1) => under_way.push(breaker.sent()),
                    2 if !under_way.is_empty() => {
                        under_way.remove(0);
                        breaker.succeeded();
                        prop_assert_eq!(breaker.state(), State::Closed);
                        // Whoever tried it may still be under way; it decides nothing any more.
                        under_way.iter_mut().for_each(|tries| *tries = false);
                    }
                    3 if !under_way.is_empty() => {
                        let tried = under_way.remove(0);
                        breaker.failed(now, tried, asked, &mut random);
                        if let State::Open { until } = breaker.state() {
                            prop_assert!(until <= now.after(BACKOFF_MAX_MS));
                        }
                    }
                    4 => {
                        let tried = (!under_way.is_empty()).then(|| under_way.remove(0));
                        if tried == Some(true) {
                            breaker.given_up(now);
                        }
                    }
                    _ => {}
                }
                let trying = under_way.iter().filter(|tries| **tries).count();
                prop_assert_eq!(trying, usize::from(breaker.state() == State::HalfOpen));
            }
            // It never stays shut: once nothing is under way, somebody may try it.
            if under_way.is_empty() {
                prop_assert!(breaker.admits(now.after(BACKOFF_MAX_MS), false));
            }
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_rests_ever_longer_up_to_a_bound() {
        let (mut random, mut breaker, mut now) = (Random::new(1), Breaker::new(), Timestamp(0));
        for _ in 1..BREAKER_FAILURES_MAX {
            breaker.failed(now, false, None, &mut random);
            assert!(breaker.admits(now, false));
        }
        let mut rests = alloc::vec::Vec::new();
        for _ in 0..8 {
            let tried = breaker.sent();
            breaker.failed(now, tried, None, &mut random);
            let State::Open { until } = breaker.state() else { panic!("it takes requests") };
            assert!(!breaker.admits(now, false) && breaker.admits(now, true));
            rests.push(until.since(now));
            now = until;
            assert!(breaker.admits(now, false));
        }
        assert!(rests[0] <= BREAKER_REST_MIN_MS, "{rests:?}");
        let last = rests[4..]
            .iter()
            .all(|rest| (BREAKER_REST_MAX_MS / 2..=BREAKER_REST_MAX_MS).contains(rest));
        assert!(last, "{rests:?}");
    }
}
