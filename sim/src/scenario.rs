//! What a run is about: who is there, what goes wrong until when, and what must be true in the end.

mod checks;

use satellite_core::time::{HOUR, MINUTE, SECOND};
use serde_json::json;

use crate::stage::network::Faults;
use crate::stage::processes::Behaviour;
use crate::stage::{EPOCH, Stage, Violation};

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A satellite pairs over a bad network and serves what it is given.
    Pairing,
    /// The Backend goes away and comes back.
    Outage,
    /// Servers die, some of them for good, and a command brings one back.
    CrashingChild,
    /// The daemon is killed again and again.
    KilledDaemon,
    /// Everything at once, several satellites, most of a day.
    Storm,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 5] = [
        Scenario::Pairing,
        Scenario::Outage,
        Scenario::CrashingChild,
        Scenario::KilledDaemon,
        Scenario::Storm,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Pairing => "pairing",
            Scenario::Outage => "outage",
            Scenario::CrashingChild => "crashing-child",
            Scenario::KilledDaemon => "killed-daemon",
            Scenario::Storm => "storm",
        }
    }

    /// What it is about, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Scenario::Pairing => "a satellite pairs over a bad network and serves what it is given",
            Scenario::Outage => "the Backend goes away for ten minutes and comes back",
            Scenario::CrashingChild => "servers die, one for good, until a command brings it back",
            Scenario::KilledDaemon => "the daemon is killed and started again and again",
            Scenario::Storm => "two satellites, all faults at once, most of a day",
        }
    }

    /// Simulated milliseconds until the end; the last quarter is without faults.
    fn length_ms(self) -> u64 {
        match self {
            Scenario::Pairing => 40 * MINUTE,
            Scenario::Outage | Scenario::CrashingChild | Scenario::KilledDaemon => 2 * HOUR,
            Scenario::Storm => 16 * HOUR,
        }
    }

    /// Runs it with a seed to its end, and checks everything.
    pub fn run(self, seed: u64) -> Run {
        let mut stage = Stage::new(seed);
        stage.backend.grants =
            ["poll-wait", "command-lease", "event-id", "config-version"].into_iter().collect();
        let length = self.length_ms();
        let calm = length / 4 * 3;
        self.prepare(&mut stage, calm);
        stage.later(calm, |stage| {
            stage.network.faults = Faults::default();
            stage.network.is_partitioned = false;
            stage.backend.is_down = false;
            stage.backend.trouble = None;
        });
        stage.run_until(EPOCH.after(length));
        let violation = stage.violation.take().or_else(|| checks::converged(self, &stage).err());
        Run { scenario: self, seed, violation, stage }
    }

    fn prepare(self, stage: &mut Stage, calm: u64) {
        let mut random = stage.random("scenario");
        let first = stage.add_satellite("satellite-one");
        stage.backend.serve("steady", Behaviour::Steady.name());
        match self {
            Scenario::Pairing => {
                stage.later(10 * MINUTE, |stage| {
                    stage.backend.serve("added-later", Behaviour::Steady.name());
                    stage.backend.command("sat_0", "configure", &json!({"event": "added"}));
                });
                stage.later(12 * MINUTE, |stage| {
                    stage.backend.remove("added-later");
                    stage.backend.command("sat_0", "configure", &json!({"event": "removed"}));
                });
                // A satellite that meets a dead Backend at its very first start must end, so the
                // network gets bad only once it is paired.
                let faults = Faults::draw(&mut random);
                stage.later(MINUTE, move |stage| stage.network.faults = faults);
            }
            Scenario::Outage => outage(stage, calm, &mut random),
            Scenario::CrashingChild => {
                stage.backend.serve("crashing", Behaviour::Crashing.name());
                stage.backend.serve("fragile", Behaviour::Fragile.name());
                stage.backend.serve("missing", Behaviour::Missing.name());
                stage.backend.serve("silent", Behaviour::Silent.name());
                stage.later(10 * MINUTE, |stage| {
                    // What crashed is mended, and somebody says so.
                    stage.backend.serve("crashing", Behaviour::Steady.name());
                    stage.backend.command("sat_0", "configure", &json!({"event": "mended"}));
                });
                stage.later(15 * MINUTE, |stage| {
                    let payload = json!({"installation_id": "i-crashing"});
                    stage.backend.command("sat_0", "restart", &payload);
                });
            }
            Scenario::KilledDaemon => {
                stage.backend.serve("stubborn", Behaviour::Stubborn.name());
                kills(stage, first, calm, &mut random);
            }
            Scenario::Storm => storm(stage, calm, &mut random),
        }
        stage.start(first);
    }
}

/// The Backend is away for ten minutes, in one of the ways in which it can be.
fn outage(stage: &mut Stage, calm: u64, random: &mut satellite_core::random::Random) {
    let from = random.between(5 * MINUTE, 20 * MINUTE);
    let way = random.below(4);
    stage.later(from, move |stage| match way {
        0 => stage.backend.is_down = true,
        1 => stage.network.is_partitioned = true,
        2 => stage.backend.trouble = Some((503, Some(30))),
        _ => stage.backend.trouble = Some((429, None)),
    });
    // A client keeps its server awake, and the server dies while nobody can be told.
    stage.later(from + MINUTE, |stage| stage.want_all(0));
    stage.later(from + 2 * MINUTE, |stage| stage.kill_process(0));
    stage.later((from + 10 * MINUTE).min(calm), |stage| {
        stage.backend.is_down = false;
        stage.backend.trouble = None;
        stage.network.is_partitioned = false;
        stage.backend.command("sat_0", "health_check", &json!({}));
    });
}

fn kills(
    stage: &mut Stage,
    satellite: usize,
    calm: u64,
    random: &mut satellite_core::random::Random,
) {
    let mut at = random.between(MINUTE, 10 * MINUTE);
    while at < calm {
        let down = random.between(SECOND, 5 * MINUTE);
        stage.later(at, move |stage| stage.kill(satellite));
        stage.later(at + down, move |stage| stage.start(satellite));
        at += down + random.between(MINUTE, 30 * MINUTE);
    }
}

fn storm(stage: &mut Stage, calm: u64, random: &mut satellite_core::random::Random) {
    for behaviour in [Behaviour::Fragile, Behaviour::Stubborn, Behaviour::Crashing] {
        stage.backend.serve(behaviour.name(), behaviour.name());
    }
    let second = stage.add_satellite("satellite-two");
    stage.start(second);
    let faults = Faults::draw(random);
    stage.later(MINUTE, move |stage| stage.network.faults = faults);
    kills(stage, second, calm, random);
    let mut at = 2 * MINUTE;
    while at < calm {
        let lasting = random.between(SECOND, 20 * MINUTE);
        let trouble = random.below(5);
        stage.later(at, move |stage| match trouble {
            0 => stage.backend.is_down = true,
            1 => stage.network.is_partitioned = true,
            2 => stage.backend.trouble = Some((500, None)),
            3 => stage.backend.trouble = Some((429, Some(7))),
            _ => stage.kill_process(0),
        });
        stage.later(at + lasting, |stage| {
            stage.backend.is_down = false;
            stage.backend.trouble = None;
            stage.network.is_partitioned = false;
        });
        let is_there = random.chance(1, 2);
        stage.later(at + lasting / 3, move |stage| {
            if is_there {
                stage.backend.serve("passing", Behaviour::Steady.name());
            } else {
                stage.backend.remove("passing");
            }
            for satellite in ["sat_0", "sat_1"] {
                stage.backend.command(satellite, "configure", &json!({"event": "changed"}));
            }
        });
        let kind = if random.chance(1, 2) { "configure" } else { "health_check" };
        let whom = if random.chance(1, 2) { "sat_0" } else { "sat_1" };
        stage.later(at + lasting / 2, move |stage| stage.backend.command(whom, kind, &json!({})));
        at += lasting + random.between(MINUTE, 40 * MINUTE);
    }
}

/// A run and what came of it.
pub struct Run {
    /// What it was about.
    pub scenario: Scenario,
    /// Its seed.
    pub seed: u64,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// The world as it was in the end.
    pub stage: Stage,
}

impl Run {
    /// What went wrong and how to see it again, or nothing.
    pub fn failure(&self) -> Option<String> {
        let Violation { invariant, detail } = self.violation.as_ref()?;
        let (scenario, seed) = (self.scenario.name(), self.seed);
        let step = self.stage.trace.steps();
        let at = self.stage.trace.last_at().unwrap_or_default().to_iso();
        Some(format!(
            "scenario={scenario} seed={seed} step={step} at={at}\n{invariant}: {detail}\n\
             replay: cargo sim run --seed {seed} --scenario {scenario}"
        ))
    }
}
