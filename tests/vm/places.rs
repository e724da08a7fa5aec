//! More servers than places: who comes last waits, and whoever is idle ends and makes room.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use satellite_tests::root;
use serde_json::json;
use tokio::time::sleep;

use crate::attacks::Client;
use crate::bench::{eventually, tell};
use crate::daemon::{Dev, get};

/// How many places there are; one server more is called.
fn places() -> usize {
    let asked = std::env::var("SATELLITE_VM_PLACES").ok();
    asked.map_or(2, |text| text.parse().expect("SATELLITE_VM_PLACES is a number"))
}

#[tokio::test]
async fn one_more_than_there_are_places_waits_until_an_idle_one_has_ended() {
    let (dev, places) = (Dev::new("places"), places());
    let folder = Path::new("/opt/places");
    fs::create_dir_all(folder).expect("the VM is ours");
    let script = folder.join("attack.py");
    fs::copy(root().join("tests/vm/attack.py"), &script).expect("the VM is ours");
    let names: Vec<String> = (0..=places).map(|number| format!("server-{number}")).collect();
    let server = json!({"command": "/usr/bin/python3", "args": ["-I", script, "calm", "/", "0"]});
    let servers: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), server.clone())).collect();
    let file = folder.join("mcp.json");
    fs::write(&file, json!({"mcpServers": servers}).to_string()).expect("the VM is ours");
    let mut command = dev.command("required");
    command.arg("--servers").arg(&file).env("PATH", "/usr/bin:/bin");
    command.env("SATELLITE_READABLE_PATHS", folder);
    command.env("SATELLITE_ALLOWED_COMMANDS", "/usr/bin/python3");
    command.env("SATELLITE_INSTANCES", places.to_string());
    command.env("SATELLITE_FREEZE_AFTER_SECONDS", "0");
    command.env("MCP_PROCESS_SPAWN_GRACE_PERIOD_SECONDS", "0");
    command.env("MCP_PROCESS_IDLE_TIMEOUT_SECONDS", "10");
    let mut running = dev.start_as(command);
    let address = running.ready["satellite_url"].as_str().expect("a text");
    let address = address.trim_start_matches("http://").to_owned();

    // All of them have had a place in turn, and end where they are not called: no process of
    // theirs is left, and nobody is told.
    eventually("every idle server has ended", || dev.groups().1.is_empty()).await;
    let mut asleep = get(&address, "/ready").await;
    while asleep["places"]["taken"] != 0 {
        sleep(Duration::from_millis(50)).await;
        asleep = get(&address, "/ready").await;
    }
    assert_eq!(asleep["instances"]["online"], names.len(), "{asleep}");

    let mut calls = Vec::new();
    for name in &names {
        let mut client = Client::open(&running, name).await;
        calls.push(tokio::spawn(async move { client.attack().await }));
    }
    let (mut most_taken, mut most_waiting) = (0, 0);
    while !calls.iter().all(tokio::task::JoinHandle::is_finished) {
        let status = get(&address, "/ready").await;
        let count = |name: &str| status["places"][name].as_u64().expect("a number");
        most_taken = most_taken.max(count("taken"));
        most_waiting = most_waiting.max(count("waiting"));
    }
    for call in calls {
        assert_eq!(call.await.expect("a call ends"), "calm", "{}", dev.said());
    }
    tell(&format!(
        "{} calls at once for {places} places: all answered; at most {most_taken} places taken, \
         {most_waiting} waited",
        names.len()
    ));
    assert_eq!(most_taken, places as u64);
    assert!(most_waiting > 0);
    eventually("every idle server has ended again", || dev.groups().1.is_empty()).await;
    let pid = Pid::from_raw(running.child.id().try_into().expect("a number"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    assert!(running.child.wait().expect("it ends").success(), "{}", dev.said());
    eventually("nothing is left", || dev.groups() == (Vec::new(), Vec::new())).await;
}
