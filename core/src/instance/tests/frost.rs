//! The light sleep: who is frozen when, who wakes it, and that nothing waits on it for ever.

use proptest::prelude::*;

use super::*;
use crate::view::ProcessStatus;

const FREEZE_MS: u64 = MINUTE;

impl Life {
    /// Online, where processes can be frozen.
    fn able() -> Life {
        let settings = Settings { can_freeze: true, ..Settings::default() };
        let now = Timestamp(MINUTE);
        let instance = Instance::new(spec(), &settings, Random::new(7), now);
        let mut life = Life { instance, now, last: Vec::new() };
        life.event(Event::Tick);
        life.start();
        life
    }

    fn freezing() -> Life {
        let mut life = Life::able();
        assert_eq!(life.later(FREEZE_MS).event(Event::Tick), Verdict::Moved);
        assert_eq!(life.words(), ["online->freezing", "freeze 1"]);
        life
    }

    fn frozen() -> Life {
        let mut life = Life::freezing();
        assert_eq!(life.event(Event::Frozen { incarnation: Incarnation(1) }), Verdict::Moved);
        life
    }

    fn name(&self) -> &'static str {
        self.instance.state().name()
    }
}

#[test]
fn an_idle_process_is_frozen_unseen_and_takes_no_calls_until_it_is_thawed() {
    let mut life = Life::frozen();
    assert_eq!(life.words(), ["freezing->frozen"]);
    let view = life.instance.view();
    assert_eq!((view.status, view.ready), (InstanceStatus::Online, None));
    assert_eq!(view.process.map(|process| process.status), Some(ProcessStatus::Running));
    life.later(SECOND).event(Event::Wanted);
    assert_eq!(life.words(), ["frozen->thawing", "thaw 1"]);
    assert!(matches!(life.event(Event::Wanted), Verdict::Ignored(_)), "once is enough");
    assert!(life.last.is_empty());
    life.event(Event::Thawed { incarnation: Incarnation(1) });
    assert_eq!(life.words(), ["thawing->online"]);
    assert_eq!(life.instance.view().ready, Some(Incarnation(1)));
    life.later(FREEZE_MS - 1).event(Event::Tick);
    life.event(Event::Probed { incarnation: Incarnation(1), answered: true });
    assert_eq!(life.name(), "online");
    life.later(1).event(Event::Tick);
    assert_eq!(life.name(), "freezing", "it is idle anew from when it was thawed");
}

#[test]
fn a_frozen_process_is_ended_when_it_has_been_idle_in_all_as_long_as_any() {
    let mut life = Life::able();
    let used = life.now;
    life.later(FREEZE_MS).event(Event::Tick);
    life.later(SECOND).event(Event::Frozen { incarnation: Incarnation(1) });
    let due = life.instance.next_deadline().unwrap();
    assert_eq!((due.at, due.why), (used.after(spec().idle_ms), "idle"));
    life.now = due.at;
    life.event(Event::Tick);
    assert_eq!(life.words(), ["frozen->stopping", "terminate 1"]);
    life.exit();
    assert_eq!(life.words(), ["stopping->dormant", "mcp.server.dormant", "release"]);
}

#[test]
fn what_cannot_be_frozen_runs_on_and_is_not_tried_again_before_its_next_process() {
    let mut life = Life::freezing();
    life.event(Event::FreezeFailed { incarnation: Incarnation(1) });
    assert_eq!(life.words(), ["freezing->online"]);
    life.later(FREEZE_MS).event(Event::Tick);
    assert_eq!(life.words(), ["probe 1"], "it is spoken to like any other");
    life.event(Event::RestartRequested(Restart::Reconfigured));
    life.exit();
    life.event(Event::Placed);
    let incarnation = Incarnation(2);
    life.event(Event::Initialized { incarnation });
    life.event(Event::Listed { incarnation, inventory: Arc::default() });
    life.later(FREEZE_MS).event(Event::Tick);
    assert_eq!(life.words(), ["online->freezing", "freeze 2"]);
}

#[test]
fn where_it_cannot_be_done_or_is_not_wanted_nothing_is_frozen() {
    for (can_freeze, freeze_after_ms) in [(false, FREEZE_MS), (true, 0)] {
        let settings = Settings { can_freeze, freeze_after_ms, ..Settings::default() };
        let now = Timestamp(MINUTE);
        let instance = Instance::new(spec(), &settings, Random::new(7), now);
        let mut life = Life { instance, now, last: Vec::new() };
        life.event(Event::Tick);
        life.start();
        life.later(FREEZE_MS).event(Event::Tick);
        assert_eq!(life.name(), "online");
    }
}

#[test]
fn a_process_is_not_frozen_while_it_is_asked_for_a_sign_of_life() {
    let mut life = Life::able();
    life.later(FREEZE_MS - 1).event(Event::Tick);
    assert_eq!(life.words(), ["probe 1"]);
    assert!(matches!(life.later(SECOND).event(Event::Tick), Verdict::Ignored(_)));
    life.event(Event::Probed { incarnation: Incarnation(1), answered: true });
    assert_eq!(life.instance.next_deadline().map(|due| due.why), Some("freeze"));
    life.event(Event::Tick);
    assert_eq!(life.name(), "freezing");
}

#[test]
fn a_process_that_hangs_is_found_out_and_not_frozen() {
    let mut life = Life::able();
    for silent in 1..=3 {
        let due = life.instance.next_deadline().unwrap();
        assert_eq!(due.why, "ping", "after {} without an answer", silent - 1);
        life.now = due.at;
        life.event(Event::Tick);
        assert_eq!(life.words(), ["probe 1"]);
        life.later(SECOND).event(Event::Probed { incarnation: Incarnation(1), answered: false });
    }
    assert_eq!(life.words(), ["online->stopping", "error", "terminate 1"]);
}

#[test]
fn a_question_that_a_frozen_process_could_not_answer_does_not_count_against_it() {
    let incarnation = Incarnation(1);
    for mut life in [Life::freezing(), Life::frozen()] {
        let health = life.instance.lifecycle().health;
        for _ in 0..2 {
            let verdict = life.event(Event::Probed { incarnation, answered: false });
            assert_eq!(verdict, Verdict::Ignored("it could not answer"));
            assert_eq!(life.instance.lifecycle().health, health);
            life.event(Event::Wanted);
        }
        assert_eq!(life.name(), "thawing");
    }
}

#[test]
fn a_call_that_was_handed_over_as_it_was_frozen_wakes_it() {
    for mut life in [Life::freezing(), Life::frozen()] {
        let activity = Activity { messages: 1, in_flight: 1, ..Activity::default() };
        life.event(Event::Used { incarnation: Incarnation(1), activity });
        assert_eq!(life.words()[1..], ["thaw 1"]);
        assert_eq!(life.name(), "thawing");
    }
}

#[test]
fn a_call_while_it_is_being_frozen_is_answered_after_both_have_been_done() {
    let incarnation = Incarnation(1);
    for (freeze, verdict) in [
        (Event::Frozen { incarnation }, Verdict::Ignored("it is being thawed")),
        (Event::FreezeFailed { incarnation }, Verdict::Handled),
    ] {
        let mut life = Life::freezing();
        life.event(Event::Wanted);
        assert_eq!(life.words(), ["freezing->thawing", "thaw 1"]);
        assert_eq!(life.event(freeze), verdict);
        assert_eq!(life.instance.view().ready, None);
        life.event(Event::Thawed { incarnation });
        assert_eq!(life.name(), "online");
    }
}

#[test]
fn lists_asked_for_in_vain_while_it_stood_still_are_asked_for_once_more_when_it_runs() {
    let incarnation = Incarnation(1);
    // Its word came before it was frozen; the question ended while it was so.
    let mut life = Life::frozen();
    assert_eq!(life.event(Event::ListsStale { incarnation }), Verdict::Handled);
    assert!(life.last.is_empty());
    life.event(Event::Wanted);
    life.event(Event::Thawed { incarnation });
    assert_eq!(life.words(), ["thawing->online", "relist 1"]);
    let verdict = life.later(SECOND).event(Event::ListsStale { incarnation });
    assert_eq!(verdict, Verdict::Ignored("those known before stay"));
    // The question ended just after it was thawed: too soon for an answer.
    let mut life = Life::frozen();
    life.event(Event::Wanted);
    life.event(Event::Thawed { incarnation });
    assert_eq!(life.words(), ["thawing->online"]);
    life.later(1).event(Event::ListsStale { incarnation });
    assert_eq!(life.words(), ["relist 1"]);
    assert!(matches!(life.event(Event::ListsStale { incarnation }), Verdict::Ignored(_)));
    // It could not be frozen, which took that long.
    let mut life = Life::freezing();
    life.event(Event::ListsStale { incarnation });
    life.event(Event::FreezeFailed { incarnation });
    assert_eq!(life.words(), ["freezing->online", "relist 1"]);
    // It never slept: a server whose lists cannot be read is not asked again and again.
    let mut life = Life::able();
    assert!(matches!(life.event(Event::ListsStale { incarnation }), Verdict::Ignored(_)));
}

#[test]
fn what_cannot_be_thawed_is_ended_and_started_again() {
    let incarnation = Incarnation(1);
    let error = String::from("permission denied");
    for thaw in [Some(Event::ThawFailed { incarnation, error }), None] {
        let mut life = Life::frozen();
        life.event(Event::Wanted);
        let event = thaw.unwrap_or_else(|| {
            life.now = life.instance.next_deadline().unwrap().at;
            Event::Tick
        });
        life.event(event);
        assert_eq!(life.words(), ["thawing->stopping", "error", "terminate 1"]);
        life.exit();
        assert_eq!(
            life.words(),
            ["stopping->restarting", "restarting", "mcp.server.stopped", "release"]
        );
    }
}

#[test]
fn room_is_made_by_what_is_frozen_and_by_nothing_else() {
    let mut life = Life::able();
    assert!(matches!(life.event(Event::RoomWanted), Verdict::Ignored(_)));
    let mut life = Life::frozen();
    life.event(Event::RoomWanted);
    assert_eq!(life.words(), ["frozen->stopping", "terminate 1"]);
    life.exit();
    assert_eq!(life.name(), "dormant");
}

#[test]
fn whatever_ends_a_process_ends_a_frozen_one() {
    let ways: [fn() -> Life; 3] = [Life::freezing, Life::frozen, || {
        let mut life = Life::frozen();
        life.event(Event::Wanted);
        life
    }];
    for way in ways {
        for event in [
            Event::KillRequested,
            Event::RemoveRequested,
            Event::DrainRequested,
            Event::RestartRequested(Restart::Reconfigured),
        ] {
            let mut life = way();
            assert_eq!(life.event(event), Verdict::Moved);
            assert_eq!(life.words().last().map(String::as_str), Some("terminate 1"));
        }
        let mut life = way();
        life.exit();
        assert_eq!(life.name(), "restarting");
        let mut life = way();
        let reason = String::from("closed");
        life.event(Event::PipesClosed { incarnation: Incarnation(1), reason });
        life.event(Event::Wanted);
        life.now = life.instance.next_deadline().unwrap().at;
        life.event(Event::Tick);
        assert_eq!(life.name(), "stopping", "its end is not awaited for ever");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Due,
    Wanted,
    Used(usize),
    /// The host does what it was asked first, and whether it succeeds.
    Done(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..100_000).prop_map(Step::Pass),
        3 => Just(Step::Due),
        2 => Just(Step::Wanted),
        2 => (0usize..2).prop_map(Step::Used),
        4 => any::<bool>().prop_map(Step::Done),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// Against a host that does one thing after another, however late.
    #[test]
    fn what_is_ready_runs_and_who_wants_it_is_served_in_the_end(steps in steps()) {
        let mut life = Life::able();
        let (mut asked, mut is_frozen) = (alloc::collections::VecDeque::new(), false);
        for step in steps {
            let incarnation = life.incarnation();
            match step {
                Step::Pass(milliseconds) => {
                    life.later(milliseconds).event(Event::Tick);
                }
                Step::Due => {
                    if let Some(due) = life.instance.next_deadline() {
                        life.now = life.now.max(due.at);
                        life.event(Event::Tick);
                    }
                }
                Step::Wanted => {
                    life.event(Event::Wanted);
                }
                Step::Used(in_flight) => {
                    let activity = Activity { messages: 1, in_flight, ..Activity::default() };
                    life.event(Event::Used { incarnation, activity });
                }
                Step::Done(succeeds) => match asked.pop_front() {
                    Some(true) => {
                        is_frozen = succeeds;
                        life.event(match succeeds {
                            true => Event::Frozen { incarnation },
                            false => Event::FreezeFailed { incarnation },
                        });
                    }
                    Some(false) => {
                        is_frozen = false;
                        life.event(Event::Thawed { incarnation });
                    }
                    None => {}
                },
            }
            for effect in &life.last {
                match effect {
                    Effect::Freeze { .. } => asked.push_back(true),
                    Effect::Thaw { .. } => asked.push_back(false),
                    _ => {}
                }
            }
            if life.last.iter().any(|effect| matches!(effect, Effect::Probe { .. })) {
                prop_assert!(!is_frozen && asked.is_empty(), "it could not answer");
                life.event(Event::Probed { incarnation, answered: true });
            }
            let state = life.name();
            if state == "stopping" {
                // It ends whether it is frozen or not.
                break;
            }
            if life.instance.view().ready.is_some() {
                prop_assert!(!is_frozen && asked.is_empty(), "{state}: {asked:?}");
            }
            prop_assert!(!is_frozen || state != "online");
            prop_assert!(asked.len() <= 2, "one of each at most: {asked:?}");
            let works = life.instance.lifecycle().present.in_flight > 0;
            prop_assert!(!works || matches!(state, "online" | "thawing"), "{state}");
            prop_assert!(state != "thawing" || life.instance.next_deadline().is_some());
            prop_assert_eq!(life.instance.status(), InstanceStatus::Online);
        }
    }
}
