//! `normalized_data`: teams, servers and tools, each once, for satellites with many instances.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use super::super::HostSample;
use super::{VERSION, count, namespaced};
use crate::limits::HEARTBEAT_TOOL_NAMES_MAX;
use crate::time::{IsoTime, Timestamp};
use crate::view::{HealthStatus, InstanceView, ProcessStatus, View};
use crate::wire::heartbeat::{
    NormalizedData, NormalizedInfo, NormalizedServer, NormalizedSummary, NormalizedTeam,
    NormalizedTool,
};

/// Characters kept of a tool's description.
const DESCRIPTION_MAX_CHARS: usize = 120;

/// The view in normal form.
pub(super) fn data(view: &View, sample: &HostSample, now: Timestamp) -> NormalizedData {
    let mut teams: BTreeMap<String, NormalizedTeam> = BTreeMap::new();
    let mut servers = BTreeMap::new();
    let mut tools: BTreeMap<String, NormalizedTool> = BTreeMap::new();
    for instance in view.instances.values() {
        let names = &instance.names;
        let team = teams
            .entry(format!("{}_{}", names.team_slug, instance.key.team))
            .or_insert_with(|| NormalizedTeam {
                team_id: instance.key.team.clone(),
                team_slug: names.team_slug.clone(),
                server_ids: Default::default(),
            });
        team.server_ids.push(names.process.clone());
        let mut tool_ids = alloc::vec::Vec::new();
        for tool in &instance.inventory.tools {
            let namespaced_name = namespaced(&names.slug, &tool.name);
            if !tools.contains_key(&namespaced_name) {
                if tools.len() >= HEARTBEAT_TOOL_NAMES_MAX {
                    continue;
                }
                tools.insert(
                    namespaced_name.clone(),
                    NormalizedTool {
                        namespaced_name: namespaced_name.clone(),
                        original_name: tool.name.clone(),
                        transport: instance.transport,
                        description: tool.description.chars().take(DESCRIPTION_MAX_CHARS).collect(),
                    },
                );
            }
            tool_ids.push(namespaced_name);
        }
        servers.insert(names.process.clone(), server(instance, tool_ids, now));
    }
    let running = |one: &&NormalizedServer| one.status == "running";
    let healthy = |one: &&NormalizedServer| one.health_status == HealthStatus::Healthy;
    NormalizedData {
        timestamp: IsoTime(now),
        satellite_info: NormalizedInfo {
            satellite_id: view
                .satellite
                .as_ref()
                .map_or_else(|| "unknown".to_string(), |satellite| satellite.id.to_string()),
            version: VERSION.to_string(),
            uptime_ms: milliseconds(sample.uptime_seconds),
        },
        summary: NormalizedSummary {
            total_teams: count(teams.len()),
            total_servers: count(servers.len()),
            total_tools: count(tools.len()),
            running_servers: count(servers.values().filter(running).count()),
            healthy_servers: count(servers.values().filter(healthy).count()),
        },
        teams,
        servers,
        tools,
    }
}

fn server(
    instance: &InstanceView,
    tool_ids: alloc::vec::Vec<String>,
    now: Timestamp,
) -> NormalizedServer {
    let process = instance.process.as_ref();
    NormalizedServer {
        installation_name: instance.names.process.clone(),
        installation_id: instance.key.installation.clone(),
        server_slug: instance.names.slug.clone(),
        transport_type: instance.transport,
        status: process.map_or("configured", |process| spelled(process.status)).to_string(),
        health_status: instance.health,
        tool_ids,
        uptime_ms: process.map(|process| now.since(process.since)),
        message_count: Some(instance.message_count),
        error_count: Some(instance.error_count),
        pid: process.and_then(|process| process.pid),
    }
}

fn spelled(status: ProcessStatus) -> &'static str {
    match status {
        ProcessStatus::Starting => "starting",
        ProcessStatus::Running => "running",
        ProcessStatus::Terminating => "terminating",
        ProcessStatus::Terminated => "terminated",
        ProcessStatus::Failed => "failed",
    }
}

/// Seconds as whole milliseconds; what is no length of time is 0.
fn milliseconds(seconds: f64) -> u64 {
    core::time::Duration::try_from_secs_f64(seconds)
        .map_or(0, |uptime| u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX))
}
