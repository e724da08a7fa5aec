//! A heartbeat's body: the published view and a sample of the machine, in the wire's words.

mod normalized;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::HostSample;
use crate::id::{InstanceId, TeamId};
use crate::limits::{HEARTBEAT_NORMALIZED_FROM_INSTANCES, HEARTBEAT_TOOL_NAMES_MAX};
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::view::figures::Figures;
use crate::view::{InstanceStatus, InstanceView, ProcessStatus, ServerStatus, Transport, View};
use crate::wire::capability;
use crate::wire::heartbeat::{
    Heartbeat, InstanceSnapshot, McpStatusSnapshot, McpSummary, PerformanceMetrics, ProcessInfo,
    ProcessResources, ProxyStatus, ServerStatusCounts, StdioProcessMetric, SystemMetrics, ToolName,
};

/// The version of this satellite, as it tells its Backend.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The heartbeat of `now`. What depends on earlier heartbeats (the satellite's URL, the Backend's
/// response time) is left for the schedule to fill in.
pub fn payload(view: &View, sample: &HostSample, now: Timestamp) -> Heartbeat {
    let normalized = view.instances.len() >= HEARTBEAT_NORMALIZED_FROM_INSTANCES;
    Heartbeat {
        status: view.health.status,
        system_metrics: SystemMetrics {
            cpu_usage_percent: percent(sample.cpu_percent),
            memory_usage_mb: sample.memory_mb.max(0.0),
            disk_usage_percent: percent(sample.disk_percent),
            uptime_seconds: sample.uptime_seconds.max(0.0),
            network_rx_bytes: Some(sample.network_rx_bytes),
            network_tx_bytes: Some(sample.network_tx_bytes),
        },
        processes: proxies(view),
        processes_by_team: stdio_processes(view, now),
        normalized_data: normalized.then(|| normalized::data(view, sample, now)),
        mcp_status: (!view.instances.is_empty()).then(|| snapshot(view, now)),
        error_count: view.error_count,
        version: VERSION.to_string(),
        satellite_url: None,
        capabilities: capability::ADDITIONS.iter().map(ToString::to_string).collect(),
        response_time_ms: None,
        isolation: view.isolation.clone(),
        status_reasons: view.health.reasons.iter().cloned().collect(),
    }
}

/// A share as the wire allows it.
fn percent(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 100.0) }
}

/// Servers reached by HTTP or SSE.
fn proxies(view: &View) -> Vec<ProcessInfo> {
    let proxies = view.instances.values().filter(|one| one.transport != Transport::Stdio);
    proxies
        .map(|instance| ProcessInfo {
            id: instance.names.process.clone(),
            server_name: instance.names.server.clone(),
            status: proxy_status(instance.status),
            health_status: instance.health,
            performance_metrics: Some(PerformanceMetrics {
                total_requests: Some(instance.message_count),
                error_count: Some(instance.error_count),
                ..PerformanceMetrics::default()
            }),
        })
        .collect()
}

fn proxy_status(status: InstanceStatus) -> ProxyStatus {
    match status {
        InstanceStatus::AwaitingUserConfig
        | InstanceStatus::Provisioning
        | InstanceStatus::CommandReceived => ProxyStatus::Pending,
        InstanceStatus::Connecting
        | InstanceStatus::DiscoveringTools
        | InstanceStatus::SyncingTools
        | InstanceStatus::Restarting => ProxyStatus::Starting,
        InstanceStatus::Online => ProxyStatus::Running,
        InstanceStatus::Offline => ProxyStatus::Stopped,
        InstanceStatus::Error
        | InstanceStatus::RequiresReauth
        | InstanceStatus::PermanentlyFailed => ProxyStatus::Failed,
    }
}

/// Child processes, by team.
fn stdio_processes(view: &View, now: Timestamp) -> BTreeMap<TeamId, Vec<StdioProcessMetric>> {
    let mut by_team: BTreeMap<TeamId, Vec<StdioProcessMetric>> = BTreeMap::new();
    for instance in view.instances.values() {
        let Some(process) = &instance.process else { continue };
        if instance.transport != Transport::Stdio {
            continue;
        }
        by_team.entry(instance.key.team.clone()).or_default().push(StdioProcessMetric {
            installation_id: instance.key.installation.clone(),
            installation_name: instance.names.process.clone(),
            status: process.status,
            pid: process.pid,
            uptime_seconds: now.since(process.since) / SECOND,
            message_count: instance.message_count,
            error_count: instance.error_count,
            health_status: instance.health,
            last_activity: IsoTime(instance.last_activity),
            resources: view.figures.get(&instance.key).and_then(resources),
        });
    }
    by_team
}

/// What its process was last measured to use.
fn resources(figures: &Figures) -> Option<ProcessResources> {
    let measured = figures.measured.as_ref()?;
    let usage = &measured.usage;
    Some(ProcessResources {
        cpu_ms: usage.cpu_us / 1_000,
        cpu_percent: measured.cpu_percent,
        memory_bytes: usage.memory_bytes,
        processes: usage.processes,
        throttled_ms: usage.throttled_us / 1_000,
        throttled_periods: usage.throttled_periods,
        near_limits: measured.near.iter().copied().collect(),
    })
}

/// What runs, without descriptions and schemas.
fn snapshot(view: &View, now: Timestamp) -> McpStatusSnapshot {
    let awake = view.instances.values().filter(|instance| instance.dormant_since.is_none());
    let instances: Vec<InstanceSnapshot> = awake.map(|one| instance_snapshot(one, now)).collect();
    let running = instances.iter().filter(|one| one.status == ProcessStatus::Running).count();
    let counts = server_counts(view);
    let (total_tools, tool_names) = tools(view);
    McpStatusSnapshot {
        summary: McpSummary {
            total_instances: count(instances.len()),
            active_instances: count(running),
            dormant_instances: count(view.instances.len() - instances.len()),
            total_tools: count(total_tools),
            online_servers: counts.online,
            offline_servers: counts.offline,
            error_servers: counts.error,
        },
        instances,
        tool_names,
        server_status_counts: counts,
    }
}

fn instance_snapshot(instance: &InstanceView, now: Timestamp) -> InstanceSnapshot {
    let process = instance.process.as_ref();
    InstanceSnapshot {
        installation_id: instance.key.installation.clone(),
        installation_name: instance.names.process.clone(),
        instance_id: instance.instance_id.clone().unwrap_or_else(|| InstanceId::from("unknown")),
        user_id: instance.key.user.clone(),
        team_id: instance.key.team.clone(),
        status: process.map_or_else(|| without_process(instance.status), |one| one.status),
        transport_type: instance.transport,
        uptime_seconds: process.map_or(0, |process| now.since(process.since) / SECOND),
        message_count: instance.message_count,
        error_count: instance.error_count,
        health_status: instance.health,
        pid: process.and_then(|process| process.pid),
    }
}

/// A process status for an instance that has no process, or none of its own.
fn without_process(status: InstanceStatus) -> ProcessStatus {
    match status {
        InstanceStatus::Provisioning
        | InstanceStatus::CommandReceived
        | InstanceStatus::Connecting
        | InstanceStatus::DiscoveringTools
        | InstanceStatus::SyncingTools
        | InstanceStatus::Restarting => ProcessStatus::Starting,
        InstanceStatus::Online => ProcessStatus::Running,
        InstanceStatus::AwaitingUserConfig | InstanceStatus::Offline => ProcessStatus::Terminated,
        InstanceStatus::Error
        | InstanceStatus::RequiresReauth
        | InstanceStatus::PermanentlyFailed => ProcessStatus::Failed,
    }
}

fn server_counts(view: &View) -> ServerStatusCounts {
    let with = |status| count(view.servers.values().filter(|one| one.status == status).count());
    ServerStatusCounts {
        online: with(ServerStatus::Online),
        offline: with(ServerStatus::Offline),
        error: with(ServerStatus::Error),
        requires_reauth: with(ServerStatus::RequiresReauth),
    }
}

/// How many tools there are, each counted once per installation however many users have it, and
/// their names up to a bound.
fn tools(view: &View) -> (usize, Vec<ToolName>) {
    let mut distinct = BTreeSet::new();
    let mut names = BTreeSet::new();
    for instance in view.instances.values() {
        for tool in &instance.inventory.tools {
            if distinct.insert((&instance.key.installation, tool.name.as_str())) {
                names.insert((
                    instance.names.slug.as_str(),
                    tool.name.as_str(),
                    instance.transport,
                ));
            }
        }
    }
    let listed = names.into_iter().take(HEARTBEAT_TOOL_NAMES_MAX);
    let listed = listed.map(|(slug, tool, transport)| ToolName {
        namespaced_name: namespaced(slug, tool),
        server_slug: slug.to_string(),
        transport,
    });
    (distinct.len(), listed.collect())
}

/// A tool's path.
fn namespaced(slug: &str, tool: &str) -> String {
    format!("{slug}:{tool}")
}

fn count(number: usize) -> u64 {
    number as u64
}
