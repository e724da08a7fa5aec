//! Seeds of both tiers of the simulation, and that one seed always gives the same run.

use std::process::Command;

use satellite_sim::kill_points::{self, Death};
use satellite_sim::net::NetScenario;
use satellite_sim::scenario::{How, Scenario};
use satellite_sim::stage::backend::Doom;

/// Seeds of each scenario; `cargo sim sweep` runs as many as one has time for.
const SEEDS: u64 = 12;

fn sweep(scenario: Scenario) {
    for seed in 1..=SEEDS {
        let run = scenario.run(seed);
        if let Some(failure) = run.failure() {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_satellite_pairs_and_serves_over_a_bad_network() {
    sweep(Scenario::Pairing);
}

#[test]
fn polling_survives_an_outage_of_the_backend() {
    sweep(Scenario::Outage);
}

#[test]
fn children_that_crash_come_back_or_are_given_up() {
    sweep(Scenario::CrashingChild);
}

#[test]
fn a_daemon_killed_again_and_again_keeps_its_pairing_and_leaves_nothing() {
    sweep(Scenario::KilledDaemon);
}

#[test]
fn everything_at_once_ends_well() {
    sweep(Scenario::Storm);
}

#[test]
fn with_far_more_servers_than_places_everybody_has_a_turn() {
    sweep(Scenario::Crowd);
}

/// A few: `tests/run` runs thousands, in a build that is optimised.
#[test]
fn a_day_of_any_mixture_of_faults_ends_well() {
    for seed in 1..=3 {
        if let Some(failure) = Scenario::Swarm.run_as(seed, How::default()).failure() {
            panic!("{failure}");
        }
    }
}

#[test]
fn seeds_that_once_failed_end_well() {
    let list = include_str!("regressions/simulation.txt");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (name, seed) = (words.next(), words.next().and_then(|seed| seed.parse().ok()));
        let scenario = Scenario::ALL.into_iter().find(|scenario| Some(scenario.name()) == name);
        let (Some(scenario), Some(seed)) = (scenario, seed) else { panic!("{line}") };
        if let Some(failure) = scenario.run_as(seed, How::default()).failure() {
            panic!("{failure}");
        }
    }
}

/// One point in fifty: `tests/run` has a death at every one.
#[test]
fn a_death_at_any_point_of_a_life_leaves_nothing_wrong() {
    let undisturbed = kill_points::live(None, false);
    assert_eq!(undisturbed.violation, None);
    let effects = (1..=undisturbed.effects).step_by(50);
    let daemon = effects.map(|effect| Death::Daemon { effect, with_power: effect % 4 == 1 });
    let writes = (1..=undisturbed.writes).step_by(50);
    let backend = writes.map(|write| Death::Backend { write, doom: Doom::AfterWrite });
    for death in daemon.chain(backend) {
        let life = kill_points::live(Some(death), false);
        assert!(life.died, "{death:?}");
        assert_eq!(life.violation, None, "{death:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    for scenario in Scenario::ALL.into_iter().filter(|it| *it != Scenario::Quiet) {
        let (first, again) = (scenario.run(7), scenario.run(7));
        assert_eq!(first.stage.trace.text(), again.stage.trace.text(), "{}", scenario.name());
        let other = scenario.run(8);
        assert_ne!(first.stage.trace.text(), other.stage.trace.text(), "{}", scenario.name());
    }
}

/// Set for the process that only writes its traces to the file of this name.
const TRACES: &str = "SATELLITE_SIMULATION_TRACES";

fn traces() -> String {
    let stage = [Scenario::Outage, Scenario::KilledDaemon].map(|it| it.run(7).stage.trace);
    let stage = stage.iter().map(|trace| trace.text().to_string());
    let net = NetScenario::ALL.map(|scenario| scenario.run(7).trace);
    stage.chain(net).collect()
}

#[test]
fn two_processes_write_the_same_traces_and_so_does_one_process_twice() {
    let here = traces();
    if let Some(file) = std::env::var_os(TRACES) {
        std::fs::write(file, here).expect("the traces can be written");
        return;
    }
    assert_eq!(here, traces(), "twice in one process");
    let file = std::env::temp_dir().join(format!("satellite-traces-{}", std::process::id()));
    let itself = std::env::current_exe().expect("a test has a file");
    let other = Command::new(itself)
        .args(["--exact", "two_processes_write_the_same_traces_and_so_does_one_process_twice"])
        .env(TRACES, &file)
        .output()
        .expect("a test can be started");
    assert!(other.status.success(), "{other:?}");
    let there = std::fs::read_to_string(&file).expect("the other process wrote its traces");
    std::fs::remove_file(&file).expect("the traces can be removed");
    assert_eq!(here, there, "in two processes");
}

#[test]
fn kept_recordings_are_replayed_to_the_same_decisions() {
    let folder = satellite_tests::root().join("tests/recordings");
    let listed = std::fs::read_dir(&folder).expect("there are recordings");
    let mut replayed = 0;
    for file in listed.map(|entry| entry.expect("a file").path()) {
        if file.extension().is_some_and(|kind| kind == "jsonl") {
            let told = satellite_sim::replay::replay(&file, None).unwrap_or_else(|parted| {
                panic!("{parted}\nif this change is wanted: tests/recordings/record")
            });
            eprintln!("{}: {told}", file.display());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "no recording in {}", folder.display());
}

fn over_sockets(scenario: NetScenario) {
    for seed in 1..=SEEDS {
        if let Some(failure) = scenario.run(seed).failure() {
            panic!("{failure}");
        }
    }
}

#[test]
fn over_sockets_a_satellite_pairs_and_serves() {
    over_sockets(NetScenario::Pairing);
}

#[test]
fn over_sockets_polling_survives_a_partition() {
    over_sockets(NetScenario::Outage);
}

#[test]
fn over_sockets_a_child_that_crashes_is_given_up() {
    over_sockets(NetScenario::CrashingChild);
}

#[test]
fn over_sockets_a_killed_daemon_keeps_its_pairing() {
    over_sockets(NetScenario::KilledDaemon);
}

#[test]
fn over_sockets_everything_at_once_ends_well() {
    for seed in 1..=2 * SEEDS {
        if let Some(failure) = NetScenario::Storm.run(seed).failure() {
            panic!("{failure}");
        }
    }
}
