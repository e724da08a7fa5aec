//! Idleness against the rule in its plainest form: unused for the idle time, past the grace after
//! its start, and nothing in flight; with an idle time of 0 never.

use proptest::prelude::*;

use super::*;

/// What the rule needs to know.
struct Model {
    idle: u64,
    grace: u64,
    online_since: u64,
    last_used: u64,
    in_flight: usize,
}

impl Model {
    /// Whether it must have been ended by `now`.
    fn is_over(&self, now: u64) -> bool {
        let unused = now >= self.last_used + self.idle && now >= self.online_since + self.idle;
        let settled = now >= self.online_since + self.grace;
        self.idle > 0 && self.in_flight == 0 && unused && settled
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many calls are in flight from here on.
    Used(usize),
    /// So many milliseconds pass.
    Pass(u64),
    /// Time passes until a millisecond before the machine's own deadline.
    AlmostDue,
    /// Time passes until the machine's own deadline.
    Due,
    /// It gives a sign of life.
    Probed,
    Listed,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop_oneof![2 => Just(0usize), 1 => 1usize..4].prop_map(Step::Used),
        3 => (0u64..200_000).prop_map(Step::Pass),
        2 => Just(Step::AlmostDue),
        2 => Just(Step::Due),
        1 => Just(Step::Probed),
        1 => Just(Step::Listed),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn an_instance_sleeps_when_it_is_idle_and_never_while_it_works(
        idle in prop_oneof![Just(0u64), 1u64..2_000, Just(300_000u64), 0u64..700_000],
        grace in prop_oneof![Just(0u64), Just(60_000u64), 0u64..700_000],
        steps in steps(),
        woken in any::<bool>(),
    ) {
        let settings = Settings { spawn_grace_ms: grace, ..Settings::default() };
        let spec = Spec { idle_ms: idle, ..spec() };
        let now = Timestamp(MINUTE);
        let instance = Instance::new(spec, &settings, Random::new(1), now);
        let mut life = Life { instance, now, last: Vec::new() };
        life.event(Event::Tick);
        life.start();
        let begins = |life: &Life| Model {
            idle,
            grace,
            online_since: life.now.0,
            last_used: life.now.0,
            in_flight: 0,
        };
        let mut model = begins(&life);
        let mut messages = 0;
        for step in steps {
            let incarnation = life.incarnation();
            match step {
                Step::Used(in_flight) => {
                    messages += 1;
                    let activity = Activity { messages, in_flight, ..Activity::default() };
                    life.event(Event::Used { incarnation, activity });
                    (model.in_flight, model.last_used) = (in_flight, life.now.0);
                }
                Step::Pass(milliseconds) => {
                    life.later(milliseconds);
                }
                Step::AlmostDue | Step::Due => {
                    let Some(due) = life.instance.next_deadline() else {
                        prop_assert!(idle == 0 || model.in_flight > 0, "nothing ends it otherwise");
                        continue;
                    };
                    prop_assert!(model.is_over(due.at.0) == (due.why == "idle"));
                    prop_assert!(due.at <= life.now || !model.is_over(due.at.0 - 1));
                    let early = u64::from(matches!(step, Step::AlmostDue));
                    life.now = life.now.max(Timestamp(due.at.0 - early));
                }
                Step::Probed => {
                    life.event(Event::Probed { incarnation, answered: true });
                }
                Step::Listed => {
                    life.event(Event::Listed { incarnation, inventory: Arc::default() });
                }
            }
            life.event(Event::Tick);
            let ended = life.last.iter().any(|it| matches!(it, Effect::Terminate { .. }));
            prop_assert_eq!(ended, model.is_over(life.now.0));
            if !ended {
                prop_assert_eq!(life.instance.state().name(), "online");
                continue;
            }
            prop_assert_eq!(life.instance.status(), InstanceStatus::Online, "sleep is not seen");
            if woken {
                // A call that comes while it falls asleep.
                life.event(Event::Wanted);
                life.exit();
                life.event(Event::Placed);
                life.event(Event::Spawned { incarnation: life.incarnation(), pid: 1 });
            } else {
                life.exit();
                prop_assert_eq!(life.instance.state().name(), "dormant");
                prop_assert_eq!(life.instance.next_deadline(), None);
                life.later(1).event(Event::Wanted);
                life.event(Event::Placed);
            }
            let incarnation = life.incarnation();
            life.event(Event::Initialized { incarnation });
            life.event(Event::Listed { incarnation, inventory: Arc::default() });
            prop_assert_eq!(life.instance.state().name(), "online");
            model = begins(&life);
            messages = 0;
        }
    }
}
