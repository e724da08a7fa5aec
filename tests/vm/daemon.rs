//! The program itself, in a control group that was delegated to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{ROOT, eventually, inside, is_alive, program};

/// A `dev` in a control group of its own.
pub(crate) struct Dev {
    directory: PathBuf,
    group: PathBuf,
}

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) ready: Value,
}

impl Dev {
    pub(crate) fn new(name: &str) -> Dev {
        inside();
        for controller in ["cpu", "memory", "pids"] {
            fs::write(Path::new(ROOT).join("cgroup.subtree_control"), format!("+{controller}"))
                .expect("the VM is ours");
        }
        let group = Path::new(ROOT).join(name);
        fs::create_dir_all(&group).expect("the VM is ours");
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("the VM is ours");
        Dev { directory, group }
    }

    pub(crate) fn command(&self, isolation: &str) -> Command {
        // Beside the groups with controllers that a killed one left there may be no process.
        let script = format!(
            "cd {} && {{ echo 0 >cgroup.procs || \
             for leaf in satellite-*/daemon; do echo 0 >$leaf/cgroup.procs; done; }} && \
             cd / && exec \"$@\"",
            self.group.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(program());
        command.args(["dev", "--json", "--port", "0", "--backend-port", "0"]);
        command.args(["--isolation", isolation, "--dir"]).arg(self.state());
        command.env("LOG_LEVEL", "info").stdin(Stdio::null());
        command.stderr(
            File::options().create(true).append(true).open(self.log()).expect("the VM is ours"),
        );
        command
    }

    fn start(&self) -> Running {
        self.start_as(self.command("required"))
    }

    pub(crate) fn start_as(&self, command: Command) -> Running {
        let running = self.start_ready_or_not(command);
        assert_eq!(running.ready["ready"], true, "{}", running.ready);
        running
    }

    /// The same where not every server has to come up.
    pub(crate) fn start_ready_or_not(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the VM is ours");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("the VM is ours"))
            .read_line(&mut line)
            .expect("the VM is ours");
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line:?}; its log: {}", self.said()));
        Running { child, ready }
    }

    /// The directory of its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The directories of all control groups below its own, and the processes of its servers.
    pub(crate) fn groups(&self) -> (Vec<PathBuf>, Vec<u32>) {
        let (mut found, mut processes) = (Vec::new(), Vec::new());
        let mut folders = vec![self.group.clone()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|it| it.path()) {
                if path.is_dir() {
                    let procs = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
                    if !path.ends_with("daemon") {
                        processes.extend(procs.lines().filter_map(|it| it.parse::<u32>().ok()));
                    }
                    found.push(path.clone());
                    folders.push(path);
                }
            }
        }
        found.sort();
        (found, processes)
    }
}

/// The body of an answer to a plain GET.
pub(crate) async fn get(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).await.expect("the VM is ours");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the VM is ours");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the VM is ours");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test]
async fn a_killed_daemons_next_start_ends_what_it_left() {
    let dev = Dev::new("killed");
    let mut running = dev.start();
    let (before, servers) = dev.groups();
    assert!(!servers.is_empty(), "the demo server runs in a group: {before:?}");
    let url = running.ready["satellite_url"].as_str().unwrap();
    let status = get(url.trim_start_matches("http://"), "/ready").await;
    let level = &status["isolation"];
    assert_eq!((&level["asked"], &level["missing"]), (&"required".into(), &Value::Array(vec![])));
    let in_force = level["in_force"].as_array().expect("a list");
    assert!(in_force.contains(&"memory_limit".into()), "{status}");

    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let mut running = dev.start();
    assert!(!servers.iter().any(|pid| is_alive(*pid)), "{servers:?}");
    eventually("as many groups and processes as before", || {
        let (after, again) = dev.groups();
        (after.len(), again.len()) == (before.len(), servers.len())
    })
    .await;
    assert!(dev.said().contains("Ended what an earlier satellite left"), "{}", dev.said());

    let pid = nix::unistd::Pid::from_raw(running.child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(running.child.wait().unwrap().success(), "{}", dev.said());
    eventually("nothing is left", || dev.groups() == (Vec::new(), Vec::new())).await;
}

#[test]
fn where_isolation_is_required_and_incomplete_nothing_starts_and_the_fix_is_named() {
    let dev = Dev::new("crowded");
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(dev.group.join("cgroup.procs"), other.id().to_string()).unwrap();
    let output = dev.command("required").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", dev.said());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &dev.said();
    for word in ["isolation is required", "memory_limit", "Delegate=yes", "best-effort"] {
        assert!(said.contains(word), "no {word}: {said}");
    }
    assert_eq!(dev.groups(), (Vec::new(), Vec::new()));
    other.kill().unwrap();
    other.wait().unwrap();
}
