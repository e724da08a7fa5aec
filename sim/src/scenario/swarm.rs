//! A day on which a mixture of faults, drawn for each run, strikes satellites that have work to do.

use satellite_core::random::Random;
use satellite_core::time::{HOUR, MINUTE, SECOND};
use serde_json::json;

use crate::stage::faults::Rates;
use crate::stage::processes::Behaviour;
use crate::stage::{EPOCH, Stage};

/// What a swarm's servers are like.
const SERVERS: [(&str, Behaviour); 6] = [
    ("fragile", Behaviour::Fragile),
    ("stubborn", Behaviour::Stubborn),
    ("crashing", Behaviour::Crashing),
    ("silent", Behaviour::Silent),
    ("missing", Behaviour::Missing),
    ("second", Behaviour::Steady),
];

/// Draws the run.
pub(super) fn prepare(stage: &mut Stage, calm: u64, random: &mut Random) {
    let mut far = stage.far_random();
    stage.rates = Rates::draw(random, &mut far);
    let can_freeze = far.chance(2, 3);
    stage.satellites.iter_mut().for_each(|satellite| satellite.can_freeze = can_freeze);
    stage.restarts_within = Some(5 * 60);
    stage.backend.grants.retain(|_| random.chance(3, 4));
    stage.backend.is_flat = random.chance(1, 8);
    for (slug, behaviour) in SERVERS {
        if random.chance(1, 3) {
            stage.backend.serve(slug, behaviour.name());
        }
        if random.chance(1, 6) {
            // Another of its users has another server behind the same name.
            let (_, other) = SERVERS[random.below(SERVERS.len() as u64) as usize % SERVERS.len()];
            stage.backend.serve_for(slug, other.name(), "u2");
        }
    }
    if random.chance(1, 4) {
        stage.backend.bound_processes(Some(random.between(2, 4)));
    }
    if random.chance(1, 4) {
        let second = stage.add_satellite("satellite-two");
        if let Some(subject) = stage.satellites.get_mut(second) {
            subject.can_freeze = can_freeze;
        }
        stage.start(second);
    }
    stage.begin_weather(EPOCH.after(calm));
    work(stage, calm, random);
    clients(stage, calm, random);
    super::far::prepare(stage, calm, &mut far);
    stage.later(calm, |stage| {
        stage.backend.bound_processes(None);
        stage.file_with_all("configure", &json!({"event": "changed"}));
    });
    stage.later(calm + 2 * MINUTE, |stage| {
        // What was given up for good, or stopped by a command, is wanted again.
        let installations: Vec<String> = stage
            .backend
            .servers
            .values()
            .filter(|server| !server["url"].is_string())
            .filter_map(|server| server["installation_id"].as_str().map(String::from))
            .collect();
        for installation in installations {
            stage.file_with_all("restart", &json!({"installation_id": installation}));
        }
    });
}

/// People configure, command and use the satellites all day.
fn work(stage: &mut Stage, calm: u64, random: &mut Random) {
    let mut at = 2 * MINUTE;
    while at < calm {
        let (what, which, whom) = (random.below(14), random.below(7), random.below(2));
        stage.later(at, move |stage| act(stage, what, which, whom as usize));
        at += random.between(5 * SECOND, HOUR);
    }
}

/// Clients come, call for a while, and go.
fn clients(stage: &mut Stage, calm: u64, random: &mut Random) {
    let mut at = random.between(MINUTE, 2 * HOUR);
    while at < calm {
        let whom = usize::from(random.chance(1, 4));
        stage.later(at, move |stage| stage.want_all(whom));
        for _ in 0..random.between(1, 20) {
            stage.later(at, move |stage| stage.use_all(whom));
            at += random.between(SECOND / 10, MINUTE);
        }
        if random.chance(1, 2) {
            // Asked how they are just before they are frozen.
            let idle = random.between(54 * SECOND, MINUTE);
            stage.later(at + idle, move |stage| act(stage, 4, 0, whom));
        }
        at += random.between(MINUTE, 4 * HOUR);
    }
}

fn act(stage: &mut Stage, what: u64, which: u64, whom: usize) {
    let slug = SERVERS.get(which as usize).map_or("steady", |(slug, _)| slug);
    let Some((id, _)) =
        stage.satellites.get(whom).and_then(|subject| stage.backend.named(&subject.name))
    else {
        return;
    };
    let id = id.to_string();
    let installation = format!("i-{slug}");
    let about = json!({"installation_id": installation, "team_id": "t1"});
    match what {
        0 => stage.file(&id, "configure", &json!({"event": "mcp_installation_created"})),
        1 => stage.file(&id, "restart", &about),
        2 => stage.file(&id, "spawn", &about),
        3 => stage.file(&id, "kill", &about),
        4 => stage.file(&id, "health_check", &json!({})),
        5 => {
            let payload = json!({"check_type": "credential_validation",
                "installation_id": installation});
            stage.file(&id, "health_check", &payload);
        }
        6 => {
            let payload = json!({"action": "update_tool_status", "installation_id": installation,
                "team_id": "t1", "tool_name": "echo", "is_disabled": which.is_multiple_of(2)});
            stage.file(&id, "configure", &payload);
        }
        7 => stage.file(&id, "invalidate_user_token_cache", &json!({"user_id": "u1"})),
        8 => {
            let body = json!({"command_type": "restart", "priority": "high", "payload": about,
                "expires_in": which});
            stage.file_with(&id, body);
        }
        9 => stage.file_with(&id, json!({"command_type": "dance", "payload": null})),
        10 => stage.want_all(whom),
        11 => stage.use_all(whom),
        _ => {
            match SERVERS.get(which as usize) {
                Some((slug, behaviour)) if what == 12 => {
                    stage.backend.serve(slug, behaviour.name())
                }
                Some((slug, _)) if whom == 0 => stage.backend.remove(slug),
                Some((slug, _)) => stage.backend.remove_for(slug, "u1"),
                None if what == 12 => stage.backend.serve("passing", Behaviour::Steady.name()),
                None => stage.backend.remove("passing"),
            }
            let kind = if what == 12 { "normal" } else { "immediate" };
            let body = json!({"command_type": "configure", "priority": kind,
                "payload": {"event": "changed"}});
            stage.file_with(&id, body);
        }
    }
}
