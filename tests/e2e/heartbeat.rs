//! Heartbeats: each is a request and a row, its values are those of the machine, its size is known.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fleet::Fleet;
use crate::gate::Passed;
use crate::harness::{LONG, eventually, state};
use crate::peer::{peer, stored_heartbeats};

/// How far the processors' share may be from the kernel's count, in points: both are means of the
/// same 30 s, begun and ended at moments that differ by what a request takes.
const PROCESSOR_TOLERANCE: f64 = 5.0;
/// How far the daemon's memory may be from `VmRSS` read when the heartbeat has arrived.
const MEMORY_TOLERANCE: f64 = 0.25;
/// How far the disk's share may be from that of `df`, in points: others write meanwhile.
const DISK_TOLERANCE: f64 = 0.5;

/// The requests of this daemon that were heartbeats, in the order in which they were made: the gate
/// knows them by connection.
fn heartbeats(fleet: &Fleet) -> Vec<Passed> {
    let mut passed = fleet.gate.passed();
    passed.retain(|request| request.what.ends_with("/heartbeat"));
    let uptime = |request: &Passed| request.body["system_metrics"]["uptime_seconds"].as_f64();
    passed.sort_by(|one, other| uptime(one).partial_cmp(&uptime(other)).expect("uptimes compare"));
    passed
}

/// What the kernel and `df` say.
struct Reading {
    busy: f64,
    total: f64,
    resident_mb: f64,
    disk_percent: f64,
    received: u64,
    sent: u64,
}

impl Reading {
    fn take(process: u32, directory: &Path) -> Reading {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let numbers = |text: &str| -> Vec<f64> {
            text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        // The eight kinds of time; guests' time is within the first two.
        let ticks = numbers(read("/proc/stat").lines().next().unwrap_or_default());
        let total: f64 = ticks[..8].iter().sum();
        let status = read(&format!("/proc/{process}/status"));
        let resident = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS");
        let df = Command::new("df").args(["--output=used,avail", "-B1"]).arg(directory).output();
        let df = String::from_utf8(df.expect("df runs").stdout).expect("df prints text");
        let space = numbers(df.lines().nth(1).unwrap_or_default());
        let (mut received, mut sent) = (0, 0);
        for line in read("/proc/net/dev").lines().skip(2) {
            let (name, rest) = line.split_once(':').expect("a name and counters");
            if name.trim() != "lo" {
                let fields: Vec<u64> =
                    rest.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
                received += fields[0];
                sent += fields[8];
            }
        }
        Reading {
            busy: total - ticks[3] - ticks[4],
            total,
            resident_mb: numbers(resident)[0] / 1024.0,
            disk_percent: 100.0 * space[0] / (space[0] + space[1]),
            received,
            sent,
        }
    }
}

/// Waits for the heartbeat with this number, counted from 1, and reads what the machine says then.
async fn arrival(fleet: &Fleet, number: usize) -> (Value, Reading) {
    let body = eventually("a heartbeat", || async {
        heartbeats(fleet).into_iter().nth(number - 1).map(|heartbeat| heartbeat.body)
    });
    let body = body.await;
    (body, Reading::take(fleet.daemon_id(), fleet.state()))
}

/// Compares a heartbeat with what the machine said when it and the one before it arrived.
fn compare(label: &str, heartbeat: &Value, before: &Reading, after: &Reading) {
    let metrics = &heartbeat["system_metrics"];
    let number = |name: &str| {
        metrics[name].as_f64().unwrap_or_else(|| panic!("{label}: no {name} in {metrics}"))
    };
    let (cpu, memory, disk) =
        (number("cpu_usage_percent"), number("memory_usage_mb"), number("disk_usage_percent"));
    let counted = 100.0 * (after.busy - before.busy) / (after.total - before.total);
    state(&format!(
        "heartbeat {label}: cpu {cpu:.1} % (/proc/stat {counted:.1}), memory {memory:.1} MiB \
         (VmRSS {:.1}), disk {disk:.2} % (df {:.2})",
        after.resident_mb, after.disk_percent
    ));
    assert!((cpu - counted).abs() <= PROCESSOR_TOLERANCE, "{label}: {cpu} against {counted}");
    assert!(
        (memory - after.resident_mb).abs() <= MEMORY_TOLERANCE * after.resident_mb,
        "{label}: {memory} against {}",
        after.resident_mb
    );
    assert!(disk > 0.0, "{label}: a disk that nothing is on");
    assert!(
        (disk - after.disk_percent).abs() <= DISK_TOLERANCE,
        "{label}: {disk} against {}",
        after.disk_percent
    );
    let bytes = |name: &str| metrics[name].as_u64().unwrap_or_else(|| panic!("no {name}"));
    assert!((before.received..=after.received).contains(&bytes("network_rx_bytes")), "{metrics}");
    assert!((before.sent..=after.sent).contains(&bytes("network_tx_bytes")), "{metrics}");
    assert!(number("uptime_seconds") > 0.0, "{metrics}");
}

/// Keeps half of the processors busy and the daemon at work until `heartbeats` have arrived.
async fn load(fleet: &Fleet, number: usize) -> (Value, Reading) {
    let over = AtomicBool::new(false);
    let workers = thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
    let session = fleet.session("well").await;
    tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let arrived = tokio::runtime::Handle::current().block_on(async {
                let calls = async {
                    loop {
                        let answer = session.call("big", json!({"bytes": 1_000_000})).await;
                        assert!(answer["result"].is_object(), "a call under load: {answer}");
                        sleep(std::time::Duration::from_millis(50)).await;
                    }
                };
                tokio::select! {
                    arrived = arrival(fleet, number) => Some(arrived),
                    () = calls => None,
                }
            });
            over.store(true, Ordering::Relaxed);
            arrived.expect("calls go on until the heartbeat")
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_a_request_and_a_row_whose_values_are_those_of_the_machine() {
    let fleet = Fleet::start("heartbeat", &json!({"mcpServers": {"well": peer("well")}})).await;
    // Those that have arrived already were not read at their time.
    let number = heartbeats(&fleet).len() + 1;
    let (before, first) = arrival(&fleet, number).await;
    let (idle, second) = arrival(&fleet, number + 1).await;
    compare("idle", &idle, &first, &second);
    let (busy, third) = load(&fleet, number + 2).await;
    compare("under load", &busy, &second, &third);
    let counted = 100.0 * (third.busy - second.busy) / (third.total - second.total);
    assert!(counted > 4.0 * PROCESSOR_TOLERANCE, "too idle to tell a share from none: {counted}");

    // Every field of the request.
    assert_eq!(idle["status"], "active", "{idle}");
    assert_eq!(idle["processes"], json!([]), "{idle}");
    assert_eq!(idle["error_count"], 0, "{idle}");
    assert!(idle["version"].as_str().is_some_and(|version| version.contains('.')), "{idle}");
    assert!(idle["response_time_ms"].is_u64(), "{idle}");
    let status = &idle["mcp_status"];
    assert_eq!(
        status["summary"],
        json!({"total_instances": 1, "active_instances": 1, "dormant_instances": 0,
            "total_tools": 5, "online_servers": 1, "offline_servers": 0, "error_servers": 0})
    );
    assert_eq!(
        status["server_status_counts"],
        json!({"online": 1, "offline": 0, "error": 0, "requires_reauth": 0})
    );
    let tools: Vec<Value> = ["big", "echo", "lines", "pid", "sleep"]
        .map(|tool| {
            let name = format!("well:{tool}");
            json!({"namespaced_name": name, "server_slug": "well", "transport": "stdio"})
        })
        .into();
    assert_eq!(status["tool_names"], json!(tools));
    let instance = &status["instances"][0];
    let process = fleet.pid("well").await;
    let of_team = idle["processes_by_team"].as_object().expect("processes by team");
    let (team, processes) = of_team.iter().next().expect("one team");
    assert_eq!(instance["team_id"], team.as_str());
    for of_instance in [instance, &processes[0]] {
        assert_eq!(of_instance["pid"], process, "{of_instance}");
        assert_eq!(of_instance["status"], "running", "{of_instance}");
        assert_eq!(of_instance["health_status"], "healthy", "{of_instance}");
        assert!(of_instance["message_count"].as_u64() > Some(0), "{of_instance}");
        assert_eq!(of_instance["error_count"], 0, "{of_instance}");
        for name in ["installation_id", "installation_name"] {
            assert!(of_instance[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
    }
    for name in ["instance_id", "user_id"] {
        assert!(instance[name].as_str().is_some_and(|text| !text.is_empty()), "{instance}");
    }
    assert_eq!(instance["transport_type"], "stdio");
    assert!(processes[0]["last_activity"].is_string(), "{processes}");

    // Each is a row with the same values, and the satellite has the last one's.
    let rows = eventually("a row for each", || async {
        let rows = "SELECT system_metrics FROM \"satelliteHeartbeats\" ORDER BY rowid DESC LIMIT 3";
        let rows: Vec<Value> = fleet
            .query(rows)
            .iter()
            .map(|row| serde_json::from_str(row).expect("metrics are JSON"))
            .collect();
        (rows[0] == busy["system_metrics"]).then_some(rows)
    })
    .await;
    assert_eq!(rows[1], idle["system_metrics"]);
    assert_eq!(rows[2], before["system_metrics"]);
    let columns = "status || ' ' || process_count || ' ' || healthy_process_count || ' ' || \
                   error_count || ' ' || version";
    let row = fleet.query(&format!("SELECT {columns} FROM \"satelliteHeartbeats\" ORDER BY rowid"));
    let version = idle["version"].as_str().unwrap_or_default();
    assert_eq!(row.last(), Some(&format!("active 1 1 0 {version}")));
    let stored = fleet.query("SELECT mcp_status FROM satellites").remove(0);
    let stored: Value = serde_json::from_str(&stored).expect("mcp_status is JSON");
    assert_eq!(stored, busy["mcp_status"]);
    let told = stored_heartbeats(fleet.ready()).await;
    assert_eq!(told["data"]["heartbeats"][0]["system_metrics"], busy["system_metrics"], "{told}");
    fleet.stop().await;
}

/// A request of a daemon with so many running instances.
async fn with_instances(count: usize) -> Passed {
    let servers: serde_json::Map<_, _> =
        (0..count).map(|number| (format!("server-{number:02}"), peer("well"))).collect();
    let fleet = Fleet::start("size", &json!({"mcpServers": servers})).await;
    let started = Instant::now();
    let heartbeat = loop {
        let all = heartbeats(&fleet).into_iter();
        let mut all =
            all.filter(|one| one.body["mcp_status"]["summary"]["active_instances"] == count);
        if let Some(heartbeat) = all.next() {
            break heartbeat;
        }
        assert!(started.elapsed() < LONG, "no heartbeat with {count} instances");
        sleep(std::time::Duration::from_millis(100)).await;
    };
    fleet.stop().await;
    heartbeat
}

#[tokio::test]
async fn a_heartbeat_of_fifty_instances_is_not_yet_unusually_large() {
    for count in [1, 10, 50] {
        let heartbeat = with_instances(count).await;
        state(&format!("heartbeat with {count} instances: {} bytes", heartbeat.bytes));
        let status = &heartbeat.body["mcp_status"];
        assert_eq!(status["instances"].as_array().map(Vec::len), Some(count));
        assert_eq!(status["summary"]["online_servers"], count);
        assert!(heartbeat.body.get("normalized_data").is_none(), "only for a hundred and more");
        assert!(heartbeat.bytes < 64 * 1024, "{count} instances: {} bytes", heartbeat.bytes);
    }
}
