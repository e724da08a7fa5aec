//! Far more servers than places: one team has many, another servers that never answer, a third one.

use satellite_core::random::Random;
use satellite_core::time::{MINUTE, SECOND};
use satellite_core::view::InstanceStatus;
use serde_json::json;

use crate::stage::Stage;
use crate::stage::faults::Fault;
use crate::stage::processes::Behaviour;
use crate::stage::satellite::Bounds;

/// Servers of the team that has many.
const MANY: usize = 24;

/// The server of the team that has one.
const ALONE: &str = "alone";

/// Fills the satellite.
pub(super) fn prepare(stage: &mut Stage, satellite: usize, calm: u64, random: &mut Random) {
    let bounds = Bounds {
        processes: random.between(3, 6) as usize,
        per_team: random.chance(1, 2).then(|| random.between(2, 3) as usize),
        starts: random.between(1, 3) as usize,
    };
    // What is drawn after it stays as it was.
    let mut apart = random.clone();
    if let Some(subject) = stage.satellites.get_mut(satellite) {
        subject.bounds = bounds;
        subject.can_freeze = apart.chance(2, 3);
    }
    if apart.chance(1, 2) {
        stage.rates.set(Fault::LimitKill, apart.between(100, 1_000));
    }
    for number in 0..MANY {
        let behaviour = match number % 6 {
            0 => Behaviour::Stubborn,
            1 => Behaviour::Fragile,
            _ => Behaviour::Steady,
        };
        stage.backend.serve(&format!("many-{number:02}"), behaviour.name());
    }
    for number in 0..4 {
        let slug = format!("silent-{number}");
        stage.backend.serve_in("t2", &slug, Behaviour::Silent.name(), "u1");
    }
    stage.backend.serve_in("t2", "crashing", Behaviour::Crashing.name(), "u1");
    stage.backend.serve_in("t3", ALONE, Behaviour::Steady.name(), "u1");
    stage.later(calm + 2 * MINUTE, move |stage| bring_back(stage, satellite));
    let mut at = 2 * MINUTE;
    while at < calm {
        stage.later(at, move |stage| stage.want_all(satellite));
        stage.later(at + 20 * SECOND, move |stage| stage.use_all(satellite));
        if random.chance(1, 6) {
            stage.later(at + MINUTE, move |stage| stage.kill(satellite, false));
            stage.later(at + 2 * MINUTE, move |stage| stage.start(satellite));
        }
        at += random.between(10 * SECOND, 10 * MINUTE);
    }
}

/// Somebody restarts what limits ended so often that it was given up.
fn bring_back(stage: &mut Stage, satellite: usize) {
    let subject = stage.satellites.get(satellite);
    let Some(control) = subject.and_then(|subject| subject.control.as_ref()) else { return };
    let given_up: Vec<String> = control
        .view()
        .instances
        .iter()
        .filter(|(_, it)| it.status == InstanceStatus::PermanentlyFailed)
        .map(|(key, _)| key.installation.as_str().to_string())
        .filter(|installation| {
            installation.starts_with("i-many") || *installation == format!("i-{ALONE}")
        })
        .collect();
    for installation in given_up {
        stage.file_with_all("restart", &json!({"installation_id": installation}));
    }
}

/// Everybody had a turn: whatever can be started has been online.
pub(super) fn was_fair(stage: &Stage) -> Result<(), String> {
    for subject in &stage.satellites {
        let Some(control) = &subject.control else { continue };
        let view = control.view();
        if view.places.waiting > 0 {
            return Err(format!("{} still wait for a turn", view.places.waiting));
        }
        let online = |it: &&std::sync::Arc<satellite_core::view::InstanceView>| {
            it.status == InstanceStatus::Online
        };
        let count = view.instances.values().filter(online).count();
        // All but the silent ones, the one that crashes, and what a fragile one is up to.
        if count < MANY - MANY / 6 {
            return Err(format!("{count} of {} serve", view.instances.len()));
        }
    }
    Ok(())
}
