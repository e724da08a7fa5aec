//! A heartbeat every 30 s with all its fields, in the Backend's database.

use serde_json::{Value, json};

use crate::harness::{Dev, eventually};
use crate::peer::{heartbeats, peer, session};

#[tokio::test]
async fn heartbeats_arrive_with_every_field_filled() {
    let servers = json!({"mcpServers": {"well": peer("well")}});
    let mut dev = Dev::start("heartbeat", Some(&servers)).await;
    session(&dev, "well").await.call("echo", json!({"text": "x"})).await;
    // The first goes out at once; by the second the server is in it and rates can be known.
    let rows = eventually("two heartbeats", || async {
        let rows = dev.query("SELECT system_metrics FROM \"satelliteHeartbeats\" ORDER BY rowid");
        (rows.len() >= 2).then_some(rows)
    })
    .await;
    let metrics: Value = serde_json::from_str(&rows[1]).expect("metrics are JSON");
    for (name, low, high) in [
        ("cpu_usage_percent", 0.0, 100.0),
        ("memory_usage_mb", 1.0, 4_096.0),
        ("disk_usage_percent", 0.001, 100.0),
        ("uptime_seconds", 1.0, 3_600.0),
        ("network_rx_bytes", 1.0, f64::MAX),
        ("network_tx_bytes", 1.0, f64::MAX),
    ] {
        let value = metrics[name].as_f64().unwrap_or_else(|| panic!("no {name} in {metrics}"));
        assert!((low..=high).contains(&value), "{name} is {value}");
    }
    let status = dev.query("SELECT mcp_status FROM satellites");
    let status: Value = serde_json::from_str(&status[0]).expect("mcp_status is JSON");
    assert_eq!(status["summary"]["total_instances"], 1, "{status}");
    assert_eq!(status["summary"]["online_servers"], 1, "{status}");
    assert_eq!(status["instances"][0]["status"], "running", "{status}");
    assert_eq!(status["instances"][0]["transport_type"], "stdio", "{status}");
    assert!(status["instances"][0]["pid"].is_u64(), "{status}");
    assert!(status["tool_names"].as_array().is_some_and(|names| names.len() == 5), "{status}");
    let columns = "status || ' ' || process_count || ' ' || error_count || ' ' || version";
    let row = dev.query(&format!("SELECT {columns} FROM \"satelliteHeartbeats\" ORDER BY rowid"));
    assert!(row[1].starts_with("active 1 0 ") || row[1].starts_with("degraded 1 0 "), "{row:?}");
    let round_trip =
        dev.query("SELECT response_time_ms FROM \"satelliteHeartbeats\" ORDER BY rowid");
    assert!(round_trip[1].parse::<f64>().is_ok(), "the Backend's round trip: {round_trip:?}");
    assert!(heartbeats(&dev).await["data"].is_object());
    assert_eq!(dev.running.stop().await, Some(0));
}
