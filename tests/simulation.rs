//! Seeds of both tiers of the simulation, and that one seed of tier 1 always gives the same run.

use std::sync::{Mutex, PoisonError};

use satellite_sim::net::NetScenario;
use satellite_sim::scenario::Scenario;

/// Tier 2 depends on the runtime's count of tasks, so its runs go one after the other. That one seed
/// always gives the same trace is compared across processes, by `tests/run` (step `twice`).
static NET: Mutex<()> = Mutex::new(());

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
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    for scenario in Scenario::ALL {
        let (first, again) = (scenario.run(7), scenario.run(7));
        assert_eq!(first.stage.trace.text(), again.stage.trace.text(), "{}", scenario.name());
        let other = scenario.run(8);
        assert_ne!(first.stage.trace.text(), other.stage.trace.text(), "{}", scenario.name());
    }
}

fn over_sockets(scenario: NetScenario) {
    let _alone = NET.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in [1, 2] {
        let (_, failure) = scenario.run(seed);
        if let Some(failure) = failure {
            let name = scenario.name();
            panic!("{failure}\nreplay: cargo sim run --scenario {name} --seed {seed}");
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
