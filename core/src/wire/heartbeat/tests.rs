use alloc::string::ToString;

use super::*;
use crate::time::Timestamp;
use crate::view::Transport;
use crate::wire::{decode, encode};

fn heartbeat() -> Heartbeat {
    let instance = InstanceSnapshot {
        installation_id: "i1".into(),
        installation_name: "files-acme-u1-i1".into(),
        instance_id: "inst_x".into(),
        user_id: "u1".into(),
        team_id: "t1".into(),
        status: ProcessStatus::Running,
        transport_type: Transport::Stdio,
        uptime_seconds: 55,
        message_count: 9,
        error_count: 0,
        health_status: HealthStatus::Unknown,
        pid: Some(4_711),
    };
    let process = StdioProcessMetric {
        installation_id: "i1".into(),
        installation_name: "files-acme-u1-i1".into(),
        status: ProcessStatus::Running,
        pid: Some(4_711),
        uptime_seconds: 55,
        message_count: 9,
        error_count: 0,
        health_status: HealthStatus::Healthy,
        last_activity: IsoTime(Timestamp(1_769_850_902_123)),
        resources: None,
    };
    Heartbeat {
        status: SatelliteStatus::Active,
        system_metrics: SystemMetrics {
            cpu_usage_percent: 12.5,
            memory_usage_mb: 14.0,
            disk_usage_percent: 40.0,
            uptime_seconds: 60.0,
            network_rx_bytes: Some(1),
            network_tx_bytes: Some(2),
        },
        processes: Vec::new(),
        processes_by_team: BTreeMap::from([("t1".into(), Vec::from([process]))]),
        normalized_data: None,
        mcp_status: Some(McpStatusSnapshot {
            instances: Vec::from([instance]),
            tool_names: Vec::from([ToolName {
                namespaced_name: "files:read".into(),
                server_slug: "files".into(),
                transport: Transport::Stdio,
            }]),
            ..McpStatusSnapshot::default()
        }),
        error_count: 0,
        version: "0.1.0".into(),
        satellite_url: None,
        capabilities: Vec::new(),
        isolation: None,
        response_time_ms: None,
        status_reasons: Vec::new(),
    }
}

#[test]
fn a_heartbeat_without_additions_has_the_fields_of_the_contract_and_no_other() {
    let written = encode(&heartbeat());
    assert_eq!(
        core::str::from_utf8(&written).unwrap(),
        concat!(
            r#"{"status":"active","system_metrics":{"cpu_usage_percent":12.5,"#,
            r#""memory_usage_mb":14.0,"disk_usage_percent":40.0,"uptime_seconds":60.0,"#,
            r#""network_rx_bytes":1,"network_tx_bytes":2},"processes":[],"#,
            r#""processes_by_team":{"t1":[{"installation_id":"i1","#,
            r#""installation_name":"files-acme-u1-i1","status":"running","pid":4711,"#,
            r#""uptime_seconds":55,"message_count":9,"error_count":0,"#,
            r#""health_status":"healthy","last_activity":"2026-01-31T09:15:02.123Z"}]},"#,
            r#""mcp_status":{"summary":{"total_instances":0,"active_instances":0,"#,
            r#""dormant_instances":0,"total_tools":0,"online_servers":0,"offline_servers":0,"#,
            r#""error_servers":0},"instances":[{"installation_id":"i1","#,
            r#""installation_name":"files-acme-u1-i1","instance_id":"inst_x","user_id":"u1","#,
            r#""team_id":"t1","status":"running","transport_type":"stdio","#,
            r#""uptime_seconds":55,"message_count":9,"error_count":0,"#,
            r#""health_status":"unknown","pid":4711}],"tool_names":[{"#,
            r#""namespaced_name":"files:read","server_slug":"files","transport":"stdio"}],"#,
            r#""server_status_counts":{"online":0,"offline":0,"error":0,"#,
            r#""requires_reauth":0}},"error_count":0,"version":"0.1.0"}"#
        )
    );
    assert_eq!(decode::<Heartbeat>("heartbeat", &written), Ok(heartbeat()));
}

#[test]
fn the_backend_keeps_what_runs_to_the_letter() {
    let received = ReceivedHeartbeat::decode(&encode(&heartbeat())).unwrap();
    let status = heartbeat().mcp_status.unwrap();
    let kept = received.mcp_status.as_ref().unwrap().get();
    assert_eq!(kept.as_bytes(), encode(&status));
    assert_eq!(received.stdio_processes(), heartbeat().processes_by_team);
}

#[test]
fn a_heartbeat_of_an_older_peer_is_read() {
    let received = ReceivedHeartbeat::decode(
        br#"{"status":"active","system_metrics":{"cpu_usage_percent":0,"memory_usage_mb":61.7,
            "disk_usage_percent":0,"uptime_seconds":12.3},"processes":[],
            "processes_by_team":{"t":"not what anybody wanted"},"mcp_status":null,
            "error_count":0,"version":"0.1.0","node":true}"#,
    )
    .unwrap();
    assert!(received.stdio_processes().is_empty());
    assert!(received.mcp_status.is_none());
    assert!(received.capabilities.is_empty());
}

#[test]
fn a_heartbeat_out_of_bounds_is_refused_and_the_field_is_named() {
    for (json, field) in [
        (r#"{"status":"active"}"#, "system_metrics"),
        (r#"{"status":"dead","system_metrics":{}}"#, "status"),
        (r#"{"status":"active","system_metrics":{"memory_usage_mb":1}}"#, "cpu_usage_percent"),
        (
            r#"{"status":"active","system_metrics":{"memory_usage_mb":1,"cpu_usage_percent":101}}"#,
            "cpu_usage_percent",
        ),
        (
            r#"{"status":"active","system_metrics":{"memory_usage_mb":-1,"cpu_usage_percent":1}}"#,
            "memory_usage_mb",
        ),
    ] {
        let error = ReceivedHeartbeat::decode(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_measurement_that_failed_is_written_as_a_number() {
    let metrics = SystemMetrics { cpu_usage_percent: f64::NAN, ..SystemMetrics::default() };
    let written = encode(&metrics);
    assert_eq!(decode::<SystemMetrics>("metrics", &written), Ok(SystemMetrics::default()));
}

#[test]
fn a_measurement_that_failed_at_a_peer_is_read_as_nothing() {
    let received = ReceivedHeartbeat::decode(
        br#"{"status":"active","system_metrics":{"cpu_usage_percent":null,"memory_usage_mb":null,
            "disk_usage_percent":null,"uptime_seconds":null}}"#,
    );
    assert_eq!(received.unwrap().system_metrics, SystemMetrics::default());
}
