//! A production daemon, recorded through a crash and an outage, and replayed by another program.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::fleet::Fleet;
use crate::harness::{command, eventually, program};
use crate::peer::peer;

/// Set to a file that shall become the recording of this test.
const KEEP: &str = "SATELLITE_KEEP_RECORDING";
/// Stands for what nobody may read.
const CANARY: &str = "CaNaRy-in-the-environment";

/// What the simulation's program says of a recording, and whether it is content.
fn replayed(file: &Path) -> (bool, String) {
    let sim = program().with_file_name("sim");
    let output = Command::new(sim).arg("replay").arg(file).output().expect("sim runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn a_recorded_daemon_is_replayed_to_the_same_decisions_through_a_crash_and_an_outage() {
    let mut victim = peer("well");
    victim["env"] = json!({"API_KEY": CANARY});
    let mut fleet = Fleet::start("recorded", &json!({"mcpServers": {"well": victim}})).await;
    fleet.stop_daemon().await;
    let file = fleet.state().join("recording.jsonl");
    fleet.start_recorded(&file).await;

    fleet.gate.close();
    let old = fleet.pid("well").await;
    kill(Pid::from_raw(i32::try_from(old).unwrap_or_default()), Signal::SIGKILL)
        .expect("the peer can be killed");
    let young = eventually("the server, without a Backend", || fleet.try_pid("well")).await;
    assert_ne!(old, young);
    for path in ["commands", "events"] {
        eventually(path, || async {
            let attempts = fleet.gate.attempts();
            (attempts.iter().filter(|a| a.what.ends_with(path)).count() >= 2).then_some(())
        })
        .await;
    }
    fleet.gate.open();
    eventually("the crash's event", || async {
        (fleet.events("mcp.server.crashed") == 1).then_some(())
    })
    .await;

    // While it is being written, what is whole can be replayed.
    let (is_same, told) = replayed(&file);
    assert!(is_same, "{told}");
    fleet.stop_daemon().await;
    let (is_same, told) = replayed(&file);
    assert!(is_same && told.contains("events, identical; it ends because"), "{told}");
    eprintln!("{told}");

    let text = std::fs::read_to_string(&file).expect("the recording");
    for kind in ["\"exited\"", "\"Err\"", "\"listed\""] {
        assert!(text.contains(kind), "{kind} is recorded");
    }
    let key = std::fs::read_to_string(fleet.state().join("backend.key.json")).expect("a pairing");
    let key: serde_json::Value = serde_json::from_str(&key).expect("JSON");
    for secret in [CANARY, key["api_key"].as_str().expect("a key")] {
        assert!(!text.contains(secret), "a secret is in the recording");
    }
    let refused = command(&["run", "--record"])
        .arg(&file)
        .args(["--state-dir"])
        .arg(fleet.state())
        .env("DEPLOYSTACK_SATELLITE_NAME", "edge-satellite-01")
        .env("PORT", "0")
        .output()
        .await
        .expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("never overwritten"), "{refused}");

    let damaged = file.with_extension("damaged");
    let mut bytes = text.clone().into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(&damaged, bytes).expect("a copy");
    let (is_same, told) = replayed(&damaged);
    assert!(!is_same && told.contains(": it is damaged: "), "{told}");
    let cut = file.with_extension("cut");
    std::fs::write(&cut, &text[..middle]).expect("a copy");
    let (is_same, told) = replayed(&cut);
    assert!(is_same && told.contains("events, identical; its last line is cut short"), "{told}");

    if let Some(kept) = std::env::var_os(KEEP).map(PathBuf::from) {
        std::fs::copy(&file, kept).expect("the recording can be kept");
    }
    fleet.stop_backend().await;
}
