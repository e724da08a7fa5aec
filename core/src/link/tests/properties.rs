//! The poll loop against the rule in its plainest form.

use core::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;

/// What a Backend, or the way to it, does with one poll.
#[derive(Clone, Debug)]
enum Behaviour {
    Answers { guidance: Option<u64>, maintenance: bool },
    Refuses { status: u16, retry_after: Option<u64> },
    Garbles,
    Fails,
}

fn behaviour() -> impl Strategy<Value = (Behaviour, u64)> {
    let behaviour = prop_oneof![
        3 => (proptest::option::of(0u64..1_000), any::<bool>())
            .prop_map(|(guidance, maintenance)| Behaviour::Answers { guidance, maintenance }),
        2 => (
            prop_oneof![Just(401u16), Just(404), Just(429), Just(500), Just(503)],
            proptest::option::of(0u64..1_000),
        )
            .prop_map(|(status, retry_after)| Behaviour::Refuses { status, retry_after }),
        1 => Just(Behaviour::Garbles),
        2 => Just(Behaviour::Fails),
    ];
    (behaviour, 0u64..15_000)
}

/// When the next poll may start: seconds and powers of two, nothing of the machine.
fn next_start(
    began: u64,
    answered: u64,
    behaviour: &Behaviour,
    failures: u32,
) -> RangeInclusive<u64> {
    if let Behaviour::Answers { guidance, maintenance } = behaviour {
        let seconds = match (guidance, maintenance) {
            (Some(guidance), true) => (*guidance).clamp(2, 300),
            (Some(guidance), false) => (*guidance).clamp(2, 60),
            (None, true) => 300,
            (None, false) => 30,
        };
        let start = answered.max(began + seconds * 1_000);
        return start..=start;
    }
    let mut longest = 2_000;
    for _ in 0..failures {
        longest = (longest * 2).min(300_000);
    }
    let asked = match behaviour {
        Behaviour::Refuses { retry_after: Some(seconds), .. } => (seconds * 1_000).min(300_000),
        _ => 0,
    };
    answered + asked.max(2_000)..=answered + asked.max(longest)
}

proptest! {
    #[test]
    fn polls_start_when_the_rule_says_and_never_overlap(
        script in proptest::collection::vec(behaviour(), 1..40),
        seed in any::<u64>(),
        early in 0u64..3,
    ) {
        let mut bench = Bench::with(&Settings::default(), seed);
        bench.start(Some(credentials(None)), None);
        // The path is settled first: a 404 before that is not a failure but a change of path.
        bench.answer(200, r#"{"commands":[],"next_poll_interval":2}"#);
        bench.wait();
        let mut failures = 0;
        for (behaviour, latency) in script {
            let began = bench.now.0;
            let (request, _) = bench.sent();
            // Whatever else happens meanwhile, there is no second poll.
            for _ in 0..early {
                bench.now = bench.now.after(latency / 4);
                bench.feed(Event::Tick);
                prop_assert!(bench.out.is_empty());
            }
            prop_assert_eq!(bench.link.next_deadline(), None);
            bench.now = Timestamp(began + latency);
            let answered = bench.now.0;
            let outcome = match &behaviour {
                Behaviour::Answers { guidance, maintenance } => Ok(answer(200, &serde_json::json!({
                    "commands": [], "next_poll_interval": guidance, "maintenance": maintenance,
                }).to_string())),
                Behaviour::Refuses { status, retry_after } => Ok(HttpAnswer {
                    retry_after: retry_after.map(|seconds| seconds.to_string()),
                    ..answer(*status, "{}")
                }),
                Behaviour::Garbles => Ok(answer(200, "<html>")),
                Behaviour::Fails => Err(HttpFailure::TimedOut),
            };
            failures = match behaviour {
                Behaviour::Answers { .. } => 0,
                _ => failures + 1,
            };
            bench.feed(Event::Answered { request, answer: outcome });
            prop_assert_eq!(bench.link.view().failures, failures);
            let sent = bench.out.iter().any(|effect| matches!(effect, Effect::Send { .. }));
            if !sent {
                let deadline = bench.link.next_deadline().expect("the next poll has its time");
                if deadline.at.0 > answered {
                    bench.now = Timestamp(deadline.at.0 - 1);
                    bench.feed(Event::Tick);
                    prop_assert!(bench.out.is_empty(), "a millisecond too early");
                }
                bench.now = deadline.at;
                bench.feed(Event::Tick);
            }
            let allowed = next_start(began, answered, &behaviour, failures);
            prop_assert!(allowed.contains(&bench.now.0), "{:?} not in {:?}", bench.now.0, allowed);
            bench.sent();
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
                channel: crate::request::Channel::Poll,
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
