//! The SQL that the description of heartbeats gives to operators, as it is written there, over what
//! satellites sent.

use satellite_core::backend::Owner;
use satellite_core::time::{IsoTime, MINUTE, Timestamp};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::super::super::contract::NOW;
use super::super::super::contract::given::{heartbeat, registration, token};
use super::super::super::records::{JsonText, Registered};
use super::super::super::{AnyStore, Store};
use super::{opened, throwaway};

const CURRENT: &str = "
SELECT
  id,
  name,
  status,
  last_heartbeat,
  mcp_status::json AS mcp_status
FROM satellites
WHERE id = 'sat-xxx';";
const SUMMARY: &str = "
SELECT
  id,
  name,
  mcp_status::json->'summary'->>'total_instances' AS total_instances,
  mcp_status::json->'summary'->>'active_instances' AS active_instances,
  mcp_status::json->'summary'->>'total_tools' AS total_tools,
  mcp_status::json->'summary'->>'online_servers' AS online_servers
FROM satellites
WHERE id = 'sat-xxx';";
const INSTANCES: &str = "
SELECT
  id,
  name,
  jsonb_array_elements(mcp_status::jsonb->'instances') AS instance
FROM satellites
WHERE id = 'sat-xxx';";
const HISTORY: &str = "
SELECT
  timestamp,
  system_metrics::json->'memory_usage_mb' AS memory_mb,
  system_metrics::json->'uptime_seconds' AS uptime,
  process_count,
  healthy_process_count
FROM satelliteHeartbeats
WHERE satellite_id = 'sat-xxx'
ORDER BY timestamp DESC
LIMIT 100;";
const LAG: &str = "
SELECT
  id,
  name,
  last_heartbeat,
  NOW() - last_heartbeat AS lag,
  status
FROM satellites
WHERE status = 'active'
ORDER BY lag DESC;";
const UPDATE: &str = "
UPDATE satellites
SET
  last_heartbeat = NOW(),
  status = 'active',
  mcp_status = :mcp_status_json
WHERE id = :satelliteId;";
const INSERT: &str = "
INSERT INTO satelliteHeartbeats (
  id,
  satellite_id,
  status,
  system_metrics,     -- JSON string
  process_count,
  healthy_process_count,
  error_count,
  uptime_seconds,
  version,
  timestamp
) VALUES (...);";

/// The rows of a query, each as an object of its columns.
async fn rows(client: &Client, sql: &str) -> Vec<Value> {
    let sql = format!("SELECT row_to_json(it)::text FROM ({}) it", sql.trim_end_matches(';'));
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

/// The moment that PostgreSQL wrote into a row.
fn moment(value: &Value) -> Timestamp {
    Timestamp::from_iso(value.as_str().unwrap()).unwrap()
}

fn status(instances: u64) -> Value {
    let instance = |number: u64| {
        json!({"instance_id": format!("inst-{number}"), "installation_name": "Ärger's {files}",
            "user_id": "u", "status": "running", "uptime_seconds": number, "pid": 70 + number})
    };
    json!({
        "summary": {"total_instances": instances, "active_instances": 1, "total_tools": 12,
            "online_servers": 2},
        "instances": (0..instances).map(instance).collect::<Vec<_>>(),
        "tool_names": [], "server_status_counts": {"online": 2},
    })
}

async fn sent(store: &AnyStore, id: &str, name: &str, heartbeats: u64) {
    token(store, id, None).await;
    let mut asked = registration(id, name, Owner::Global);
    asked.satellite_id = id.into();
    let paired = store.register_satellite(asked).await.unwrap();
    assert!(matches!(paired, Registered::Paired { .. }), "{paired:?}");
    for number in 0..heartbeats {
        let mut record = heartbeat(&id.into(), number, Vec::new());
        record.heartbeat.timestamp = IsoTime(NOW.after(number * MINUTE));
        record.heartbeat.system_metrics =
            JsonText::of(&json!({"memory_usage_mb": 200.5, "uptime_seconds": number}));
        record.heartbeat.process_count = 4;
        record.heartbeat.healthy_process_count = 3;
        record.mcp_status = Some(JsonText::of(&status(number)));
        store.record_heartbeat(record).await.unwrap();
    }
}

#[tokio::test]
async fn the_five_questions_are_answered_with_what_the_satellites_sent() {
    let url = throwaway::database().await;
    let store = opened(&url).await;
    let client = throwaway::client(&url).await;
    client.batch_execute("SET timezone = 'UTC'").await.unwrap();
    sent(&store, "sat-xxx", "edge-one", 3).await;
    sent(&store, "sat-yyy", "edge-two", 120).await;
    sent(&store, "sat-zzz", "edge-silent", 0).await;
    let last = NOW.after(2 * MINUTE);

    let current = rows(&client, CURRENT).await;
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["name"], "edge-one");
    assert_eq!(current[0]["status"], "active");
    assert_eq!(moment(&current[0]["last_heartbeat"]), last);
    assert_eq!(current[0]["mcp_status"], status(2));

    let summary = rows(&client, SUMMARY).await;
    let expected = json!({"id": "sat-xxx", "name": "edge-one", "total_instances": "2",
        "active_instances": "1", "total_tools": "12", "online_servers": "2"});
    assert_eq!(summary, [expected]);

    let instances = rows(&client, INSTANCES).await;
    let found: Vec<_> = instances.iter().map(|row| row["instance"].clone()).collect();
    assert_eq!(Value::from(found), status(2)["instances"]);

    let history = rows(&client, HISTORY).await;
    assert_eq!(history.len(), 3);
    for (row, number) in history.iter().zip([2, 1, 0]) {
        assert_eq!(moment(&row["timestamp"]), NOW.after(number * MINUTE));
        let figures = [&row["memory_mb"], &row["uptime"], &row["process_count"]];
        assert_eq!(figures, [&json!(200.5), &json!(number), &json!(4)]);
        assert_eq!(row["healthy_process_count"], json!(3));
    }

    let lag = rows(&client, LAG).await;
    let names: Vec<_> = lag.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["edge-one", "edge-two"], "the one that is furthest behind comes first");
}

#[tokio::test]
async fn the_two_statements_write_what_the_store_reads() {
    let url = throwaway::database().await;
    let store = opened(&url).await;
    let client = throwaway::client(&url).await;
    sent(&store, "sat-xxx", "edge-one", 1).await;

    let sql = UPDATE.replace(":mcp_status_json", "$1").replace(":satelliteId", "$2");
    let new = status(1).to_string();
    assert_eq!(client.execute(&sql, &[&new, &"sat-xxx"]).await.unwrap(), 1);
    let satellite = store.satellite("sat-xxx".into()).await.unwrap().unwrap();
    assert_eq!(satellite.mcp_status.unwrap().as_str(), new);
    assert!(satellite.last_heartbeat.unwrap().0 > NOW);

    let values = "($1, $2, 'active', $3, 5, 4, 1, 60, '2.0', NOW())";
    let metrics = r#"{"memory_usage_mb": 1}"#;
    let sql = INSERT.replace("(...)", values);
    assert_eq!(client.execute(&sql, &[&"hb-new", &"sat-xxx", &metrics]).await.unwrap(), 1);
    let newest = store.heartbeats("sat-xxx".into(), 1).await.unwrap().remove(0);
    assert_eq!((newest.id.as_str(), newest.system_metrics.as_str()), ("hb-new", metrics));
    assert_eq!((newest.process_count, newest.healthy_process_count), (5, 4));
    assert_eq!((newest.error_count, newest.uptime_seconds), (1, Some(60)));
    assert_eq!((newest.version.as_deref(), newest.response_time_ms), (Some("2.0"), None));
    assert_eq!(rows(&client, HISTORY).await.len(), 2);
}
