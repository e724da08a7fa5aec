//! One published state: what is said of it in different places agrees.

use satellite_core::id::InstanceKey;
use satellite_core::limits::HEARTBEAT_INTERVAL_MS;
use satellite_core::log::{LogLine, Value as Field};
use satellite_core::time::{SECOND, Timestamp};
use satellite_core::view::{InstanceStatus, ServerStatus, View};
use serde_json::Value;

use super::Invariant;
use crate::stage::Stage;

/// Of so many heartbeats the content of one is read.
const HEARTBEATS_PER_READING: u64 = 8;

/// An installation is online where one of its instances is, and nowhere else.
pub(super) fn servers_follow_instances(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(control) = stage.satellites.get(index).and_then(|it| it.control.as_ref()) else {
        return Ok(());
    };
    let view = control.view();
    for (id, server) in &view.servers {
        let of_it = |key: &&InstanceKey| key.installation == *id;
        let mut instances = view.instances.iter().filter(|(key, _)| of_it(key));
        let online = instances.any(|(_, i)| i.status == InstanceStatus::Online);
        if online != (server.status == ServerStatus::Online) {
            return Err(format!("server {id} of satellite {index} is {:?}", server.status));
        }
    }
    let stray = view.paths.iter().find(|(_, key)| !view.instances.contains_key(*key));
    stray
        .map_or(Ok(()), |(path, key)| Err(format!("the path {path} leads to {key}, which is gone")))
}

/// Events wait in a queue that has an end.
pub(super) fn queues_are_bounded(stage: &Stage, index: usize) -> Result<(), String> {
    let Some(control) = stage.satellites.get(index).and_then(|it| it.control.as_ref()) else {
        return Ok(());
    };
    let outbox = control.view().outbox;
    if outbox.waiting > outbox.capacity {
        return Err(format!(
            "{} of {} events of satellite {index}",
            outbox.waiting, outbox.capacity
        ));
    }
    Ok(())
}

/// When no event waits, the Backend knows the status of every instance. `None` while it cannot.
pub(super) fn statuses_agree(stage: &Stage, index: usize) -> Option<Result<(), String>> {
    let subject = stage.satellites.get(index)?;
    let view = subject.control.as_ref()?.view();
    let (_, row) = stage.backend.named(&subject.name)?;
    if view.outbox.waiting > 0 || view.outbox.dropped > 0 || !row.ledger.refused.is_empty() {
        return None;
    }
    for (key, instance) in &view.instances {
        let of = (key.installation.as_str().to_string(), key.user.as_str().to_string());
        let told = row.ledger.statuses.get(&of).map(|(_, status)| status.as_str());
        if told != Some(instance.status.as_str()) {
            return Some(Err(format!(
                "{key} of {} is {}, and the Backend was told {told:?}",
                subject.name,
                instance.status.as_str()
            )));
        }
    }
    Some(Ok(()))
}

/// A heartbeat leaves: it comes in time, and says what the view says.
pub(in crate::stage) fn heartbeat(stage: &mut Stage, index: usize, number: u64, body: &[u8]) {
    let Some(subject) = stage.satellites.get(index) else { return };
    let now = subject.clock.show(stage.now());
    let pace = stage.watch.paces.entry(index).or_default();
    let previous = pace.heartbeat.replace(now);
    let late = pace.is_late(now).map(|detail| format!("{}: {detail}", subject.name));
    let name = subject.name.clone();
    stage.watch.holds(Invariant::PollInterval, late.map_or(Ok(()), Err));
    if let Some(previous) = previous {
        // After a jump of the clock its relays may not have heard of it yet.
        let calls = super::calls::in_time(stage, index);
        stage.watch.holds(Invariant::CallEndsOnce, calls);
        let outcome = on_time(previous, now).map_err(|detail| format!("{name}: {detail}"));
        stage.watch.holds(Invariant::HeartbeatOnTime, outcome);
    }
    if number % HEARTBEATS_PER_READING == 1 {
        let Some(subject) = stage.satellites.get(index) else { return };
        let outcome = says(&subject.sampled, body);
        stage.watch.holds(Invariant::HeartbeatAgrees, outcome);
    }
}

fn on_time(previous: Timestamp, now: Timestamp) -> Result<(), String> {
    let passed = now.since(previous);
    // One that was late by up to a second leaves the row as it is.
    let allowed = HEARTBEAT_INTERVAL_MS.saturating_sub(SECOND)..=HEARTBEAT_INTERVAL_MS + SECOND;
    if allowed.contains(&passed) { Ok(()) } else { Err(format!("{passed} ms between heartbeats")) }
}

fn says(view: &View, body: &[u8]) -> Result<(), String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let same = |what: &str, said: &Value, is: Value| {
        if *said == is { Ok(()) } else { Err(format!("{what}: {said} said, {is} is")) }
    };
    let health = serde_json::to_value(view.health.status).unwrap_or_default();
    same("status", &body["status"], health)?;
    same("error_count", &body["error_count"], Value::from(view.error_count))?;
    if view.instances.is_empty() {
        return same("mcp_status", &body["mcp_status"], Value::Null);
    }
    let awake = view.instances.values().filter(|it| it.dormant_since.is_none()).count();
    let said = body["mcp_status"]["instances"].as_array().map_or(0, Vec::len);
    same("instances", &Value::from(said), Value::from(awake))?;
    let running = view.instances.values().filter(|it| it.process.is_some()).count();
    let teams = body["processes_by_team"].as_object();
    let said: usize =
        teams.map_or(0, |teams| teams.values().filter_map(Value::as_array).map(Vec::len).sum());
    same("processes", &Value::from(said), Value::from(running))?;
    let online = view.servers.values().filter(|it| it.status == ServerStatus::Online).count();
    same(
        "online servers",
        &body["mcp_status"]["server_status_counts"]["online"],
        Value::from(online),
    )
}

/// An instance moves: whoever comes up is greeted, then asked for its lists, then online.
pub(in crate::stage) fn moved(stage: &mut Stage, line: &LogLine) {
    if line.msg != "instance moved" {
        return;
    }
    let field = |name: &str| match line.fields.iter().find(|(it, _)| it == name) {
        Some((_, Field::Text(text))) => text.as_str(),
        _ => "",
    };
    let outcome = match (field("from"), field("to")) {
        ("connecting", "discovering") => Ok(()),
        (from, "discovering") => Err(format!("{from} to discovering")),
        (from @ ("connecting" | "offline" | "error" | "requires_reauth"), "online") => {
            Err(format!("{from} to online"))
        }
        _ => Ok(()),
    };
    stage.watch.holds(Invariant::EveryStep, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_is_left_out_is_seen() {
        assert!(on_time(Timestamp(0), Timestamp(30_000)).is_ok());
        assert!(on_time(Timestamp(0), Timestamp(60_000)).is_err());
        assert!(on_time(Timestamp(0), Timestamp(10_000)).is_err());
    }

    #[test]
    fn a_heartbeat_that_says_something_else_is_seen() {
        let view = View::default();
        assert!(says(&view, br#"{"status":"active","error_count":0}"#).is_ok());
        assert!(says(&view, br#"{"status":"degraded","error_count":0}"#).is_err());
        assert!(says(&view, br#"{"status":"active","error_count":1}"#).is_err());
        assert!(says(&view, br#"{"status":"active","error_count":0,"mcp_status":{}}"#).is_err());
    }
}
