//! What a run is about: who is there, what goes wrong until when, and what must be true in the end.

mod checks;
mod crowd;
mod far;
mod run;
mod swarm;

use satellite_core::random::Random;
use satellite_core::time::{DAY, HOUR, MINUTE, SECOND};
use serde_json::json;

use crate::stage::faults::{Fault, Rates};
use crate::stage::processes::Behaviour;
use crate::stage::{EPOCH, Stage};
use crate::trace::Trace;
pub use checks::settled;
pub use run::{How, Run};

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
    /// A mixture of faults drawn for each run, for a day.
    Swarm,
    /// Far more servers than places, of teams that ask for very different numbers of them.
    Crowd,
    /// Nothing goes wrong for days: how fast the stage is.
    Quiet,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 8] = [
        Scenario::Pairing,
        Scenario::Outage,
        Scenario::CrashingChild,
        Scenario::KilledDaemon,
        Scenario::Storm,
        Scenario::Swarm,
        Scenario::Crowd,
        Scenario::Quiet,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Pairing => "pairing",
            Scenario::Outage => "outage",
            Scenario::CrashingChild => "crashing-child",
            Scenario::KilledDaemon => "killed-daemon",
            Scenario::Storm => "storm",
            Scenario::Swarm => "swarm",
            Scenario::Crowd => "crowd",
            Scenario::Quiet => "quiet",
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
            Scenario::Swarm => "a mixture of all faults, drawn for each run, for a day",
            Scenario::Crowd => "far more servers than places, of teams with many and with few",
            Scenario::Quiet => "nothing goes wrong for days",
        }
    }

    /// Simulated milliseconds during which things go wrong.
    fn troubled_ms(self) -> u64 {
        match self {
            Scenario::Pairing => 30 * MINUTE,
            Scenario::Outage
            | Scenario::CrashingChild
            | Scenario::KilledDaemon
            | Scenario::Crowd => 90 * MINUTE,
            Scenario::Storm => 12 * HOUR,
            Scenario::Swarm => DAY,
            Scenario::Quiet => 3 * DAY,
        }
    }

    /// Simulated milliseconds within which everything comes right once nothing goes wrong.
    pub fn settles_within_ms(self) -> u64 {
        match self {
            Scenario::Pairing => 10 * MINUTE,
            Scenario::Outage | Scenario::CrashingChild | Scenario::KilledDaemon => 30 * MINUTE,
            Scenario::Storm => 4 * HOUR,
            Scenario::Swarm | Scenario::Quiet => 45 * MINUTE,
            // Two at a time, five minutes each, from the start of a daemon.
            Scenario::Crowd => 2 * HOUR,
        }
    }

    /// Runs it with a seed to its end, checks everything, and keeps the text of its trace.
    pub fn run(self, seed: u64) -> Run {
        self.run_as(seed, How { keeps_trace: true, ..How::default() })
    }

    /// Runs it with a seed, and checks everything.
    pub fn run_as(self, seed: u64, how: How) -> Run {
        let trace = if how.keeps_trace { Trace::default() } else { Trace::quiet() };
        let mut stage = Stage::new(seed, trace);
        stage.until = how.until;
        stage.backend.grants =
            ["poll-wait", "command-lease", "event-id", "config-version"].into_iter().collect();
        let calm = self.troubled_ms();
        self.prepare(&mut stage, calm);
        stage.later(calm, Stage::calm_down);
        stage.run_until(EPOCH.after(calm + self.settles_within_ms()));
        if stage.watch.broken.is_none() && how.until.is_none() {
            let outcome = checks::converged(self, &stage);
            stage.has_converged(outcome);
        }
        Run { scenario: self, seed, violation: stage.watch.broken.take(), stage }
    }

    fn prepare(self, stage: &mut Stage, calm: u64) {
        let mut random = stage.random("scenario");
        let first = stage.add_satellite("satellite-one");
        stage.backend.serve("steady", Behaviour::Steady.name());
        match self {
            Scenario::Pairing => {
                stage.later(10 * MINUTE, |stage| {
                    stage.backend.serve("added-later", Behaviour::Steady.name());
                    stage.file("sat_0", "configure", &json!({"event": "added"}));
                });
                stage.later(12 * MINUTE, |stage| {
                    stage.backend.remove("added-later");
                    stage.file("sat_0", "configure", &json!({"event": "removed"}));
                });
                // A satellite that meets a dead Backend at its very first start must end, so the
                // network gets bad only once it is paired.
                let rates = network(&mut random);
                stage.later(MINUTE, move |stage| stage.rates = rates);
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
                    stage.file("sat_0", "configure", &json!({"event": "mended"}));
                });
                stage.later(15 * MINUTE, |stage| {
                    let payload = json!({"installation_id": "i-crashing"});
                    stage.file("sat_0", "restart", &payload);
                });
            }
            Scenario::KilledDaemon => {
                stage.backend.serve("stubborn", Behaviour::Stubborn.name());
                kills(stage, first, calm, &mut random);
            }
            Scenario::Storm => storm(stage, calm, &mut random),
            Scenario::Swarm => swarm::prepare(stage, calm, &mut random),
            Scenario::Crowd => crowd::prepare(stage, first, calm, &mut random),
            Scenario::Quiet => {}
        }
        stage.start(first);
    }
}

/// The Backend is away for ten minutes, in one of the ways in which it can be.
fn outage(stage: &mut Stage, calm: u64, random: &mut Random) {
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

fn kills(stage: &mut Stage, satellite: usize, calm: u64, random: &mut Random) {
    let mut at = random.between(MINUTE, 10 * MINUTE);
    while at < calm {
        let down = random.between(SECOND, 5 * MINUTE);
        stage.later(at, move |stage| stage.kill(satellite, false));
        stage.later(at + down, move |stage| stage.start(satellite));
        at += down + random.between(MINUTE, 30 * MINUTE);
    }
}

fn storm(stage: &mut Stage, calm: u64, random: &mut Random) {
    for behaviour in [Behaviour::Fragile, Behaviour::Stubborn, Behaviour::Crashing] {
        stage.backend.serve(behaviour.name(), behaviour.name());
    }
    let second = stage.add_satellite("satellite-two");
    stage.start(second);
    let rates = network(random);
    stage.later(MINUTE, move |stage| stage.rates = rates);
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
                stage.file(satellite, "configure", &json!({"event": "changed"}));
            }
        });
        let kind = if random.chance(1, 2) { "configure" } else { "health_check" };
        let whom = if random.chance(1, 2) { "sat_0" } else { "sat_1" };
        stage.later(at + lasting / 2, move |stage| stage.file(whom, kind, &json!({})));
        at += lasting + random.between(MINUTE, 40 * MINUTE);
    }
}

/// A bad day of the network: which faults occur, and how often.
fn network(random: &mut Random) -> Rates {
    let mut rates = Rates::default();
    for fault in [
        Fault::Loss,
        Fault::Refused,
        Fault::OneWay,
        Fault::CutAnswer,
        Fault::Duplicate,
        Fault::Delay,
    ] {
        let rate = if random.chance(1, 2) { random.below(1_200) } else { 0 };
        rates.set(fault, rate);
    }
    rates
}
