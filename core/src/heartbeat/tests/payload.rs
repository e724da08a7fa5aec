//! What a heartbeat says, against the field's own form.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::START;
use crate::heartbeat::{HostSample, payload};
use crate::id::{Incarnation, InstallationId, InstanceKey};
use crate::view::{
    HealthStatus, InstanceStatus, InstanceView, Inventory, ProcessStatus, ProcessView,
    SatelliteHealth, SatelliteStatus, ServerNames, ServerStatus, ServerView, Tool, Transport, View,
};

const SAMPLE: HostSample = HostSample {
    cpu_percent: 12.5,
    memory_mb: 41.25,
    disk_percent: 63.0,
    uptime_seconds: 3_600.5,
    network_rx_bytes: 1_000,
    network_tx_bytes: 2_000,
    response_time_ms: None,
};

fn instance(number: usize, tools: usize) -> InstanceView {
    let names = ServerNames {
        process: format!("files-acme-u{number}-i{number}"),
        server: "Files".to_string(),
        slug: format!("files{number}"),
        team_slug: "acme".to_string(),
        installation: "Our files".to_string(),
    };
    let tool = |index: usize| Tool {
        name: format!("tool_{index}"),
        description: "what it does, at length. ".repeat(40),
        repeatable: false,
        raw: Box::default(),
    };
    InstanceView {
        key: InstanceKey {
            team: "team_0123456789".into(),
            installation: InstallationId::from(format!("installation-{number:04}")),
            user: format!("user-{number:04}").into(),
        },
        instance_id: Some(format!("inst_{number:016}").into()),
        names: Arc::new(names),
        transport: Transport::Stdio,
        call_timeout_ms: crate::limits::CALL_TIMEOUT_MS,
        status: InstanceStatus::Online,
        status_message: None,
        process: Some(ProcessView {
            incarnation: Incarnation(1),
            pid: Some(4_711),
            status: ProcessStatus::Running,
            since: crate::time::Timestamp(START.0 - 55_000),
        }),
        dormant_since: None,
        frozen_since: None,
        waits_since: None,
        ready: Some(Incarnation(1)),
        inventory: Arc::new(Inventory {
            tools: (0..tools).map(tool).collect(),
            ..Inventory::default()
        }),
        disabled_tools: Arc::default(),
        address: None,
        request_logging: true,
        redaction: Arc::default(),
        message_count: 9,
        error_count: 1,
        last_activity: START,
        health: HealthStatus::Healthy,
        health_at: None,
        restarts: 0,
    }
}

/// A view of so many running stdio instances with three tools each.
pub(super) fn view(instances: usize) -> View {
    of((0..instances).map(|number| instance(number, 3)).collect())
}

fn of(instances: Vec<InstanceView>) -> View {
    let instances = instances.into_iter().map(|one| (one.key.clone(), Arc::new(one)));
    View { instances: instances.collect(), ..View::default() }
}

fn server(status: ServerStatus) -> ServerView {
    ServerView { team: "t".into(), status, names: Arc::clone(&instance(0, 0).names) }
}

fn written(view: &View, sample: &HostSample) -> Value {
    let body = crate::wire::encode(&payload(view, sample, START));
    serde_json::from_slice(&body).expect("a heartbeat is JSON")
}

/// Every path to a value, with what kind of value is there.
fn shape(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                shape(&format!("{prefix}.{name}"), value, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                shape(&format!("{prefix}[]"), item, found);
            }
        }
        Value::Number(_) => drop(found.insert(format!("{prefix}: number"))),
        Value::String(_) => drop(found.insert(format!("{prefix}: string"))),
        Value::Bool(_) => drop(found.insert(format!("{prefix}: boolean"))),
        Value::Null => drop(found.insert(format!("{prefix}: null"))),
    }
}

#[test]
fn every_field_of_the_field_is_there_with_its_kind_of_value() {
    let mut remote = instance(1, 1);
    remote.transport = Transport::Http;
    remote.process = None;
    let mut view = of(Vec::from([instance(0, 1), remote]));
    view.error_count = 3;
    let mut found = BTreeSet::new();
    shape("", &written(&view, &SAMPLE), &mut found);
    for expected in [
        ".status: string",
        ".system_metrics.cpu_usage_percent: number",
        ".system_metrics.memory_usage_mb: number",
        ".system_metrics.disk_usage_percent: number",
        ".system_metrics.uptime_seconds: number",
        ".system_metrics.network_rx_bytes: number",
        ".system_metrics.network_tx_bytes: number",
        ".processes[].id: string",
        ".processes[].server_name: string",
        ".processes[].status: string",
        ".processes[].health_status: string",
        ".processes_by_team.team_0123456789[].installation_id: string",
        ".processes_by_team.team_0123456789[].installation_name: string",
        ".processes_by_team.team_0123456789[].status: string",
        ".processes_by_team.team_0123456789[].pid: number",
        ".processes_by_team.team_0123456789[].uptime_seconds: number",
        ".processes_by_team.team_0123456789[].message_count: number",
        ".processes_by_team.team_0123456789[].error_count: number",
        ".processes_by_team.team_0123456789[].health_status: string",
        ".processes_by_team.team_0123456789[].last_activity: string",
        ".mcp_status.summary.total_instances: number",
        ".mcp_status.summary.active_instances: number",
        ".mcp_status.summary.dormant_instances: number",
        ".mcp_status.summary.total_tools: number",
        ".mcp_status.summary.online_servers: number",
        ".mcp_status.summary.offline_servers: number",
        ".mcp_status.summary.error_servers: number",
        ".mcp_status.instances[].installation_id: string",
        ".mcp_status.instances[].installation_name: string",
        ".mcp_status.instances[].instance_id: string",
        ".mcp_status.instances[].user_id: string",
        ".mcp_status.instances[].team_id: string",
        ".mcp_status.instances[].status: string",
        ".mcp_status.instances[].transport_type: string",
        ".mcp_status.instances[].uptime_seconds: number",
        ".mcp_status.instances[].message_count: number",
        ".mcp_status.instances[].error_count: number",
        ".mcp_status.instances[].health_status: string",
        ".mcp_status.instances[].pid: number",
        ".mcp_status.tool_names[].namespaced_name: string",
        ".mcp_status.tool_names[].server_slug: string",
        ".mcp_status.tool_names[].transport: string",
        ".mcp_status.server_status_counts.online: number",
        ".mcp_status.server_status_counts.offline: number",
        ".mcp_status.server_status_counts.error: number",
        ".mcp_status.server_status_counts.requires_reauth: number",
        ".error_count: number",
        ".version: string",
        ".capabilities[]: string",
    ] {
        assert!(found.contains(expected), "{expected} is not in {found:#?}");
    }
}

#[test]
fn values_are_the_samples_and_the_views() {
    let mut view = view(1);
    view.error_count = 3;
    view.health = SatelliteHealth {
        status: SatelliteStatus::Degraded,
        reasons: BTreeSet::from(["outbox half full".to_string()]),
    };
    let body = written(&view, &SAMPLE);
    assert_eq!(body["status"], "degraded");
    assert_eq!(body["status_reasons"], json!(["outbox half full"]));
    assert_eq!(
        body["system_metrics"],
        json!({
            "cpu_usage_percent": 12.5, "memory_usage_mb": 41.25, "disk_usage_percent": 63.0,
            "uptime_seconds": 3600.5, "network_rx_bytes": 1000, "network_tx_bytes": 2000,
        })
    );
    assert_eq!(body["error_count"], 3);
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    let process = &body["processes_by_team"]["team_0123456789"][0];
    assert_eq!(process["uptime_seconds"], 55);
    assert_eq!(process["last_activity"], START.to_iso());
    assert_eq!(body["mcp_status"]["instances"][0]["pid"], 4711);
    assert_eq!(body["mcp_status"]["instances"][0]["installation_name"], "files-acme-u0-i0");
}

#[test]
fn a_share_stays_a_share() {
    let odd =
        HostSample { cpu_percent: 1_600.0, disk_percent: f64::NAN, memory_mb: -1.0, ..SAMPLE };
    let metrics = &written(&View::default(), &odd)["system_metrics"];
    assert_eq!(metrics["cpu_usage_percent"], 100.0);
    assert_eq!(metrics["disk_usage_percent"], 0.0);
    assert_eq!(metrics["memory_usage_mb"], 0.0);
}

#[test]
fn without_instances_there_is_no_snapshot() {
    let body = written(&View::default(), &SAMPLE);
    assert!(body.get("mcp_status").is_none());
    assert_eq!((&body["processes"], &body["processes_by_team"]), (&json!([]), &json!({})));
}

#[test]
fn dormant_instances_are_counted_and_not_listed_but_their_tools_are() {
    let mut dormant = instance(1, 2);
    dormant.process = None;
    dormant.dormant_since = Some(START);
    dormant.status = InstanceStatus::Online;
    let body = written(&of(Vec::from([instance(0, 1), dormant])), &SAMPLE);
    let status = &body["mcp_status"];
    assert_eq!(status["instances"].as_array().unwrap().len(), 1);
    assert_eq!(status["summary"]["total_instances"], 1);
    assert_eq!(status["summary"]["active_instances"], 1);
    assert_eq!(status["summary"]["dormant_instances"], 1);
    assert_eq!(status["summary"]["total_tools"], 3);
    assert_eq!(status["tool_names"][2]["namespaced_name"], "files1:tool_1");
}

#[test]
fn every_transport_is_listed_and_only_children_count_as_stdio_processes() {
    let mut remote = instance(1, 0);
    remote.transport = Transport::Sse;
    remote.process = None;
    remote.status = InstanceStatus::Error;
    remote.instance_id = None;
    let body = written(&of(Vec::from([instance(0, 0), remote])), &SAMPLE);
    let listed = &body["mcp_status"]["instances"][1];
    assert_eq!((&listed["transport_type"], &listed["status"]), (&json!("sse"), &json!("failed")));
    assert_eq!(listed["instance_id"], "unknown");
    assert!(listed.get("pid").is_none());
    assert_eq!(body["processes"][0]["status"], "failed");
    assert_eq!(body["processes"][0]["id"], "files-acme-u1-i1");
    assert_eq!(body["processes_by_team"]["team_0123456789"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tool_counts_once_for_its_installation_however_many_users_have_it() {
    let mut other = instance(0, 2);
    other.key.user = "somebody-else".into();
    let body = written(&of(Vec::from([instance(0, 2), other])), &SAMPLE);
    assert_eq!(body["mcp_status"]["summary"]["total_tools"], 2);
    assert_eq!(body["mcp_status"]["tool_names"].as_array().unwrap().len(), 2);
}

#[test]
fn servers_are_counted_by_their_published_status() {
    let statuses = [
        ServerStatus::Online,
        ServerStatus::Online,
        ServerStatus::Offline,
        ServerStatus::Error,
        ServerStatus::RequiresReauth,
        ServerStatus::Connecting,
    ];
    let mut view = view(1);
    view.servers = statuses
        .into_iter()
        .enumerate()
        .map(|(number, status)| (InstallationId::from(number.to_string()), server(status)))
        .collect::<BTreeMap<_, _>>();
    let status = &written(&view, &SAMPLE)["mcp_status"];
    assert_eq!(
        status["server_status_counts"],
        json!({"online": 2, "offline": 1, "error": 1, "requires_reauth": 1})
    );
    assert_eq!(status["summary"]["online_servers"], 2);
}

#[test]
fn the_normal_form_comes_with_a_hundred_instances() {
    assert!(written(&view(99), &SAMPLE).get("normalized_data").is_none());
    let body = written(&view(100), &SAMPLE);
    let data = &body["normalized_data"];
    assert_eq!(data["summary"]["total_servers"], 100);
    assert_eq!(data["summary"]["total_tools"], 300);
    assert_eq!(data["summary"]["running_servers"], 100);
    assert_eq!(data["summary"]["healthy_servers"], 100);
    assert_eq!(data["satellite_info"]["uptime_ms"], 3_600_500);
    let team = &data["teams"]["acme_team_0123456789"];
    assert_eq!(team["server_ids"].as_array().unwrap().len(), 100);
    let server = &data["servers"]["files-acme-u7-i7"];
    assert_eq!(server["tool_ids"], json!(["files7:tool_0", "files7:tool_1", "files7:tool_2"]));
    assert_eq!(data["tools"]["files7:tool_0"]["original_name"], "tool_0");
}

#[test]
fn descriptions_stay_out_and_names_are_bounded() {
    let crowd = of(Vec::from([instance(0, 2_000)]));
    let body = written(&crowd, &SAMPLE);
    assert_eq!(body["mcp_status"]["summary"]["total_tools"], 2_000);
    assert_eq!(body["mcp_status"]["tool_names"].as_array().unwrap().len(), 500);
    assert!(!body.to_string().contains("at length"));
}

#[test]
fn sizes_stay_where_the_field_expects_them() {
    let size = |instances| crate::wire::encode(&payload(&view(instances), &SAMPLE, START)).len();
    let sizes = [1, 10, 24, 50].map(size);
    assert!(sizes[2] < 24 * 1024, "two dozen instances with three tools each: {sizes:?}");
    assert!(sizes[3] < crate::limits::HEARTBEAT_LARGE_BYTES, "{sizes:?}");
}
