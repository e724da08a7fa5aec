//! What processes use is kept for whoever asks, and told when one comes near a limit.

use super::*;
use crate::cgroup::{Limit, MIB, Usage};
use crate::process::{Sample, TeamSample};

impl World {
    fn measured(&mut self, incarnation: Incarnation, usage: Usage) -> Verdict {
        let (key, at) = (self.spawned[0].0.clone(), self.now);
        let samples = vec![Sample { key, incarnation, usage }];
        self.event(Event::Measured { at, samples, teams: Vec::new() })
    }

    /// All servers of the team together.
    fn team_uses(&mut self, megabytes: Option<u64>) {
        let usage = |mb| Usage { memory_bytes: mb * MIB, ..Usage::default() };
        let sample = |mb| TeamSample { team: "t".into(), usage: usage(mb) };
        let teams = megabytes.into_iter().map(sample).collect();
        let at = self.now;
        self.event(Event::Measured { at, samples: Vec::new(), teams });
    }

    fn uses(&mut self, megabytes: u64) {
        let incarnation = self.spawned.last().expect("something was started").1;
        self.measured(incarnation, Usage { memory_bytes: megabytes * MIB, ..Usage::default() });
    }

    fn warnings(&self) -> Vec<&LogLine> {
        self.logs.iter().filter(|line| line.msg == "a server is near a limit").collect()
    }

    fn degraded_by(&self) -> Vec<String> {
        self.control.view().health.reasons.iter().cloned().collect()
    }
}

#[test]
fn a_server_near_its_limit_is_told_once_with_the_way_out_and_degrades_the_satellite() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    for megabytes in [79, 80, 99, 75] {
        world.uses(megabytes);
    }
    let told = world.told("resource.limit.exceeded");
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told["resource_type"], "memory");
    assert_eq!((&told["installation_id"], &told["user_id"]), (&"i".into(), &"u".into()));
    assert_eq!(told["current_value"], (80 * MIB) as f64);
    assert_eq!(told["limit_value"], (100 * MIB) as f64);
    assert_eq!(told["percent"], 80);
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("SATELLITE_SERVER_LIMITS=\"files:memory=256\""), "{message}");
    assert_eq!(world.warnings().len(), 1);
    assert_eq!(world.degraded_by(), ["a server is near its limit of memory"]);
    assert_eq!(world.control.view().health.status, SatelliteStatus::Degraded);

    world.uses(60);
    assert_eq!(world.control.view().health.status, SatelliteStatus::Active);
    world.uses(85);
    assert_eq!(world.told("resource.limit.exceeded").len(), 1, "it is the next crossing");
}

#[test]
fn what_a_process_uses_is_shown_until_it_ends_and_its_end_is_counted_by_reason() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.uses(90);
    let key = world.spawned[0].0.clone();
    let figures = |world: &World| world.control.view().figures[&key].clone();
    let measured = figures(&world).measured.expect("it was measured");
    assert_eq!(measured.usage.memory_bytes, 90 * MIB);
    assert_eq!(measured.near, [Limit::Memory].into());
    let beat = crate::heartbeat::payload(&world.control.view(), &Default::default(), world.now);
    let told = beat.processes_by_team[&TeamId::from("t")][0].resources.clone().expect("figures");
    assert_eq!((told.memory_bytes, &told.near_limits[..]), (90 * MIB, &[Limit::Memory][..]));
    world.exited();
    let after = figures(&world);
    assert_eq!((after.measured, after.spawned), (None, 1));
    assert_eq!(after.ended, [("failure", 1)].into());
    assert!(!world.degraded_by().iter().any(|reason| reason.contains("memory")));
    // A sample of the process that is gone comes late.
    world.measured(Incarnation(1), Usage::default());
    assert_eq!(figures(&world).measured, None);
    world.later(20 * SECOND);
    world.online();
    world.event(Event::ShutdownRequested);
    world.exited();
    assert_eq!(figures(&world).ended, [("failure", 1), ("told", 1)].into());
}

#[test]
fn an_instance_that_is_gone_leaves_no_figures_and_nobody_adds_any() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.uses(90);
    world.command("configure", "{}");
    world.answer(Channel::Configuration, 200, &configuration(""));
    world.exited();
    world.uses(90);
    world.event(Event::Spawned {
        key: world.spawned[0].0.clone(),
        incarnation: Incarnation(7),
        pid: 1,
    });
    assert!(world.control.view().figures.is_empty());
    assert_eq!(world.control.view().health.status, SatelliteStatus::Active);
}

#[test]
fn a_team_near_a_limit_of_its_own_is_told_once_as_a_server_is() {
    let mut world = World::awake(&server("i", "node"));
    world.online();
    world.team_uses(Some(900));
    assert!(world.told("resource.limit.exceeded").is_empty(), "it has no limit");
    world.control.settings.team_limits.memory_bytes = Some(500 * MIB);
    for megabytes in [399, 400, 499, 360] {
        world.team_uses(Some(megabytes));
    }
    let told = world.told("resource.limit.exceeded");
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&told["team_id"], &told["resource_type"]), (&"t".into(), &"memory".into()));
    assert!(told.get("installation_id").is_none() && told.get("user_id").is_none(), "{told}");
    assert_eq!(
        (&told["percent"], &told["limit_value"]),
        (&80.into(), &((500 * MIB) as f64).into())
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("SATELLITE_TEAM_MEMORY_MB=512"), "{message}");
    assert_eq!(world.degraded_by(), ["a team is near its limit of memory"]);
    let page = crate::metrics::page(&world.control.view());
    for line in [
        "satellite_team_memory_bytes{team=\"t\"} 377487360",
        "satellite_team_memory_limit_bytes{team=\"t\"} 524288000",
        "satellite_team_near_limits{team=\"t\"} 1",
    ] {
        assert!(page.lines().any(|it| it == line), "no {line} in\n{page}");
    }
    // None of its servers runs any more.
    world.team_uses(None);
    assert_eq!(world.control.view().health.status, SatelliteStatus::Active);
    assert!(world.control.view().teams.is_empty());
    world.team_uses(Some(450));
    assert_eq!(world.told("resource.limit.exceeded").len(), 1, "it is the next crossing");
}
