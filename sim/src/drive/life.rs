//! The life of one satellite.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::random::Random;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::time::HOUR;
use satellite_core::wire::capability::POLL_WAIT;
use satellite_core::wire::heartbeat::HeartbeatReply;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::wire::Lines;
use super::{Phase, Shared};
use crate::edge::{Due, Edge, Request, Servers};

/// A satellite, and what becomes of its requests.
pub(super) struct Life {
    shared: Arc<Shared>,
    lines: Arc<Lines>,
    id: String,
    edge: Edge,
    random: Random,
    /// Events of its that it was last seen to wait with.
    waiting: usize,
    requests: JoinSet<(RequestKey, Result<HttpAnswer, HttpFailure>)>,
}

impl Life {
    pub(super) fn new(
        shared: Arc<Shared>,
        credentials: Credentials,
        seed: u64,
        number: usize,
    ) -> Life {
        let mut random = Random::new(seed);
        let servers = Servers::new(random.fork("servers"), shared.clock.now());
        Life {
            lines: Arc::new(shared.wire.lines(number)),
            id: credentials.satellite_id.to_string(),
            edge: Edge::new(credentials, random.next()).with_servers(servers),
            random,
            waiting: 0,
            requests: JoinSet::new(),
            shared,
        }
    }

    /// Lives from `start` until all is over. Gives the number of events it has emitted.
    pub(super) async fn run(mut self, start: Instant, mut phase: watch::Receiver<Phase>) -> u64 {
        tokio::select! {
            () = sleep_until(start) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Over) => return 0,
        }
        let clock = self.shared.clock;
        let born = self.edge.happen(clock.now(), Due::Start);
        self.perform(born);
        let mut next_call = self.next_call();
        loop {
            let look = self.edge.looks_at();
            let calls = *phase.borrow() == Phase::Lively;
            let asked = tokio::select! {
                _ = phase.wait_for(|phase| *phase == Phase::Over) => break,
                Some(Ok((key, answer))) = self.requests.join_next() => {
                    self.edge.happen(clock.now(), Due::Answer(key, answer))
                }
                () = until(look.map(|at| clock.instant(at))) => {
                    let Some(at) = look else { continue };
                    self.edge.happen(clock.now(), Due::Look(at))
                }
                () = until(next_call.filter(|_| calls)) => {
                    next_call = self.next_call();
                    self.edge.call(clock.now())
                }
            };
            self.perform(asked);
            if self.edge.ended().is_some() {
                self.shared.ended.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        self.edge.emitted()
    }

    /// When a client next calls: any moment of the time in which one call is made.
    fn next_call(&mut self) -> Option<Instant> {
        let each_ms = HOUR.checked_div(self.shared.calls_per_hour)?;
        let wait = self.random.between(1, each_ms * 2);
        Some(self.shared.clock.instant(self.shared.clock.now().after(wait)))
    }

    /// Sends what it asked for, and takes note of what it says.
    fn perform(&mut self, requests: Vec<Request>) {
        for line in self.edge.take_lines() {
            self.shared.ledger.logged(&self.id, &line);
        }
        let waiting = self.edge.view().outbox.waiting;
        self.shared.waiting.fetch_add(waiting, Ordering::Relaxed);
        self.shared.waiting.fetch_sub(self.waiting, Ordering::Relaxed);
        self.waiting = waiting;
        for Request { key, http } in requests {
            let (shared, lines) = (Arc::clone(&self.shared), Arc::clone(&self.lines));
            let satellite = self.id.clone();
            self.requests.spawn(async move {
                let answer = shared.exchange(&lines, &satellite, key, &http).await;
                (key, answer)
            });
        }
        // The deadline of now, which `looks_at` then gives.
        self.edge.look_again();
    }
}

impl Shared {
    async fn exchange(
        &self,
        lines: &Lines,
        satellite: &str,
        key: RequestKey,
        http: &HttpRequest,
    ) -> Result<HttpAnswer, HttpFailure> {
        self.ledger.sent(satellite, http);
        let began = Instant::now();
        let mut answer = self.wire.send(lines, http).await;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.figures.count(http, &answer, took);
        self.ledger.answered(satellite, http, &answer);
        if key.channel == Channel::Heartbeat && !self.holds_polls {
            answer = answer.map(without_holding);
        }
        answer
    }
}

/// The answer to a heartbeat, as a Backend gives it that holds no polls.
fn without_holding(answer: HttpAnswer) -> HttpAnswer {
    let Ok(mut reply) = serde_json::from_slice::<HeartbeatReply>(&answer.body) else {
        return answer;
    };
    reply.capabilities.retain(|capability| capability != POLL_WAIT);
    HttpAnswer { body: satellite_core::wire::encode(&reply), ..answer }
}

/// Waits until `at`; for ever, if that is never.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
