//! What must be true at the end of a run of tier 2, when nothing has gone wrong for a while.

use std::collections::BTreeSet;

use satellite_core::time::{IsoTime, SECOND};
use satellite_core::view::InstanceStatus;
use serde_json::Value;

use super::people::Records;
use super::seen::Seen;
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
    if scenario == NetScenario::Storm {
        commands_took_effect_once(inner, records)?;
        numbers_without_a_hole(records)?;
        calls_ended_once(inner)?;
        processes_of_instances(inner)?;
    } else {
        commands_done(records)?;
    }
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
    if scenario == NetScenario::Storm {
        return Ok(());
    }
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

/// What must be true at every moment: an instance has one process, a command one effect, a call
/// one execution, and a daemon one poll.
pub(super) fn always(inner: &Inner) -> Result<(), String> {
    let Seen { alive, effects, calls, .. } = &inner.seen;
    if let Some((key, count)) = alive.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{count} processes of {key} at once"));
    }
    if let Some((id, count)) = effects.iter().find(|(_, count)| **count > 1) {
        return Err(format!("command {id} took effect {count} times"));
    }
    if let Some((word, call)) = calls.iter().find(|(_, call)| call.executed > 1) {
        return Err(format!("the call {word:?} was executed {} times", call.executed));
    }
    match inner.polls.last().map(super::polls::Polls::most) {
        Some(most) if most > 1 => Err(format!("{most} polls of a daemon at once")),
        _ => Ok(()),
    }
}

/// Each command that was filed has one result: a restart that completed started a process, one that
/// failed did not, unless it says that it was interrupted.
fn commands_took_effect_once(inner: &Inner, records: &Records) -> Result<(), String> {
    let known: BTreeSet<&str> =
        records.commands.iter().filter_map(|it| it["id"].as_str()).collect();
    if let Some(lost) = inner.seen.filed.iter().find(|id| !known.contains(id.as_str())) {
        return Err(format!("command {lost} was filed and is not stored"));
    }
    for command in &records.commands {
        let id = command["id"].as_str().unwrap_or_default();
        let effects = inner.seen.effects.get(id).copied().unwrap_or(0);
        let is_restart = command["command_type"] == "restart";
        let error = command["error_message"].as_str().unwrap_or_default();
        let expected = match command["status"].as_str() {
            Some("completed") => u32::from(is_restart)..=u32::from(is_restart),
            Some("failed") if error.contains("interrupted") => 0..=1,
            Some("failed") => 0..=0,
            _ => return Err(format!("it has no result: {command}")),
        };
        if !expected.contains(&effects) {
            return Err(format!("it took effect {effects} times: {command}"));
        }
    }
    Ok(())
}

/// Each number that the satellite gave an event is stored, or named in a gap.
fn numbers_without_a_hole(records: &Records) -> Result<(), String> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for event in &records.events {
        let Some(seq) = event["seq"].as_u64() else { continue };
        spans.push((seq, seq));
        if event["type"] == "satellite.events.gap" {
            let number = |name: &str| event["data"][name].as_u64().unwrap_or(seq);
            spans.push((number("from_seq"), number("to_seq")));
        }
    }
    spans.sort_unstable();
    let mut reached = spans.first().map_or(0, |(from, _)| *from);
    for (from, to) in spans {
        if from > reached + 1 {
            return Err(format!(
                "events {} to {} are neither stored nor named",
                reached + 1,
                from - 1
            ));
        }
        reached = reached.max(to);
    }
    Ok(())
}

/// Each call ended once. One that was answered was executed; one without any answer was pending at a
/// machine that crashed.
fn calls_ended_once(inner: &Inner) -> Result<(), String> {
    for (word, call) in &inner.seen.calls {
        let is_one = call.ok + call.errors == 1 && (call.is_answered || call.interrupted);
        if !is_one || (call.ok == 1 && call.executed != 1) {
            return Err(format!("the call {word:?} ended as {call:?}"));
        }
    }
    Ok(())
}

/// Each process belongs to an instance that the daemon says has one.
fn processes_of_instances(inner: &Inner) -> Result<(), String> {
    let known: BTreeSet<String> = inner.view.instances.keys().map(ToString::to_string).collect();
    match inner.seen.alive.keys().find(|key| !known.contains(*key)) {
        Some(key) => Err(format!("a process of {key} is left")),
        None => Ok(()),
    }
}
