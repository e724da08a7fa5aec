//! The outbox against a Backend that knows an event again by its id.

use alloc::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
enum Way {
    Arrives,
    /// The request is lost: the Backend sees nothing of it.
    RequestLost,
    /// The answer is lost: the Backend has taken everything.
    AnswerLost,
    Busy,
    Throttled,
}

#[derive(Clone, Debug)]
enum Step {
    Emit,
    Poison,
    Time,
    Answer(Way),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let way = prop_oneof![
        4 => Just(Way::Arrives),
        1 => Just(Way::RequestLost),
        1 => Just(Way::AnswerLost),
        1 => Just(Way::Busy),
        1 => Just(Way::Throttled),
    ];
    let step = prop_oneof![
        6 => Just(Step::Emit),
        1 => Just(Step::Poison),
        2 => Just(Step::Time),
        3 => way.prop_map(Step::Answer),
    ];
    proptest::collection::vec(step, 1..250)
}

/// The Backend: what it stored, in order, each id once.
#[derive(Default)]
struct Backend {
    ids: BTreeSet<String>,
    stored: Vec<Value>,
}

impl Backend {
    fn take(&mut self, events: &[Value]) -> u16 {
        let poison = |event: &Value| event["data"]["server_name"] == "poison";
        if events.iter().any(poison) {
            return 400;
        }
        for event in events {
            let id = event["id"].as_str().unwrap_or_default();
            if self.ids.insert(id.to_string()) {
                self.stored.push(event.clone());
            }
        }
        200
    }
}

struct World {
    bench: Bench,
    backend: Backend,
    in_flight: Option<(RequestKey, Vec<Value>)>,
    emitted: Vec<(u64, bool)>,
}

impl World {
    fn feed(&mut self, event: Event) {
        self.bench.feed(event);
        if let Some(sent) = self.bench.sent() {
            assert!(self.in_flight.is_none(), "two batches in flight");
            assert!((1..=20).contains(&sent.1.len()));
            self.in_flight = Some(sent);
        }
    }

    fn emit(&mut self, poison: bool) {
        self.emitted.push((self.bench.outbox.next_seq(), poison));
        let at = self.bench.now;
        let data = stopped(if poison { "poison" } else { "food" });
        self.feed(Event::Emitted { data, at });
    }

    fn time(&mut self) {
        if let Some(deadline) = self.bench.outbox.next_deadline() {
            self.bench.now = self.bench.now.max(deadline.at);
            self.feed(Event::Tick);
        }
    }

    fn answer(&mut self, way: Way) {
        let Some((request, events)) = self.in_flight.take() else { return };
        let status = match way {
            Way::Arrives | Way::AnswerLost => self.backend.take(&events),
            Way::RequestLost => 0,
            Way::Busy => 503,
            Way::Throttled => 429,
        };
        let answer = match way {
            Way::RequestLost | Way::AnswerLost => Err(HttpFailure::TimedOut),
            _ => Ok(HttpAnswer { status, body: TAKEN.into(), ..HttpAnswer::default() }),
        };
        self.feed(Event::Answered { request, answer });
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_nothing_comes_twice_and_the_order_is_kept(
        steps in steps(),
        capacity in prop_oneof![Just(3usize), Just(30), Just(10_000)],
    ) {
        let mut world = World {
            bench: Bench::new(capacity),
            backend: Backend::default(),
            in_flight: None,
            emitted: Vec::new(),
        };
        world.feed(Event::Paired(credentials()));
        for step in steps {
            match step {
                Step::Emit => world.emit(false),
                Step::Poison => world.emit(true),
                Step::Time => world.time(),
                Step::Answer(way) => world.answer(way),
            }
        }
        // The faults end: everything must converge.
        for _ in 0..100_000 {
            if world.bench.outbox.is_empty() {
                break;
            }
            world.answer(Way::Arrives);
            world.time();
        }
        prop_assert!(world.bench.outbox.is_empty());

        // From here on the Backend's view alone: which numbers it has, and which it was told of.
        let mut known = BTreeSet::new();
        let mut gone = BTreeSet::new();
        let mut last = 0;
        let mut lost = 0;
        for event in &world.backend.stored {
            let seq = event["seq"].as_u64().unwrap();
            prop_assert!(seq > last, "{seq} after {last}");
            last = seq;
            if event["type"] == "satellite.events.gap" {
                let data = &event["data"];
                let (from, to) = (data["from_seq"].as_u64().unwrap(), data["to_seq"].as_u64().unwrap());
                prop_assert_eq!(to, seq);
                gone.extend(from..=to);
                lost += data["count"].as_u64().unwrap();
            } else {
                known.insert(seq);
            }
        }
        for (seq, poison) in &world.emitted {
            if *poison {
                prop_assert!(!known.contains(seq));
            } else {
                prop_assert!(known.contains(seq) || gone.contains(seq), "{seq} vanished");
            }
        }
        prop_assert_eq!(lost, world.bench.outbox.view().dropped);
        prop_assert!(lost == 0 || capacity < 10_000);
    }
}
