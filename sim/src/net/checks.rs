//! What must be true at the end of a run of tier 2, when nothing has gone wrong for a while.

use std::collections::BTreeSet;

use satellite_core::time::{IsoTime, SECOND};
use satellite_core::view::InstanceStatus;
use serde_json::Value;

use super::people::Records;
use super::{Inner, NetScenario, now};

/// What the Backend stored and what the daemon publishes agree with what happened.
pub(super) fn converged(
    scenario: NetScenario,
    inner: &Inner,
    records: &Records,
) -> Result<(), String> {
    paired_once(inner, records)?;
    polls_one_at_a_time(inner)?;
    servers_settled(scenario, inner)?;
    beats(records)?;
    events_stored_once(scenario, inner, records)?;
    commands_done(records)?;
    match scenario {
        NetScenario::KilledDaemon if inner.boots != 4 => {
            Err(format!("{} starts of the daemon", inner.boots))
        }
        NetScenario::Outage if inner.crashes == 0 => Err(String::from("nothing crashed")),
        _ => Ok(()),
    }
}

fn paired_once(inner: &Inner, records: &Records) -> Result<(), String> {
    let [satellite] = records.satellites.as_slice() else {
        return Err(format!("{} satellites", records.satellites.len()));
    };
    if inner.registrations != 1 {
        return Err(format!("paired {} times", inner.registrations));
    }
    if satellite["status"] != "active" {
        return Err(format!("the satellite is {}", satellite["status"]));
    }
    Ok(())
}

fn polls_one_at_a_time(inner: &Inner) -> Result<(), String> {
    match inner.polls.iter().map(super::polls::Polls::most).max() {
        Some(1) => Ok(()),
        most => Err(format!("{most:?} polls of a daemon at once")),
    }
}

fn servers_settled(scenario: NetScenario, inner: &Inner) -> Result<(), String> {
    let status = |behaviour: &str| {
        let installation = inner.installations.get(behaviour)?;
        let mut all = inner.view.instances.iter();
        let (_, instance) = all.find(|(key, _)| key.installation.as_str() == installation)?;
        Some(instance.status)
    };
    if status("steady") != Some(InstanceStatus::Online) {
        return Err(format!("the steady server is {:?}", status("steady")));
    }
    let failed = status("crashing");
    if scenario == NetScenario::CrashingChild && failed != Some(InstanceStatus::PermanentlyFailed) {
        return Err(format!("the crashing server is {failed:?}"));
    }
    if inner.view.outbox.waiting > 0 {
        return Err(format!("{} events wait", inner.view.outbox.waiting));
    }
    Ok(())
}

fn beats(records: &Records) -> Result<(), String> {
    let times = records.heartbeats.iter().map(|beat| beat["timestamp"].clone());
    let latest = times.filter_map(|time| serde_json::from_value::<IsoTime>(time).ok()).max();
    match latest {
        Some(IsoTime(latest)) if now().since(latest) <= 70 * SECOND => Ok(()),
        other => Err(format!("no heartbeat of late: {other:?}")),
    }
}

fn events_stored_once(
    scenario: NetScenario,
    inner: &Inner,
    records: &Records,
) -> Result<(), String> {
    let ids: BTreeSet<&str> =
        records.events.iter().filter_map(|event| event["id"].as_str()).collect();
    if ids.is_empty() || ids.len() != records.events.len() {
        return Err(format!("{} events have {} ids", records.events.len(), ids.len()));
    }
    let is_crash = |event: &&Value| event["type"] == "mcp.server.crashed";
    let crashed = records.events.iter().filter(is_crash).count() as u64;
    // A killed daemon takes with it what it had not told yet.
    if scenario != NetScenario::KilledDaemon && crashed != inner.crashes {
        return Err(format!("{} crashes, {crashed} crash events", inner.crashes));
    }
    Ok(())
}

fn commands_done(records: &Records) -> Result<(), String> {
    let open = records.commands.iter().find(|command| command["status"] != "completed");
    open.map_or(Ok(()), |command| Err(format!("not completed: {command}")))
}
