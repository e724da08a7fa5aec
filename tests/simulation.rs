//! Seeds of both tiers of the simulation, and that one seed always gives the same run.

use satellite_sim::scenario::Scenario;

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
