//! Whose turn it is to start, through the whole machine.

use super::*;

/// Of these installations, all of one team each: the machine that has them, and nothing online.
fn waiting(settings: impl FnOnce(&mut Settings), installations: &[(&str, &str)]) -> World {
    let mut world = World::start(Start { credentials: Some(credentials()), ..Start::default() });
    settings(&mut world.control.settings);
    world.answer(Channel::Poll, 200, NONE);
    let servers: Vec<String> = installations
        .iter()
        .map(|(team, name)| {
            server(name, "node").replace(r#""team_id":"t""#, &format!(r#""team_id":"{team}""#))
        })
        .collect();
    world.answer(Channel::Configuration, 200, &configuration(&servers.join(",")));
    world
}

fn started(world: &World) -> Vec<&str> {
    world.spawned.iter().map(|(key, _)| key.installation.as_str()).collect()
}

/// Brings the process that was started as number `which` online.
fn online(world: &mut World, which: usize) {
    let (key, incarnation) = world.spawned[which].clone();
    world.event(Event::Spawned { key: key.clone(), incarnation, pid: 4711 });
    for report in [Report::Initialized, Report::Listed(Arc::default())] {
        world.event(Event::Relay { key: key.clone(), incarnation, report });
    }
}

const SIX: [(&str, &str); 6] =
    [("t", "a"), ("t", "b"), ("t", "c"), ("u", "d"), ("u", "e"), ("v", "f")];

#[test]
fn a_start_that_is_over_makes_way_for_that_of_another_team() {
    let mut world = waiting(|settings| settings.starts_max = 2, &SIX);
    assert_eq!(started(&world), ["a", "d"]);
    let places = world.control.view().places.clone();
    assert_eq!((places.held, places.starting, places.waiting), (2, 2, 4));
    assert_eq!(world.control.view().health.status, SatelliteStatus::Active, "it only takes time");
    online(&mut world, 0);
    assert_eq!(started(&world), ["a", "d", "f"]);
    // One that cannot be started, and one that ends before it is online, are over as well.
    let (key, incarnation) = world.spawned[1].clone();
    let failure =
        SpawnFailure { step: String::from("exec"), error: String::from("no"), retryable: false };
    world.event(Event::SpawnFailed { key, incarnation, failure });
    assert_eq!(started(&world), ["a", "d", "f", "b"]);
    let (key, incarnation) = world.spawned[2].clone();
    world.event(Event::Exited { key, incarnation, ended: Ended::default() });
    assert_eq!(started(&world), ["a", "d", "f", "b", "e"]);
}

#[test]
fn a_team_at_its_quota_is_told_of_and_holds_nobody_up() {
    let mut world = waiting(|settings| settings.team_processes_max = Some(2), &SIX);
    assert_eq!(started(&world), ["a", "d", "f", "b", "e"]);
    let view = world.control.view();
    assert_eq!(view.health.status, SatelliteStatus::Degraded);
    let reasons: Vec<&str> = view.health.reasons.iter().map(String::as_str).collect();
    assert_eq!(
        reasons,
        [
            "1 of the teams have taken the 2 process places that a team may, and 1 of their starts wait"
        ]
    );
    for which in 0..5 {
        online(&mut world, which);
    }
    world.command("kill", r#"{"installation_id":"b"}"#);
    let (key, incarnation) = world.spawned[3].clone();
    world.event(Event::Exited { key, incarnation, ended: Ended::default() });
    assert_eq!(started(&world).last(), Some(&"c"));
}

#[test]
fn many_calls_for_one_that_sleeps_start_it_once() {
    let mut world = waiting(|settings| settings.processes_max = 1, &[("t", "a"), ("t", "b")]);
    online(&mut world, 0);
    let sleeper = world.spawned[0].0.clone();
    world.command("kill", r#"{"installation_id":"a"}"#);
    let (key, incarnation) = world.spawned[0].clone();
    world.event(Event::Exited { key, incarnation, ended: Ended::default() });
    assert_eq!(started(&world), ["a", "b"]);
    for _ in 0..100 {
        world.event(Event::Wanted { key: sleeper.clone() });
    }
    assert_eq!(world.control.view().places.waiting, 1);
    let (key, incarnation) = world.spawned[1].clone();
    let failure =
        SpawnFailure { step: String::from("exec"), error: String::from("no"), retryable: false };
    world.event(Event::SpawnFailed { key, incarnation, failure });
    assert_eq!(started(&world), ["a", "b", "a"]);
}
