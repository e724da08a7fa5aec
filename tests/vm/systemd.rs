//! The unit that the program prints, under a systemd that is process 1 of namespaces of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::bench::{ROOT, eventually, inside, program, tell};
use crate::daemon::get;

const ENVIRONMENT: &str = "/etc/satellite/environment";
const ADMIN_TOKEN: &str = "vm-administration-token-0123456789";
const PORT: &str = "3901";

/// A systemd with these units and none of this machine's.
struct Systemd {
    units: PathBuf,
    child: Child,
    group: PathBuf,
}

impl Systemd {
    /// Starts it with `units`, of which the last is the program's; its output goes to `log`.
    fn start(name: &str, units: &[(&str, String)]) -> Systemd {
        inside();
        for controller in ["cpu", "memory", "pids"] {
            fs::write(Path::new(ROOT).join("cgroup.subtree_control"), format!("+{controller}"))
                .expect("the VM is ours");
        }
        let directory = std::env::temp_dir().join(name);
        let folder = directory.join("units");
        fs::create_dir_all(&folder).expect("the VM is ours");
        // What units depend on without saying so, and what this machine boots, is left out.
        for target in ["sysinit", "basic", "shutdown", "network-online", "multi-user"] {
            let text = format!("[Unit]\nDescription={target}\nDefaultDependencies=no\n");
            fs::write(folder.join(format!("{target}.target")), text).expect("the VM is ours");
        }
        for (unit, text) in units {
            fs::write(folder.join(unit), text).expect("the VM is ours");
            let extra = folder.join(format!("{unit}.d"));
            fs::create_dir_all(&extra).expect("the VM is ours");
            // There is no journal.
            let log = directory.join(format!("{unit}.log"));
            let text = format!(
                "[Service]\nStandardOutput=append:{0}\nStandardError=append:{0}\n",
                log.display()
            );
            fs::write(extra.join("log.conf"), text).expect("the VM is ours");
        }
        let group = Path::new(ROOT).join(name);
        fs::create_dir_all(&group).expect("the VM is ours");
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c"]);
        // Alone in its group, for beside other processes it could give none of its own.
        let script = format!(
            "echo 0 >{}/cgroup.procs && mount -t tmpfs run /run && exec \"$@\"",
            group.display()
        );
        command.arg(script).arg("sh");
        command.args(["/lib/systemd/systemd", "--system", "--unit=multi-user.target"]);
        command.args(["--log-target=console", "--log-level=info", "--show-status=no"]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("container", "test");
        command.env("SYSTEMD_UNIT_PATH", &folder).stdin(Stdio::null());
        let log = File::create(directory.join("log")).expect("the VM is ours");
        command.stdout(log.try_clone().expect("the VM is ours")).stderr(log);
        let child = command.spawn().expect("systemd is installed");
        Systemd { units: directory, child, group }
    }

    /// The process that is process 1 in there.
    fn first(&self) -> Option<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
    }

    fn systemctl(&self, arguments: &[&str]) -> Output {
        let first = self.first().map_or_else(String::new, |pid| pid.to_string());
        Command::new("nsenter")
            .args(["-t", &first, "-m", "-p", "systemctl"])
            .args(arguments)
            .output()
            .expect("nsenter is installed")
    }

    fn property(&self, unit: &str, name: &str) -> String {
        let output = self.systemctl(&["show", "-p", name, "--value", unit]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn said(&self, of: &str) -> String {
        fs::read_to_string(self.units.join(of)).unwrap_or_default()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["log", "satellite.service.log", "examination.service.log"] {
                tell(&format!("{log}:\n{}", self.said(log)));
            }
        }
        let _ = fs::write(self.group.join("cgroup.kill"), "1");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Backend, and a token for a satellite.
fn backend(directory: &Path) -> (Child, String, String) {
    fs::create_dir_all(directory).expect("the VM is ours");
    let database = format!("sqlite:{}", directory.join("backend.db").display());
    let listen = "127.0.0.1:3900";
    let child = Command::new(program())
        .args(["backend", "--database-url", &database, "--listen", listen])
        .env("SATELLITE_ADMIN_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(directory.join("backend.log")).expect("the VM is ours"))
        .spawn()
        .expect("the program is built");
    let url = format!("http://{listen}");
    let token = || {
        let output = Command::new(program())
            .args(["token", "create", "--json", "--backend", &url])
            .env("SATELLITE_ADMIN_TOKEN", ADMIN_TOKEN)
            .output()
            .ok()?;
        let reply: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(reply["data"]["token"]["token"].as_str()?.to_owned())
    };
    let token = (0..20).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        token()
    });
    (child, url, token.expect("the Backend issues a token"))
}

#[tokio::test]
async fn the_printed_unit_runs_a_satellite_with_everything_delegated_and_leaves_nothing() {
    inside();
    let directory = std::env::temp_dir().join("systemd-backend");
    let (mut backend, url, token) = backend(&directory);
    fs::create_dir_all("/etc/satellite").expect("the VM is ours");
    let environment = format!(
        "DEPLOYSTACK_SATELLITE_NAME=systemd-satellite\nDEPLOYSTACK_BACKEND_URL={url}\n\
         DEPLOYSTACK_REGISTRATION_TOKEN={token}\nHOST=127.0.0.1\nPORT={PORT}\n"
    );
    fs::write(ENVIRONMENT, environment).expect("the VM is ours");
    let unit = Command::new(program()).arg("systemd-unit").output().expect("the program is built");
    let unit = String::from_utf8(unit.stdout).expect("a unit is text");
    let examination = format!(
        "[Unit]\n[Service]\nType=oneshot\nDelegate=yes\nEnvironmentFile={ENVIRONMENT}\n\
         Environment=SATELLITE_ISOLATION=required SATELLITE_STATE_DIR=/var/lib/satellite/state \
         PORT=0 PATH=/usr/local/bin:/usr/bin:/bin HOME=/root\n\
         LimitNOFILE=65536\nUMask=0077\nExecStart={} doctor --json\n",
        program().display()
    );
    let systemd = Systemd::start(
        "systemd",
        &[("satellite.service", unit), ("examination.service", examination)],
    );
    eventually("systemd runs", || {
        systemd.systemctl(&["is-active", "multi-user.target"]).status.success()
    })
    .await;

    // First a look at it, then the thing itself.
    let looked = systemd.systemctl(&["start", "examination.service"]);
    let said = systemd.said("examination.service.log");
    assert!(looked.status.success(), "{said} {}", systemd.said("log"));
    let examined: Value = serde_json::from_str(said.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said}"));
    tell(&format!("doctor as a unit of systemd: {said}"));
    assert_eq!((&examined["success"], &examined["counts"]["fail"]), (&true.into(), &0.into()));
    let passed = |name: &str| {
        let checks = examined["checks"].as_array().into_iter().flatten();
        let mut of_it = checks.filter(|it| it["check"] == name).peekable();
        of_it.peek().is_some() && of_it.all(|it| it["outcome"] == "pass")
    };
    for check in ["control groups", "jail", "Landlock", "seccomp", "Backend", "clock", "port"] {
        assert!(passed(check), "{check}: {said}");
    }

    let started = systemd.systemctl(&["start", "satellite.service"]);
    assert!(started.status.success(), "{} {}", systemd.said("log"), said);
    let address = format!("127.0.0.1:{PORT}");
    let is_ready = || {
        let log = systemd.said("satellite.service.log");
        log.contains("Serving MCP clients") && Path::new("/var/lib/satellite/state").exists()
    };
    eventually("the satellite serves", is_ready).await;
    let status = get(&address, "/ready").await;
    let log = systemd.said("satellite.service.log");
    let level = &status["isolation"];
    assert_eq!(level["asked"], "required", "{status} {log}");
    assert_eq!(level["missing"], Value::Array(Vec::new()), "{status} {log}");
    let in_force = level["in_force"].as_array().expect("a list");
    for part in ["control_groups", "cpu_limit", "memory_limit", "process_limit", "jail"] {
        assert!(in_force.contains(&part.into()), "{part}: {status}");
    }

    // One that is killed is started again, with the pairing it has.
    let main = || systemd.property("satellite.service", "ExecMainPID");
    let before = main();
    systemd.systemctl(&["kill", "--kill-whom=main", "--signal=KILL", "satellite.service"]);
    eventually("another one runs", || {
        let after = main();
        after != before
            && after != "0"
            && systemd.property("satellite.service", "SubState") == "running"
    })
    .await;
    eventually("it serves too", || {
        systemd.said("satellite.service.log").matches("Serving MCP clients").count() == 2
    })
    .await;

    let stopped = systemd.systemctl(&["stop", "satellite.service"]);
    assert!(stopped.status.success(), "{}", systemd.said("satellite.service.log"));
    assert_eq!(systemd.property("satellite.service", "Result"), "success");
    let own = systemd.group.join("system.slice/satellite.service");
    eventually("nothing of it is left", || !own.exists()).await;
    drop(systemd);
    kill(Pid::from_raw(backend.id().try_into().expect("a process id")), Signal::SIGTERM)
        .expect("the Backend runs");
    backend.wait().expect("the Backend ends");
}

#[test]
fn where_nothing_is_delegated_the_doctor_says_so_and_how_to_mend_it() {
    inside();
    // As a container shows it: the tree is there and cannot be written.
    let script = "mount -o remount,bind,ro /sys/fs/cgroup 2>/dev/null || \
                  { mount --bind /sys/fs/cgroup /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup; }; \
                  exec \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(program())
        .args(["doctor", "--json", "--isolation", "required", "--backend", "http://127.0.0.1:1"])
        .env("DEPLOYSTACK_SATELLITE_NAME", "container-satellite")
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare is installed");
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut said).expect("it speaks");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    tell(&format!("doctor without delegation: {said}"));
    let examined: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let failed: Vec<&str> = examined["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| it["outcome"] == "fail")
        .filter_map(|it| it["check"].as_str())
        .collect();
    assert_eq!(failed, ["control groups", "Backend"], "{said}");
    assert!(said.contains("Delegate=yes"), "{said}");
}
