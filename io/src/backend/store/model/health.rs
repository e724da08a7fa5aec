//! Heartbeats, processes, retention.

use std::collections::{BTreeMap, BTreeSet};

use satellite_core::id::SatelliteId;
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{
    Heartbeat, HeartbeatRecord, JsonText, Process, ReportedProcess, Retained, Retention, Satellite,
};
use super::tables::Tables;

pub(in super::super) fn record_heartbeat(
    tables: &mut Tables,
    record: HeartbeatRecord,
) -> Result<Satellite, StoreError> {
    let HeartbeatRecord { heartbeat, mcp_status, satellite_url, processes, whole } = record;
    let mut satellite = tables.satellite(&heartbeat.satellite_id)?.clone();
    let now = heartbeat.timestamp;
    satellite.heard(now, mcp_status, satellite_url);
    tables.satellites.insert(satellite.id.clone(), satellite.clone());
    tables.heartbeats.insert(heartbeat.id.clone(), heartbeat);
    for process in &processes {
        upsert_process(tables, &satellite, process, now.0);
    }
    if whole {
        let named: BTreeSet<&str> = processes.iter().map(|process| process.id.as_str()).collect();
        for process in tables.processes.values_mut() {
            if process.satellite_id == satellite.id
                && !named.contains(process.id.as_str())
                && !ended(&process.status)
            {
                process.status = "stopped".to_owned();
                process.stopped_at = Some(now);
                process.updated_at = now;
            }
        }
    }
    Ok(satellite)
}

fn ended(status: &str) -> bool {
    matches!(status, "stopped" | "failed")
}

/// Stores what is told of a process; what is not told stays as it was. A team or an installation that
/// does not exist is left out.
pub(super) fn upsert_process(
    tables: &mut Tables,
    satellite: &Satellite,
    told: &ReportedProcess,
    now: Timestamp,
) {
    let now = IsoTime(now);
    let team = satellite.team_id.as_ref().or(told.team_id.as_ref());
    let team = team.filter(|team| tables.teams.contains_key(*team)).cloned();
    let installation = told.installation_id.clone();
    let installation = installation.filter(|id| tables.installations.contains_key(id));
    let key = (satellite.id.clone(), told.id.clone());
    let known = tables.processes.remove(&key);
    let known = known.as_ref();
    let stopped_at =
        ended(&told.status).then(|| known.and_then(|known| known.stopped_at).unwrap_or(now));
    let process = Process {
        id: told.id.clone(),
        satellite_id: satellite.id.clone(),
        installation_id: installation.or_else(|| known?.installation_id.clone()),
        server_name: told.server_name.clone(),
        process_pid: told.pid.or_else(|| known?.process_pid),
        status: told.status.clone(),
        health_status: told.health_status.clone(),
        performance_metrics: told
            .performance_metrics
            .as_ref()
            .map(JsonText::of)
            .or_else(|| known?.performance_metrics.clone()),
        team_id: team.or_else(|| known?.team_id.clone()),
        error_message: told.error_message.clone(),
        started_at: told.started_at.map(IsoTime).or_else(|| known?.started_at),
        stopped_at,
        created_at: known.map_or(now, |known| known.created_at),
        updated_at: now,
    };
    tables.processes.insert(key, process);
}

pub(in super::super) fn heartbeats(
    tables: &mut Tables,
    satellite: SatelliteId,
    limit: u32,
) -> Result<Vec<Heartbeat>, StoreError> {
    let mut heartbeats: Vec<_> = tables
        .heartbeats
        .values()
        .filter(|heartbeat| heartbeat.satellite_id == satellite)
        .cloned()
        .collect();
    heartbeats.sort_by(|l, r| (r.timestamp, &r.id).cmp(&(l.timestamp, &l.id)));
    heartbeats.truncate(limit as usize);
    Ok(heartbeats)
}

pub(in super::super) fn processes(
    tables: &mut Tables,
    satellite: SatelliteId,
) -> Result<Vec<Process>, StoreError> {
    let processes = tables.processes.values();
    Ok(processes.filter(|process| process.satellite_id == satellite).cloned().collect())
}

pub(in super::super) fn retain(
    tables: &mut Tables,
    retention: Retention,
) -> Result<Retained, StoreError> {
    let rows = tables
        .heartbeats
        .iter()
        .map(|(id, heartbeat)| (heartbeat.satellite_id.clone(), heartbeat.timestamp, id.clone()));
    let global = |satellite: &SatelliteId| {
        tables.satellites.get(satellite).is_some_and(|satellite| satellite.team_id.is_none())
    };
    let superfluous = beyond(rows, |satellite| {
        if global(satellite) { retention.global_heartbeats } else { retention.team_heartbeats }
    });
    let heartbeats = remove(&mut tables.heartbeats, &superfluous);

    let rows = tables.server_logs.iter().map(|(id, (installation, line))| {
        ((installation.clone(), line.user_id.clone()), line.created_at, id.clone())
    });
    let superfluous = beyond(rows, |_| retention.instance_logs);
    let mut logs = remove(&mut tables.server_logs, &superfluous);
    let rows = tables.request_logs.iter().map(|(id, (installation, line))| {
        ((installation.clone(), line.user_id.clone()), line.created_at, id.clone())
    });
    let superfluous = beyond(rows, |_| retention.instance_logs);
    logs += remove(&mut tables.request_logs, &superfluous);

    let before = IsoTime(retention.history_before);
    let size = |tables: &Tables| {
        (tables.commands.len() + tables.events.len() + tables.usage.len())
            + (tables.processes.len() + tables.registration_tokens.len())
            + (tables.retired_keys.len() + tables.access_tokens.len())
    };
    let size_before = size(tables);
    tables.commands.retain(|_, command| {
        !matches!(command.status.as_str(), "completed" | "failed") || command.updated_at >= before
    });
    tables.events.retain(|_, event| event.received_at >= before);
    tables.usage.retain(|_, (_, at, _)| IsoTime(*at) >= before);
    tables.processes.retain(|_, row| !ended(&row.status) || row.updated_at >= before);
    tables.registration_tokens.retain(|_, token| token.expires_at >= before);
    tables.retired_keys.retain(|_, key| IsoTime(key.at) >= before);
    tables.access_tokens.retain(|_, token| token.expires_at >= before);
    let history = (size_before - size(tables)) as u64;
    Ok(Retained { heartbeats, logs, history })
}

/// The ids of all rows but the newest ones of each owner.
fn beyond<O: Ord>(
    rows: impl Iterator<Item = (O, IsoTime, String)>,
    kept: impl Fn(&O) -> u32,
) -> Vec<String> {
    let mut owners: BTreeMap<O, Vec<(IsoTime, String)>> = BTreeMap::new();
    for (owner, at, id) in rows {
        owners.entry(owner).or_default().push((at, id));
    }
    let mut superfluous = Vec::new();
    for (owner, mut rows) in owners {
        rows.sort();
        rows.reverse();
        superfluous.extend(rows.into_iter().skip(kept(&owner) as usize).map(|(_, id)| id));
    }
    superfluous
}

fn remove<T>(rows: &mut BTreeMap<String, T>, ids: &[String]) -> u64 {
    ids.iter().map(|id| u64::from(rows.remove(id).is_some())).sum()
}
