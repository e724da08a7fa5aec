//! What goes wrong in a run of tier 2, drawn from its seed, and enough time without trouble after.

use satellite_core::random::Random;
use serde_json::json;
use turmoil::Sim;

use super::{BACKEND, NetScenario, SATELLITE, World, act, people, steps, storm};

/// Makes the trouble of a scenario.
pub(super) fn make(
    scenario: NetScenario,
    sim: &mut Sim<'_>,
    seed: u64,
    world: &World,
) -> Result<(), String> {
    let mut random = Random::new(seed).fork("trouble");
    match scenario {
        NetScenario::Pairing => {
            bad_network(sim, &mut random, world);
            steps(sim, world, 90)?;
            good_network(sim, world);
            steps(sim, world, 330)
        }
        NetScenario::CrashingChild => {
            steps(sim, world, 60)?;
            let installation = world.lock().installations.get("crashing").cloned();
            let payload = json!({"installation_id": installation});
            act(sim, world, "commander", people::command("restart", payload))?;
            steps(sim, world, 120)
        }
        NetScenario::Outage => outage(sim, &mut random, world),
        NetScenario::KilledDaemon => {
            for _ in 0..3 {
                sim.crash(SATELLITE);
                steps(sim, world, random.between(1, 30))?;
                sim.bounce(SATELLITE);
                // At times it is killed again before it is through with its start.
                steps(sim, world, if random.chance(1, 3) { 1 } else { random.between(5, 120) })?;
            }
            steps(sim, world, 90)
        }
        NetScenario::Storm => storm::rage(sim, seed, world),
    }
}

/// The Backend cannot be reached, in one of the ways in which that can be.
fn outage(sim: &mut Sim<'_>, random: &mut Random, world: &World) -> Result<(), String> {
    let way = random.below(4);
    world.note(
        "network",
        ["cut", "cut on the way there", "cut on the way back", "held"][way as usize],
    );
    match way {
        0 => sim.partition(SATELLITE, BACKEND),
        1 => sim.partition_oneway(SATELLITE, BACKEND),
        2 => sim.partition_oneway(BACKEND, SATELLITE),
        // What is sent arrives, and much too late.
        _ => sim.hold(SATELLITE, BACKEND),
    }
    act(sim, world, "commander", people::command("health_check", json!({})))?;
    steps(sim, world, random.between(80, 240))?;
    sim.repair(SATELLITE, BACKEND);
    sim.release(SATELLITE, BACKEND);
    world.note("network", "whole");
    // The longest wait between polls is 5 minutes.
    steps(sim, world, 330)
}

/// Some connections break.
fn bad_network(sim: &mut Sim<'_>, random: &mut Random, world: &World) {
    let rate = [0.0, 0.02, 0.1][random.below(3) as usize];
    world.note("network", &format!("fails {rate}"));
    sim.set_fail_rate(rate);
}

fn good_network(sim: &mut Sim<'_>, world: &World) {
    sim.set_fail_rate(0.0);
    sim.repair(SATELLITE, BACKEND);
    world.note("network", "whole");
}
