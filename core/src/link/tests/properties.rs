//! The poll loop against the rule in its plainest form ([`super::model`]), step by step.

use proptest::prelude::*;
use serde_json::json;

use super::model::{Asks, Behaviour, Model, Phase, Poll, retry_after};
use super::*;
use crate::request::Channel;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The poll on its way ends after so many milliseconds; without one, its time comes first.
    Poll(Behaviour, u64),
    /// An answer to a poll of long ago.
    Late,
    /// A heartbeat's answer: whether polls may be held, or an error of some status.
    Granted(bool),
    HeartbeatRefused(u16, &'static str),
    HeartbeatFailed,
    /// So many milliseconds pass, or come again, and the machine is told.
    Forward(u64),
    Back(u64),
    /// The host slept for so many minutes.
    Slept(u64),
    VerificationNotStored,
}

const ERRORS: [&str; 4] = ["api_key_revoked", "satellite_deleted", "Unauthorized", ""];
const STATUSES: [u16; 8] = [301, 401, 403, 404, 408, 429, 500, 503];

fn refusal() -> impl Strategy<Value = (u16, &'static str)> {
    // Mostly what does not end the pairing: what follows is then tested as well.
    prop_oneof![
        9 => (proptest::sample::select(&STATUSES[..]), proptest::sample::select(&ERRORS[2..])),
        1 => (proptest::sample::select(&STATUSES[..]), proptest::sample::select(&ERRORS[..])),
    ]
}

fn asks() -> impl Strategy<Value = Asks> {
    prop_oneof![
        3 => Just(Asks::Nothing),
        1 => Just(Asks::Nonsense),
        2 => (0u64..1_000).prop_map(Asks::Seconds),
        2 => (-100i64..1_000).prop_map(Asks::Date),
    ]
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let commands = proptest::collection::vec(0u8..3, 0..3);
    let guidance = proptest::option::of(prop_oneof![0u64..70, 250u64..400, Just(u64::MAX)]);
    prop_oneof![
        6 => (commands, guidance, proptest::bool::weighted(0.2)).prop_map(
            |(commands, guidance, maintenance)| Behaviour::Answers { commands, guidance, maintenance }
        ),
        3 => (refusal(), asks())
            .prop_map(|((status, error), asks)| Behaviour::Refuses { status, error, asks }),
        1 => asks().prop_map(|asks| Behaviour::Garbles { asks }),
        2 => Just(Behaviour::Fails),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let latency = prop_oneof![3 => 0u64..15_000, 1 => 24_900u64..25_100];
    prop_oneof![
        12 => (behaviour(), latency).prop_map(|(behaviour, latency)| Step::Poll(behaviour, latency)),
        1 => Just(Step::Late),
        3 => proptest::bool::weighted(0.8).prop_map(Step::Granted),
        1 => refusal().prop_map(|(status, error)| Step::HeartbeatRefused(status, error)),
        1 => Just(Step::HeartbeatFailed),
        3 => (0u64..70_000).prop_map(Step::Forward),
        1 => (0u64..400_000).prop_map(Step::Back),
        1 => (1u64..1_000).prop_map(Step::Slept),
        1 => Just(Step::VerificationNotStored),
    ]
}

fn outcome(behaviour: &Behaviour, now: u64) -> Result<HttpAnswer, HttpFailure> {
    Ok(match behaviour {
        Behaviour::Answers { commands, guidance, maintenance } => {
            let commands: Vec<serde_json::Value> = commands
                .iter()
                .map(|id| json!({"id": alloc::format!("c{id}"), "command_type": "kill"}))
                .collect();
            let body = json!({
                "commands": commands, "next_poll_interval": guidance, "maintenance": maintenance,
            });
            answer(200, &body.to_string())
        }
        Behaviour::Refuses { status, error, asks } => HttpAnswer {
            retry_after: retry_after(*asks, now),
            ..answer(*status, &json!({"success": false, "error": error}).to_string())
        },
        Behaviour::Garbles { asks } => {
            HttpAnswer { retry_after: retry_after(*asks, now), ..answer(200, "<html>") }
        }
        Behaviour::Fails => return Err(HttpFailure::TimedOut),
    })
}

/// A poll as it went out, in the model's terms.
fn described(http: &HttpRequest) -> Poll {
    let (path, query) = http.path.split_once('?').unwrap_or((&http.path, ""));
    let value = |wanted: &str| {
        query.split('&').find_map(|pair| Some(pair.split_once('=')?).filter(|it| it.0 == wanted))
    };
    let last_poll = value("last_poll").map(|(_, text)| text.replace("%3A", ":"));
    let header = http.headers.iter().find(|(name, _)| name == "x-last-poll");
    assert_eq!(last_poll.as_ref(), header.map(|(_, text)| text));
    assert_eq!(value("limit"), Some(("limit", "10")));
    Poll {
        path: path.to_string(),
        wait_seconds: value("wait").map_or(0, |(_, text)| text.parse().unwrap()),
        timeout_seconds: http.timeout_ms / 1_000,
        last_poll: last_poll.map(|text| Timestamp::from_iso(&text).unwrap().0),
    }
}

/// The machine and the model, side by side.
struct Pair {
    bench: Bench,
    model: Model,
    in_flight: Option<RequestKey>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::with(&Settings::default(), seed);
        bench.start(Some(credentials(Some("team_9"))), None);
        let model = Model::started(bench.now.0);
        let mut pair = Pair { bench, model, in_flight: None };
        pair.compare();
        pair
    }

    /// After each event: what was sent, what is waited for, and what is left of the pairing.
    fn compare(&mut self) {
        let sends: Vec<(RequestKey, Poll)> = self.bench.out.iter().filter_map(sent_poll).collect();
        assert!(sends.len() <= 1, "one poll at a time: {sends:?}");
        for (request, poll) in sends {
            assert_eq!(self.in_flight, None, "polls never overlap");
            assert_eq!(request.channel, Channel::Poll);
            assert_eq!(Some(poll), self.model.expected());
            self.in_flight = Some(request);
        }
        let deadline = self.bench.link.next_deadline().map(|deadline| deadline.at.0);
        match self.model.phase.clone() {
            Phase::InFlight { .. } => {
                assert!(self.in_flight.is_some(), "a poll should be on its way");
                assert_eq!(deadline, None);
            }
            Phase::Waiting { start } => {
                assert_eq!(self.in_flight, None);
                let at = deadline.expect("the next poll has its time");
                assert!(start.contains(&at), "{at} is not in {start:?}");
                self.model.chosen(at);
            }
            Phase::Unpaired => {
                assert!(self.bench.link.credentials().is_none());
                assert_eq!((self.bench.state(), deadline), ("stopped", None));
                return;
            }
        }
        assert!(self.bench.link.credentials().is_some(), "still paired");
        assert_eq!(self.bench.link.view().failures, self.model.failures);
        assert_eq!(self.bench.link.granted().contains("poll-wait"), self.model.granted);
    }

    fn time(&mut self, now: u64) {
        self.bench.now = Timestamp(now);
        let sends = self.model.time(now);
        self.bench.feed(Event::Tick);
        assert_eq!(self.bench.out.iter().any(|effect| sent_poll(effect).is_some()), sends);
        self.compare();
    }

    fn step(&mut self, step: &Step) {
        let now = self.bench.now.0;
        match step {
            Step::Poll(behaviour, latency) => {
                if let Phase::Waiting { start } = self.model.phase.clone() {
                    // A millisecond before its time there is no poll.
                    self.time(now.max(start.start() - 1));
                    if self.in_flight.is_none() {
                        self.time(*start.start());
                    }
                }
                let now = self.bench.now.0 + latency;
                self.time(now);
                let request = self.in_flight.take().expect("a poll is on its way");
                self.model.answered(now, behaviour);
                self.bench.feed(Event::Answered { request, answer: outcome(behaviour, now) });
                self.compare();
            }
            Step::Late => {
                let request = RequestKey { channel: Channel::Poll, number: 0 };
                self.bench.feed(Event::Answered { request, answer: Ok(answer(500, "")) });
                assert_eq!(self.bench.verdict, Verdict::Ignored("late"));
                self.compare();
            }
            Step::Granted(granted) => {
                self.model.granted(now, *granted);
                let capabilities: &[&str] = if *granted { &["poll-wait", "flight"] } else { &[] };
                let body = json!({"success": true, "capabilities": capabilities}).to_string();
                self.bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, &body)) });
                self.compare();
            }
            Step::HeartbeatRefused(status, error) => {
                self.model.heartbeat_refused(*status, error);
                let body = json!({"success": false, "error": error}).to_string();
                self.bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(*status, &body)) });
                self.compare();
            }
            Step::HeartbeatFailed => {
                self.model.heartbeat_failed();
                self.bench.feed(Event::HeartbeatAnswered { answer: Err(HttpFailure::TimedOut) });
                self.compare();
            }
            Step::Forward(milliseconds) => self.time(now + milliseconds),
            Step::Back(milliseconds) => self.time(now - milliseconds),
            Step::Slept(minutes) => self.time(now + minutes * 60_000),
            Step::VerificationNotStored => {
                self.bench.feed(Event::Stored(Err("disk full".to_string())));
                self.compare();
            }
        }
    }
}

fn sent_poll(effect: &Effect) -> Option<(RequestKey, Poll)> {
    match effect {
        Effect::Send { request, http } => Some((*request, described(http))),
        _ => None,
    }
}

proptest! {
    #[test]
    fn every_poll_is_the_one_the_plain_rule_wants_when_it_wants_it(
        script in proptest::collection::vec(step(), 1..60),
        seed in any::<u64>(),
    ) {
        let mut pair = Pair::new(seed);
        for step in &script {
            if pair.model.phase == Phase::Unpaired {
                break;
            }
            pair.step(step);
        }
    }

    #[test]
    fn no_sequence_of_events_breaks_the_link(
        events in proptest::collection::vec((0u8..9, 0u64..4, 0u64..100_000), 0..60),
        paired in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let mut in_flight: Option<RequestKey> = None;
        let mut sent_total = 0u64;
        for (kind, number, wait) in events {
            bench.now = bench.now.after(wait);
            let request = in_flight.unwrap_or(RequestKey {
                channel: Channel::Poll,
                number,
            });
            let body = if number == 0 { "{}" } else { QUIET };
            match kind {
                0 => {
                    let credentials = paired.then(|| credentials(None));
                    bench.start(credentials, Some(TOKEN));
                }
                1 => { bench.feed(Event::Answered { request, answer: Ok(answer(200, body)) }); }
                2 => { bench.feed(Event::Answered { request, answer: Err(HttpFailure::TimedOut) }); }
                3 => { bench.feed(Event::Answered { request, answer: Ok(answer(503, "")) }); }
                4 => { bench.feed(Event::Stored(Ok(()))); }
                5 => { bench.feed(Event::HeartbeatAnswered { answer: Ok(answer(200, "{}")) }); }
                6 if number == 3 => { bench.feed(Event::DrainRequested); }
                _ => { bench.feed(Event::Tick); }
            }
            if (1..=3).contains(&kind) && bench.verdict != Verdict::Ignored("late") {
                in_flight = None;
            }
            for effect in &bench.out {
                if let Effect::Send { request, .. } = effect {
                    prop_assert!(in_flight.is_none(), "two requests in flight");
                    prop_assert!(request.number > sent_total, "numbers only grow");
                    sent_total = request.number;
                    in_flight = Some(*request);
                }
            }
        }
    }
}
