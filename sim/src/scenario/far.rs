//! Servers elsewhere in a day of the swarm: several users' instances of each, and people who work
//! with them.

use satellite_core::random::Random;
use satellite_core::time::{HOUR, MINUTE, SECOND};
use serde_json::json;

use super::checks::remotes_settled;
use crate::stage::Stage;
use crate::stage::invariants::Invariant;
use crate::stage::remotes::server::KINDS;

/// Users of servers elsewhere.
const USERS: [&str; 3] = ["u1", "u2", "u3"];
/// After so long without faults people look at what does not work.
const LOOKS_AFTER_MS: u64 = 2 * MINUTE;
/// Within so long of that everything elsewhere works again: the longest pause between two polls,
/// through which a user's new access is heard of, and a discovery.
const BACK_WITHIN_MS: u64 = 8 * MINUTE;

/// Draws what there is elsewhere, if anything is, and what is done with it.
pub(super) fn prepare(stage: &mut Stage, calm: u64, random: &mut Random) {
    if random.chance(3, 5) {
        return;
    }
    let mut slugs = Vec::new();
    for _ in 0..random.between(1, 2) {
        let place = random.below(KINDS.len() as u64) as usize;
        if let Some((slug, _)) = KINDS.get(place).filter(|(slug, _)| !slugs.contains(slug)) {
            add(stage, slug, random);
            slugs.push(slug);
        }
    }
    let mut at = 3 * MINUTE;
    while at < calm {
        let slug = slugs.get(random.below(slugs.len() as u64) as usize).copied().unwrap_or("far");
        let (what, whose) = (random.below(16), random.below(USERS.len() as u64));
        let user = USERS.get(whose as usize).copied().unwrap_or("u1");
        let whom = usize::from(random.chance(1, 4));
        stage.later(at, move |stage| act(stage, what, slug, user, whom));
        at += random.between(5 * SECOND, 4 * HOUR);
    }
    clients(stage, calm, random);
    stage.later(calm + LOOKS_AFTER_MS, look);
    stage.later(calm + LOOKS_AFTER_MS + 2 * MINUTE, want_everything);
}

/// People use what there is elsewhere for a while, and leave it alone again.
fn clients(stage: &mut Stage, calm: u64, random: &mut Random) {
    let mut at = random.between(MINUTE, 2 * HOUR);
    while at < calm {
        let whom = usize::from(random.chance(1, 4));
        for _ in 0..random.between(1, 10) {
            stage.later(at, move |stage| stage.use_elsewhere(whom));
            at += random.between(SECOND / 10, MINUTE);
        }
        at += random.between(MINUTE, 8 * HOUR);
    }
}

fn add(stage: &mut Stage, slug: &'static str, random: &mut Random) {
    stage.remotes.add(slug);
    for (place, user) in USERS.into_iter().enumerate() {
        if place == 0 || random.chance(1, 3) {
            stage.backend.serve_far(slug, user);
        }
    }
}

fn act(stage: &mut Stage, what: u64, slug: &'static str, user: &'static str, whom: usize) {
    let named = stage.satellites.get(whom).and_then(|it| stage.backend.named(&it.name));
    let Some(id) = named.map(|(id, _)| id.to_string()) else { return };
    let installation = format!("i-{slug}");
    let all = json!({"installation_id": installation, "team_id": "t1"});
    let one = json!({"installation_id": installation, "team_id": "t1", "user_id": user});
    let recovery = |about: &serde_json::Value| {
        let mut about = about.clone();
        about["event"] = json!("mcp_recovery");
        about
    };
    match what {
        0 => stage.file(&id, "restart", &one),
        1 => stage.file(&id, "spawn", &one),
        2 => stage.file(&id, "kill", &one),
        3 => stage.file(&id, "configure", &recovery(&all)),
        4 => stage.file(&id, "configure", &recovery(&one)),
        5 => stage.file(&id, "health_check", &all),
        6 => {
            let payload = json!({"check_type": "credential_validation",
                "installation_id": installation});
            stage.file(&id, "health_check", &payload);
        }
        7 => {
            let payload = json!({"action": "update_tool_status", "installation_id": installation,
                "team_id": "t1", "tool_name": "echo", "is_disabled": whom == 0});
            stage.file(&id, "configure", &payload);
        }
        8 => stage.void_tokens(slug, user),
        9 => stage.end_access(slug, user),
        10 => stage.give_access(slug, user),
        11 => {
            stage.give_access(slug, user);
            stage.file(&id, "health_check", &all);
        }
        12 => stage.change_lists(slug),
        13 => stage.want_all(whom),
        _ => {
            if what == 14 {
                stage.backend.serve_far(slug, user);
            } else {
                // What does not work is what goes first.
                let server = stage.remotes.servers.get(slug);
                let ended = server.and_then(|it| it.access.iter().find(|(_, it)| it.has_ended));
                let whose = ended.map_or(user.to_string(), |(user, _)| user.clone());
                stage.backend.remove_for(slug, &whose);
            }
            stage.file_with_all("configure", &json!({"event": "changed"}));
        }
    }
}

/// People see which servers do not work: who is asked to connect again does, or does not; the others
/// are simply used.
fn look(stage: &mut Stage) {
    let waiting: Vec<(String, String)> = stage
        .remotes
        .servers
        .iter()
        .flat_map(|(slug, server)| {
            let users = server.access.keys();
            users.map(|user| (slug.clone(), user.clone()))
        })
        .chain(KINDS.iter().flat_map(|(slug, kind)| {
            let users = USERS.iter().filter(|_| !kind.needs_token);
            users.map(|user| (slug.to_string(), user.to_string()))
        }))
        .collect();
    for (place, (slug, user)) in waiting.into_iter().enumerate() {
        let has_ended = |stage: &Stage| {
            let server = stage.remotes.servers.get(&slug);
            server.and_then(|it| it.access.get(&user)).is_some_and(|it| it.has_ended)
        };
        if !(has_ended(stage) && place.is_multiple_of(2)) {
            stage.give_access(&slug, &user);
        }
    }
    want_everything(stage);
    let boots: Vec<u64> = stage.satellites.iter().map(|it| it.boot).collect();
    stage.later(BACK_WITHIN_MS, move |stage| {
        let same = stage.satellites.iter().zip(boots).all(|(it, boot)| it.boot == boot);
        if same {
            let outcome = remotes_settled(stage);
            stage.watch.holds(Invariant::RemotesReturn, outcome);
        }
    });
}

fn want_everything(stage: &mut Stage) {
    for satellite in 0..stage.satellites.len() {
        stage.want_all(satellite);
        stage.use_elsewhere(satellite);
    }
}
