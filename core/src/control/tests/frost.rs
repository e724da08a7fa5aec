//! Frozen instances and the places they take up.

use super::*;

/// Both servers online in a satellite with two places, the one that was started last frozen first.
fn both_frozen() -> World {
    let mut world = World::start(Start { credentials: Some(credentials()), ..Start::default() });
    world.control.settings.can_freeze = true;
    world.control.settings.idle_timeout_ms = 60 * MINUTE;
    world.control.settings.processes_max = 2;
    world.answer(Channel::Poll, 200, NONE);
    let servers = format!("{},{}", server("i", "node"), server("j", "node"));
    world.answer(Channel::Configuration, 200, &configuration(&servers));
    for (key, incarnation) in world.spawned.clone() {
        world.event(Event::Spawned { key: key.clone(), incarnation, pid: 1 });
        for report in [Report::Initialized, Report::Listed(Arc::default())] {
            world.event(Event::Relay { key: key.clone(), incarnation, report });
        }
    }
    world.later(MINUTE);
    let asked = world.frost.clone();
    assert_eq!(asked.iter().map(|(freeze, ..)| *freeze).collect::<Vec<_>>(), [true, true]);
    for (_, key, incarnation) in asked.into_iter().rev() {
        world.event(Event::Frozen { key, incarnation });
        world.later(1);
    }
    world
}

#[test]
fn a_start_without_a_place_sends_the_longest_frozen_to_sleep() {
    let mut world = both_frozen();
    let [(i, _), (j, at_j)] = [world.spawned[0].clone(), world.spawned[1].clone()];
    let all = ["i", "j", "k"].map(|name| server(name, "node")).join(",");
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 200, &configuration(&all));
    assert_eq!(world.terminated, [at_j], "j was frozen first; one place is enough");
    world.event(Event::Tick);
    assert_eq!(world.terminated.len(), 1);
    world.event(Event::Exited { key: j, incarnation: at_j, ended: Ended::default() });
    assert_eq!(world.spawned.len(), 3);
    assert_eq!(world.spawned[2].0.installation, "k".into());
    assert!(world.control.instances[&i].frozen_at().is_some());
}

#[test]
fn a_frozen_process_is_thawed_for_a_call_and_a_failure_to_freeze_is_logged_once() {
    let mut world = both_frozen();
    let (key, incarnation) = world.spawned[0].clone();
    let ready = |world: &World| world.control.view().instances[&key].ready;
    assert_eq!(ready(&world), None);
    world.event(Event::Wanted { key: key.clone() });
    assert_eq!(world.frost.last(), Some(&(false, key.clone(), incarnation)));
    assert_eq!(ready(&world), None);
    world.event(Event::Thawed { key: key.clone(), incarnation });
    assert_eq!(ready(&world), Some(incarnation));
    world.later(MINUTE);
    assert_eq!(world.frost.last(), Some(&(true, key.clone(), incarnation)));
    let error = String::from("busy");
    world.event(Event::FreezeFailed { key: key.clone(), incarnation, error });
    assert_eq!(ready(&world), Some(incarnation));
    let asked = world.frost.len();
    world.later(2 * MINUTE);
    assert_eq!(world.frost.len(), asked);
    let told = |line: &&LogLine| line.msg.contains("could not be frozen");
    assert_eq!(world.logs.iter().filter(told).count(), 1);
}

#[test]
fn lists_that_a_frozen_process_was_asked_for_in_vain_are_asked_for_again_once_it_is_thawed() {
    let mut world = both_frozen();
    let (key, incarnation) = world.spawned[0].clone();
    let stale = Report::ListsStale { step: "tools/list", reason: String::from("no answer") };
    world.event(Event::Relay { key: key.clone(), incarnation, report: stale });
    assert!(world.relisted.is_empty(), "it stands still");
    for _ in 0..2 {
        world.event(Event::Wanted { key: key.clone() });
        world.event(Event::Thawed { key: key.clone(), incarnation });
        assert_eq!(world.relisted, [(key.clone(), incarnation)], "once");
        world.later(MINUTE);
        world.event(Event::Frozen { key: key.clone(), incarnation });
    }
}
