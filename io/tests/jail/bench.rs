//! A host whose servers are shells.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{ProcessSpec, SpawnFailure};
use satellite_core::secret::Secret;
use satellite_io::host::{
    HostOptions, JailOptions, Launch, LinuxHost, Order, Process, ProcessExit, ProcessHost, StandIns,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than any honest run takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Jails as the satellite makes them, with numbers instead of accounts.
pub(crate) fn options() -> JailOptions {
    JailOptions {
        program: PathBuf::from(env!("CARGO_BIN_EXE_satellite")),
        makes_accounts: false,
        ..JailOptions::default()
    }
}

/// Who counts what this process holds must be alone meanwhile.
static TURNS: RwLock<()> = RwLock::new(());

enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

pub(crate) struct Bench {
    pub(crate) host: LinuxHost,
    pub(crate) root: PathBuf,
    pub(crate) marker: String,
    /// Whoever has it made the directory.
    turn: Option<Turn>,
}

impl Bench {
    pub(crate) fn new(name: &str, jail: Option<JailOptions>) -> Self {
        let guard = TURNS.read().unwrap_or_else(PoisonError::into_inner);
        Bench::in_turn(name, jail, Turn::Shared { _guard: guard })
    }

    /// While no other bench is there.
    pub(crate) fn alone(name: &str, jail: JailOptions) -> Self {
        let guard = TURNS.write().unwrap_or_else(PoisonError::into_inner);
        Bench::in_turn(name, Some(jail), Turn::Alone { _guard: guard })
    }

    fn in_turn(name: &str, jail: Option<JailOptions>, turn: Turn) -> Self {
        let name = format!("satellite-jail-{name}-{}-{}", jail.is_some(), std::process::id());
        let root = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(root.join("homes")).unwrap();
        Bench { host: host(&root, &name, jail), root, marker: name, turn: Some(turn) }
    }

    /// The same place with another jail.
    pub(crate) fn with(&self, jail: JailOptions) -> Bench {
        let host = host(&self.root, &self.marker, Some(jail));
        Bench { host, root: self.root.clone(), marker: self.marker.clone(), turn: None }
    }

    /// The same place with a host that looks for its programs again.
    pub(crate) fn renewed(mut self, jail: JailOptions) -> Bench {
        self.host = host(&self.root, &self.marker, Some(jail));
        self
    }

    pub(crate) async fn start(
        &self,
        team: &str,
        command: &str,
        args: &[&str],
    ) -> Result<Server, SpawnFailure> {
        let (terminate, orders) = mpsc::unbounded_channel();
        let launch = Launch {
            key: InstanceKey { team: team.into(), installation: "i".into(), user: "u".into() },
            incarnation: Incarnation(1),
            process: ProcessSpec {
                command: command.into(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                env: vec![("TOKEN".into(), Secret::new("t0ken"))],
                handshake_timeout_ms: 1_000,
                limits: Default::default(),
            },
            orders,
        };
        Ok(Server { process: self.host.spawn(launch).await?, terminate })
    }

    pub(crate) async fn server(&self, team: &str, script: &str) -> Server {
        self.start(team, "/bin/sh", &["-c", script]).await.unwrap()
    }
}

fn host(root: &std::path::Path, name: &str, jail: Option<JailOptions>) -> LinuxHost {
    let noise = root.join("noise").display().to_string();
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let options = HostOptions {
        marker: name.to_owned(),
        allowed_commands: ["/bin/sh", "cat", &noise].map(String::from).into(),
        environment: vec![("PATH".into(), path.into())],
        homes: root.join("homes"),
        packages: root.join("packages"),
        shared_home: None,
        groups: None,
        // As where no control group can be had.
        stand_ins: StandIns { memory: true, processes: true },
        jail,
    };
    LinuxHost::new(options).unwrap()
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.turn.take().is_some() {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

pub(crate) struct Server {
    pub(crate) process: Process<LinuxHost>,
    pub(crate) terminate: mpsc::UnboundedSender<Order>,
}

impl Server {
    /// All it prints until it ends.
    pub(crate) async fn printed(mut self) -> String {
        let mut text = String::new();
        timeout(PATIENCE, self.process.stdout.read_to_string(&mut text)).await.unwrap().unwrap();
        self.ended().await;
        text
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            let byte = timeout(PATIENCE, self.process.stdout.read_u8()).await.unwrap().unwrap();
            line.push(char::from(byte));
        }
        line.trim_end().to_owned()
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.process.stdin.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ProcessExit {
        let exit = timeout(PATIENCE, &mut self.process.exited).await.unwrap().unwrap();
        timeout(PATIENCE, &mut self.process.gone).await.unwrap().unwrap();
        exit
    }

    /// Ends it at once.
    pub(crate) async fn end(mut self) -> ProcessExit {
        self.terminate.send(Order::Terminate { grace_ms: 0 }).unwrap();
        self.ended().await
    }

    /// The process in or below this one with that command line, by its number outside.
    pub(crate) async fn process_of(&self, command: &str) -> u32 {
        let find = async {
            loop {
                if let Some(pid) = alive(command).first() {
                    return *pid;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, find).await.unwrap()
    }
}

/// Processes whose command line begins so.
pub(crate) fn alive(command: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_it = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with(command.as_bytes()))
    };
    numbers.filter(is_it).collect()
}
