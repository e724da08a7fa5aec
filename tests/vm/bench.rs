//! Processes of servers in the VM, started by the host that the daemon uses.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use satellite_core::cgroup::{ProcessLimits, TeamLimits, instance_name, team_name};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{ProcessSpec, Samples};
use satellite_io::host::{
    ControlGroups, HostOptions, Launch, LinuxHost, Opened, Order, Process, ProcessExit,
    ProcessHost, StandIns,
};
use satellite_tests::root;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Where the VM has its control groups.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";
/// What only a hang reaches.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Fails anywhere but in the VM: what these tests do is not for a machine that anybody uses.
pub(crate) fn inside() {
    assert!(
        std::env::var_os("SATELLITE_IN_VM").is_some(),
        "these tests run in a VM: use `tests/run vm`"
    );
}

/// The program, as it was built before the VM was started.
pub(crate) fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let program = target.unwrap_or_else(|| root().join("target")).join("debug/satellite");
    assert!(program.exists(), "{} is built before the VM starts", program.display());
    program
}

/// A host with control groups of its own.
pub(crate) struct Bench {
    host: LinuxHost,
    groups: ControlGroups,
    directory: PathBuf,
}

/// A process of it.
pub(crate) struct Started {
    pub(crate) process: Process<LinuxHost>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    /// Its control group.
    pub(crate) group: PathBuf,
}

impl Bench {
    pub(crate) fn new(name: &str, teams: TeamLimits) -> Bench {
        inside();
        let Opened { groups, isolation } = ControlGroups::open(name, teams);
        assert!(isolation.missing.is_empty(), "{isolation:?}");
        let groups = groups.expect("the VM has control groups");
        let host = LinuxHost::new(HostOptions {
            marker: String::from(name),
            allowed_commands: [String::from("/bin/sh")].into(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            homes: std::env::temp_dir().join(name),
            packages: std::env::temp_dir().join(format!("{name}-packages")),
            shared_home: None,
            jail: None,
            stand_ins: StandIns::default(),
            groups: Some(groups.clone()),
        });
        let directory = Path::new(ROOT).join(format!("satellite-{name}"));
        Bench { host: host.expect("a host can be made"), groups, directory }
    }

    /// Starts a shell with a script, as the first process of `user`'s instance.
    pub(crate) async fn start(&self, user: &str, script: &str) -> Started {
        self.start_with(user, script, ProcessLimits::default()).await
    }

    pub(crate) async fn start_with(
        &self,
        user: &str,
        script: &str,
        limits: ProcessLimits,
    ) -> Started {
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: user.into() };
        let (team, incarnation) = (team_name(&key.team), Incarnation(1));
        let group = self.directory.join(team).join(instance_name(&key, incarnation));
        let (orders, received) = mpsc::unbounded_channel();
        let process = ProcessSpec {
            command: String::from("/bin/sh"),
            args: vec![String::from("-c"), String::from(script)],
            env: Vec::new(),
            handshake_timeout_ms: 1_000,
            limits,
        };
        let launch = Launch { key, incarnation, process, orders: received };
        let process = self.host.spawn(launch).await.expect("the process starts");
        Started { process, orders, group }
    }

    /// What its processes use.
    pub(crate) async fn samples(&self) -> Samples {
        self.host.samples().await
    }

    /// Goes, and sees that nothing is left.
    pub(crate) fn end(self) {
        let teams = fs::read_dir(&self.directory).expect("its group is there").flatten();
        let left: Vec<PathBuf> = teams
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !path.ends_with("daemon"))
            .collect();
        assert!(left.is_empty(), "groups are left: {left:?}");
        self.groups.leave();
        assert!(!self.directory.exists(), "{} is left", self.directory.display());
    }
}

impl Started {
    /// A file of its group, without the line's end.
    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.group.join(name);
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// Waits until it has ended, with everything it started; its group is gone then.
    pub(crate) async fn ended(&mut self) -> ProcessExit {
        let exit = timeout(LONG, &mut self.process.exited).await;
        let exit = exit.expect("it exits").expect("its exit is told");
        let gone = timeout(LONG, &mut self.process.gone).await;
        gone.expect("all ends").expect("the end is told");
        assert!(!self.group.exists(), "its control group is left");
        exit
    }

    /// Ends it at once.
    pub(crate) async fn stop(mut self) {
        self.orders.send(Order::Terminate { grace_ms: 0 }).expect("it runs");
        self.ended().await;
    }

    /// Waits until as many processes are in its group.
    pub(crate) async fn has(&self, count: usize) {
        eventually(&format!("{count} processes"), || {
            self.file("cgroup.procs").lines().count() == count
        })
        .await;
    }
}

/// Shown whether the test passes or not.
pub(crate) fn tell(text: &str) {
    // Whether anybody reads it is nothing to the test.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "never came: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a process runs; one that has ended but was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
