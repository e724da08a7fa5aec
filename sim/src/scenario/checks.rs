//! What must be true in the end, when nothing has gone wrong for a while.

use std::collections::BTreeSet;

use satellite_core::control::Control;
use satellite_core::id::InstallationId;
use satellite_core::view::{InstanceStatus, Transport};

use super::Scenario;
use crate::stage::processes::Behaviour;
use crate::stage::{Stage, Violation};

/// Whether the world is as it should be after a time without faults, and as the scenario says.
pub(super) fn converged(scenario: Scenario, stage: &Stage) -> Result<(), Violation> {
    settled(stage)?;
    let invariant = "the scenario's own end";
    own(scenario, stage).map_err(|detail| Violation { invariant, detail })
}

/// Whether the world is as it should be after a time without faults.
pub fn settled(stage: &Stage) -> Result<(), Violation> {
    let checks: [(&'static str, Result<(), String>); 6] = [
        ("in the end every daemon runs and is paired", daemons_run(stage)),
        ("in the end every server is as its process allows", servers_settled(stage)),
        (
            "in the end every server elsewhere is online, or waits for its user",
            remotes_settled(stage),
        ),
        ("in the end every command has its result", commands_done(stage)),
        ("in the end no event waits", events_delivered(stage)),
        ("in the end no process is left over", nothing_left(stage)),
    ];
    for (invariant, outcome) in checks {
        outcome.map_err(|detail| Violation { invariant, detail })?;
    }
    Ok(())
}

fn daemons_run(stage: &Stage) -> Result<(), String> {
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else {
            return Err(format!("{} ended with {:?}", satellite.name, satellite.exited));
        };
        let view = control.view();
        if view.satellite.is_none() || view.link.failures > 0 {
            return Err(format!("{}: {:?}", satellite.name, view.link));
        }
    }
    Ok(())
}

fn servers_settled(stage: &Stage) -> Result<(), String> {
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else { continue };
        let view = control.view();
        let entries = stage.backend.servers.values();
        let installations: BTreeSet<&str> =
            entries.filter_map(|entry| entry["installation_id"].as_str()).collect();
        let (has, should) = (view.servers.len(), installations.len());
        if has != should || view.instances.len() != stage.backend.servers.len() {
            return Err(format!(
                "{} has {has} servers and {} instances, the Backend {should} and {}",
                satellite.name,
                view.instances.len(),
                stage.backend.servers.len()
            ));
        }
        for entry in stage.backend.servers.values() {
            if entry["url"].is_string() {
                continue;
            }
            let behaviour = Behaviour::of(entry["args"][0].as_str().unwrap_or_default());
            let installation = entry["installation_id"].as_str().unwrap_or_default();
            let user = entry["user_id"].as_str().unwrap_or_default();
            let instance = view.instances.iter().find(|(key, _)| {
                key.installation.as_str() == installation && key.user.as_str() == user
            });
            let status = instance.map(|(_, instance)| instance.status);
            let fits = match behaviour {
                Behaviour::Steady | Behaviour::Stubborn => status == Some(InstanceStatus::Online),
                // Nothing calls it, so it may sleep, serve, or be on its way back.
                Behaviour::Fragile => status.is_some(),
                Behaviour::Crashing => status == Some(InstanceStatus::PermanentlyFailed),
                Behaviour::Silent | Behaviour::Missing => matches!(
                    status,
                    Some(InstanceStatus::Error | InstanceStatus::PermanentlyFailed)
                ),
            };
            if !fits {
                return Err(format!(
                    "{}: {installation} ({}) is {status:?}",
                    satellite.name,
                    behaviour.name()
                ));
            }
        }
    }
    Ok(())
}

/// Servers elsewhere are online, but for those whose users' access has ended.
pub(super) fn remotes_settled(stage: &Stage) -> Result<(), String> {
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else { continue };
        remotes_of(stage, control).map_err(|wrong| format!("{}: {wrong}", satellite.name))?;
    }
    Ok(())
}

fn remotes_of(stage: &Stage, control: &Control) -> Result<(), String> {
    let view = control.view();
    let elsewhere = view.instances.iter().filter(|(_, it)| it.transport != Transport::Stdio);
    for (key, instance) in elsewhere {
        let slug = key.installation.as_str().strip_prefix("i-").unwrap_or_default();
        let access = stage.remotes.servers.get(slug).map(|server| {
            let of_user = server.access.get(key.user.as_str()).copied().unwrap_or_default();
            (server.kind.needs_token, of_user.has_ended)
        });
        let expected = match access {
            Some((true, true)) => InstanceStatus::RequiresReauth,
            _ => InstanceStatus::Online,
        };
        if instance.status != expected {
            let message = instance.status_message.as_deref().unwrap_or_default();
            return Err(format!("{key} is {:?}, not {expected:?}: {message}", instance.status));
        }
    }
    Ok(())
}

fn commands_done(stage: &Stage) -> Result<(), String> {
    let open = stage.backend.commands.iter().find(|command| !command.is_final());
    open.map_or(Ok(()), |command| {
        Err(format!(
            "{} is {} after {} deliveries",
            command.body["id"], command.status, command.attempts
        ))
    })
}

fn events_delivered(stage: &Stage) -> Result<(), String> {
    for satellite in &stage.satellites {
        let Some(control) = &satellite.control else { continue };
        let outbox = control.view().outbox;
        if outbox.waiting > 0 || outbox.dropped > 0 {
            return Err(format!("{}: {outbox:?}", satellite.name));
        }
    }
    // A satellite that was never killed told of every crash exactly once.
    let rows = stage.backend.satellites.values();
    let all_taken = rows.into_iter().all(|row| row.ledger.refused.is_empty());
    if all_taken && stage.satellites.iter().all(|satellite| satellite.boot == 1) {
        let all = stage.satellites.iter().flat_map(|satellite| satellite.crashes.values());
        let crashes: u64 = all.sum();
        let told = stage.backend.events_of("mcp.server.crashed");
        if told != crashes {
            return Err(format!("{crashes} crashes, {told} crash events"));
        }
    }
    Ok(())
}

fn nothing_left(stage: &Stage) -> Result<(), String> {
    let installed: BTreeSet<&str> = stage
        .backend
        .servers
        .values()
        .filter_map(|server| server["installation_id"].as_str())
        .collect();
    for (index, satellite) in stage.satellites.iter().enumerate() {
        let left: BTreeSet<u32> = stage
            .processes
            .of(index)
            .filter(|(key, process)| {
                process.boot != satellite.boot || !installed.contains(key.installation.as_str())
            })
            .map(|(_, process)| process.pid)
            .collect();
        if !left.is_empty() {
            return Err(format!("{}: {left:?}", satellite.name));
        }
    }
    Ok(())
}

fn own(scenario: Scenario, stage: &Stage) -> Result<(), String> {
    let wrong = |what: &str| Err(String::from(what));
    match scenario {
        Scenario::CrashingChild => {
            if stage.backend.events_of("mcp.server.permanently_failed") == 0 {
                return wrong("nothing failed for good, though it crashed again and again");
            }
            let of_crashing =
                |(installation, _): &(&InstallationId, &u64)| installation.as_str() == "i-crashing";
            let crashes = stage.satellites.iter().flat_map(|satellite| &satellite.crashes);
            let crashes: u64 = crashes.filter(of_crashing).map(|(_, count)| count).sum();
            // Three restarts in five minutes, and each of its lives lasts seconds.
            if crashes != 4 {
                return Err(format!("given up after {crashes} crashes, not 4"));
            }
            Ok(())
        }
        Scenario::KilledDaemon if stage.satellites.iter().all(|satellite| satellite.boot < 2) => {
            wrong("no daemon was ever started again")
        }
        Scenario::Outage => {
            let beats = stage.backend.satellites.values().map(|row| row.heartbeats).sum::<u64>();
            if stage.satellites.iter().all(|satellite| satellite.crashes.is_empty()) {
                return wrong("nothing crashed during the outage");
            }
            // 110 of 120 minutes, two a minute.
            if beats < 200 { wrong("heartbeats are missing beyond the outage") } else { Ok(()) }
        }
        Scenario::Crowd => super::crowd::was_fair(stage),
        Scenario::Pairing
        | Scenario::KilledDaemon
        | Scenario::Storm
        | Scenario::Swarm
        | Scenario::Quiet => Ok(()),
    }
}
