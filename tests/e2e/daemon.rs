//! A daemon that is killed, and a Backend that goes away.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::fleet::Fleet;
use crate::harness::{Dev, eventually, is_alive};
use crate::mcp::text_of;
use crate::peer::{peer, session};

#[tokio::test]
async fn a_killed_dev_comes_back_with_its_pairing_and_leaves_no_process() {
    let servers = json!({"mcpServers": {"well": peer("well")}});
    let before = Dev::start("killed-dev", Some(&servers)).await;
    let old = session(&before, "well").await.call("pid", json!({})).await;
    let old: u32 = text_of(&old).parse().expect("a process id");
    let satellite = before.running.text("/satellite_id").to_string();
    let Dev { mut running, scratch } = before;
    running.signal(Signal::SIGKILL);
    running.ended().await;

    let mut after = Dev::start_in(scratch, Some(&servers)).await;
    assert_eq!(after.running.text("/satellite_id"), satellite, "no new pairing");
    assert_eq!(after.query("SELECT count(*) FROM satellites"), ["1"]);
    assert_eq!(after.running.instance("well")["status"], "online");
    assert!(!is_alive(old), "the peer of the killed daemon is gone");
    let pid = session(&after, "well").await.call("pid", json!({})).await;
    assert_ne!(text_of(&pid), old.to_string());
    assert_eq!(after.running.stop().await, Some(0));
}

#[tokio::test]
async fn a_killed_daemon_comes_back_with_its_pairing_and_leaves_no_process() {
    let mut fleet =
        Fleet::start("killed-daemon", &json!({"mcpServers": {"well": peer("well")}})).await;
    let old = fleet.pid("well").await;
    let (satellites, tokens) =
        (fleet.count("satellites"), fleet.count("satelliteRegistrationTokens"));
    fleet.kill_daemon().await;
    fleet.start_daemon().await;
    let young = eventually("the server again", || fleet.try_pid("well")).await;
    assert_ne!(old, young);
    assert!(!is_alive(old), "the peer of the killed daemon is gone");
    assert_eq!(fleet.count("satellites"), satellites, "no new pairing");
    assert_eq!(fleet.count("satelliteRegistrationTokens"), tokens, "no new token");
    fleet.stop().await;
}

#[tokio::test]
async fn clients_are_served_while_the_backend_is_away_and_every_event_arrives_once() {
    let fleet = Fleet::start("outage", &json!({"mcpServers": {"well": peer("well")}})).await;
    let old = fleet.pid("well").await;
    // The daemon's own first events have arrived, after those of the `dev` that paired: each daemon
    // begins a range of numbers of its own.
    eventually("the daemon's events", || async {
        (fleet.events("mcp.server.started") == 2).then_some(())
    })
    .await;
    fleet.gate.close();
    let known = fleet.event_ids().len();
    let last = fleet.event_sequence().into_iter().max().unwrap_or_default();
    kill(Pid::from_raw(i32::try_from(old).unwrap_or_default()), Signal::SIGKILL)
        .expect("the peer can be killed");
    let young = eventually("the server, without a Backend", || fleet.try_pid("well")).await;
    assert_ne!(old, young);
    // Polls, heartbeats and the events of the crash have all been tried in vain.
    for path in ["commands", "heartbeat", "events"] {
        eventually(path, || async {
            let attempts = fleet.gate.attempts();
            (attempts.iter().filter(|a| a.what.ends_with(path)).count() >= 2).then_some(())
        })
        .await;
    }
    assert_eq!(fleet.event_ids().len(), known, "nothing passed the closed gate");
    let attempts = fleet.gate.attempts();
    for attempt in &attempts {
        let since = attempt.at.duration_since(attempts[0].at).as_secs_f64();
        eprintln!("{since:8.3} s  {}", attempt.what);
    }
    fleet.gate.open();
    for kind in ["mcp.server.crashed", "mcp.server.restarted"] {
        eventually(kind, || async { (fleet.events(kind) == 1).then_some(()) }).await;
    }
    let ids = fleet.event_ids();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "every event is stored once");
    let sequence = fleet.event_sequence().into_iter().filter(|seq| *seq > last);
    let sequence: Vec<u64> = sequence.collect();
    let expected: Vec<u64> = (last + 1..).take(sequence.len()).collect();
    assert_eq!(sequence, expected, "none of the outage is missing, and they are in order");
    fleet.stop().await;
}

/// The folder that holds a file, somewhere under `folder`.
pub(crate) fn folder_of(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|found| found == name) {
            return Some(folder.to_path_buf());
        }
        if let Some(found) = path.is_dir().then(|| folder_of(&path, name)).flatten() {
            return Some(found);
        }
    }
    None
}
