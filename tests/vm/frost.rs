//! The light sleep of an idle server: frozen where it is, woken by a call, gone with the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{eventually, is_alive, program};
use crate::daemon::{Dev, get};

/// The groups of servers that stand still.
fn frozen(dev: &Dev) -> Vec<PathBuf> {
    let stands_still = |path: &PathBuf| {
        let events = fs::read_to_string(path.join("cgroup.events")).unwrap_or_default();
        let own = fs::read_to_string(path.join("cgroup.freeze")).unwrap_or_default();
        events.contains("frozen 1") && own.trim() == "1"
    };
    dev.groups().0.into_iter().filter(stands_still).collect()
}

fn call(state: &Path) -> String {
    let output = Command::new(program())
        .args(["call", "demo:add", r#"{"a": 2, "b": 40}"#, "--dir"])
        .arg(state)
        .output()
        .expect("the program is built");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn an_idle_server_stands_still_until_it_is_called_and_ends_with_the_daemon() {
    let dev = Dev::new("frost");
    let mut command = dev.command("required");
    command.env("SATELLITE_FREEZE_AFTER_SECONDS", "2");
    command.env("MCP_PROCESS_SPAWN_GRACE_PERIOD_SECONDS", "0");
    let mut running = dev.start_as(command);
    let (_, servers) = dev.groups();
    eventually("the server stands still", || frozen(&dev).len() == 1).await;
    let url = running.ready["satellite_url"].as_str().unwrap();
    let status = get(url.trim_start_matches("http://"), "/ready").await;
    assert_eq!(status["instances"]["online"], 1, "nobody is told of it: {status}");
    for _ in 0..3 {
        assert_eq!(call(&dev.state()), "42");
        eventually("it stands still again", || frozen(&dev).len() == 1).await;
        assert_eq!(dev.groups().1, servers, "it is the same process");
    }
    let pid = Pid::from_raw(running.child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(running.child.wait().unwrap().success(), "{}", dev.said());
    eventually("nothing is left", || dev.groups() == (Vec::new(), Vec::new())).await;
    assert!(!servers.iter().any(|pid| is_alive(*pid)), "{servers:?}");
}
