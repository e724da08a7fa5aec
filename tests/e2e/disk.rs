//! A daemon whose disk is full. Mounting needs root, as everywhere these tests run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::fleet::Fleet;
use crate::harness::eventually;
use crate::peer::peer;

/// A small file system in the place of a directory, with the same content.
struct Small(PathBuf);

impl Small {
    fn over(directory: &Path) -> Small {
        let copy = directory.with_extension("copy");
        run("cp", &["-a".as_ref(), directory.as_os_str(), copy.as_os_str()]);
        let options = ["-t", "tmpfs", "-o", "size=8m,mode=0700", "satellite-test"];
        let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(AsRef::as_ref).collect();
        arguments.push(directory.as_os_str());
        run("mount", &arguments);
        let small = Small(directory.to_owned());
        let content = copy.join(".");
        run("cp", &["-a".as_ref(), content.as_os_str(), directory.as_os_str()]);
        small
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file can be made");
        for length in [65_536, 512, 1] {
            while filler.write_all(&vec![0; length]).is_ok() {}
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    let status = Command::new(program).args(arguments).status().expect("it can be started");
    assert!(status.success(), "{program} {arguments:?}");
}

#[tokio::test]
async fn a_daemon_with_a_full_disk_serves_says_so_loses_no_event_and_recovers() {
    let mut fleet = Fleet::start("full-disk", &json!({"mcpServers": {"well": peer("well")}})).await;
    fleet.kill_daemon().await;
    let small = Small::over(fleet.state());
    fleet.start_daemon().await;
    let old = fleet.pid("well").await;
    small.fill();
    kill(Pid::from_raw(i32::try_from(old).unwrap_or_default()), Signal::SIGKILL)
        .expect("the peer can be killed");
    let young = eventually("the server again", || async {
        fleet.try_pid("well").await.filter(|pid| *pid != old)
    })
    .await;
    assert_ne!(old, young);
    eventually("the crash, told from memory", || async {
        (fleet.events("mcp.server.crashed") == 1).then_some(())
    })
    .await;
    let path = fleet.log();
    let log = || fs::read_to_string(&path).unwrap_or_default();
    for words in ["the journal cannot be written", "free some space"] {
        eventually(words, || async { log().contains(words).then_some(()) }).await;
    }
    eventually("a heartbeat that says so", || async {
        let heartbeats = fleet.query("SELECT status FROM \"satelliteHeartbeats\"");
        heartbeats.iter().any(|status| status == "degraded").then_some(())
    })
    .await;

    // Killed now, it must come back with what is on the disk, and without a disk to write to.
    fleet.kill_daemon().await;
    fleet.start_daemon().await;
    fs::remove_file(small.filler()).expect("the filler can be removed");
    eventually("the journal again", || async {
        log().contains("the journal can be written again").then_some(())
    })
    .await;
    let ids = fleet.event_ids();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "every event is stored once");
    // Detached from its place, so that the directory can be removed; the daemon goes on with it.
    drop(small);
    fleet.stop().await;
}
