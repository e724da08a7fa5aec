//! Words about a process that is not the present one: in no state do they change anything.

use super::*;
use crate::process::SpawnFailure;

/// A way to a state.
type Way = (&'static str, fn(&mut Life));

/// Each state that an instance can be in, from online on, and those before it.
const WAYS: [Way; 12] = [
    ("provisioned", |life| *life = Life::new()),
    ("waiting", |life| {
        *life = Life::new();
        life.event(Event::Tick);
    }),
    ("connecting", |life| {
        *life = Life::new();
        life.event(Event::Tick);
        life.event(Event::Placed);
    }),
    ("discovering", |life| {
        *life = Life::new();
        life.event(Event::Tick);
        life.event(Event::Placed);
        let incarnation = life.incarnation();
        life.event(Event::Initialized { incarnation });
    }),
    ("online", |_| {}),
    ("stopping", |life| {
        life.event(Event::KillRequested);
    }),
    ("stopped", |life| {
        life.event(Event::KillRequested);
        life.exit();
    }),
    ("dormant", |life| {
        life.idle();
        life.exit();
    }),
    ("restarting", |life| {
        life.exit();
    }),
    ("failed", |life| {
        life.event(Event::RestartRequested(Restart::Commanded("c".into())));
        life.exit();
        life.event(Event::Placed);
        let incarnation = life.incarnation();
        let failure = SpawnFailure {
            step: String::from("exec"),
            error: String::from("no such file"),
            retryable: false,
        };
        life.event(Event::SpawnFailed { incarnation, failure });
    }),
    ("permanently_failed", |life| {
        for _ in 0..3 {
            life.later(SECOND).exit();
            life.now = life.instance.next_deadline().unwrap().at;
            life.event(Event::Tick);
            life.start();
        }
        life.later(SECOND).exit();
    }),
    ("removed", |life| {
        life.event(Event::RemoveRequested);
        life.exit();
    }),
];

fn words_about(incarnation: Incarnation) -> Vec<Event> {
    let reason = String::from("strange");
    let failure = SpawnFailure { step: reason.clone(), error: reason.clone(), retryable: true };
    let activity = Activity { messages: 99, errors: 99, in_flight: 9, late: 9 };
    vec![
        Event::Spawned { incarnation, pid: 666 },
        Event::SpawnFailed { incarnation, failure },
        Event::Initialized { incarnation },
        Event::Listed { incarnation, inventory: Arc::default() },
        Event::ListsStale { incarnation },
        Event::Unusable { incarnation, step: "initialize", reason: reason.clone() },
        Event::PipesClosed { incarnation, reason },
        Event::Probed { incarnation, answered: false },
        Event::Used { incarnation, activity },
        Event::Exited { incarnation, ended: Ended::default() },
        Event::Frozen { incarnation },
        Event::FreezeFailed { incarnation },
        Event::Thawed { incarnation },
        Event::ThawFailed { incarnation, error: String::from("strange") },
    ]
}

#[test]
fn words_about_another_process_change_nothing_in_any_state() {
    for (name, way) in WAYS {
        let mut life = Life::online();
        way(&mut life);
        assert_eq!(life.instance.state().name(), name);
        // What is shown, but the moment.
        let shown =
            |life: &Life| alloc::format!("{:?} {:?}", life.instance.state(), life.instance.view());
        let before = shown(&life);
        let old = words_about(Incarnation(0)).into_iter().map(|event| (event, true));
        let strange = words_about(Incarnation(1_000)).into_iter().map(|event| (event, false));
        for (event, is_old) in old.chain(strange) {
            let what = alloc::format!("{name}: {event:?}");
            let verdict = life.event(event);
            let late = matches!(verdict, Verdict::Ignored("late"));
            let refused = verdict == Verdict::Refused(Refusal::IllegalTransition);
            assert!(late || refused, "{what}: {verdict:?}");
            // Before the first process there is none that could be late.
            assert!(!is_old || late || life.instance.lifecycle().incarnation == Incarnation(0));
            assert!(life.last.is_empty(), "{what}: {:?}", life.last);
            assert_eq!(shown(&life), before, "{what}");
        }
    }
}

#[test]
fn before_its_time_nothing_is_given_up() {
    for place in ["connecting", "discovering"] {
        let mut life = Life::online();
        let (_, way) = WAYS.into_iter().find(|(name, _)| *name == place).unwrap();
        way(&mut life);
        let until = life.instance.next_deadline().unwrap().at;
        life.now = Timestamp(until.0 - 1);
        assert!(matches!(life.event(Event::Tick), Verdict::Ignored(_)), "{place}");
        life.now = until;
        assert_eq!(life.event(Event::Tick), Verdict::Moved, "{place}");
    }
}
