//! Real processes. A time-out here only bounds a failure; nothing is measured.

use std::process::{Child, Command};
use std::time::Duration;

use nix::fcntl::FdFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::ProcessSpec;
use satellite_core::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::process_table::{list, marker};
use super::super::{Order, ProcessExit, sweep};
use super::*;

/// Longer than any honest run takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    host: LinuxHost,
    daemon: String,
    root: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        Bench::with(name, StandIns::default())
    }

    fn with(name: &str, stand_ins: StandIns) -> Self {
        let root = std::env::temp_dir().join(format!("satellite-{name}-{}", std::process::id()));
        let daemon = format!("test-{name}-{}", std::process::id());
        let host = LinuxHost::new(HostOptions {
            marker: daemon.clone(),
            allowed_commands: ["/bin/sh", "cat", "no-such-command"].map(String::from).into(),
            environment: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("SECRET_OF_THE_DAEMON".into(), "1".into()),
            ],
            homes: root.join("homes"),
            packages: root.join("packages"),
            shared_home: None,
            jail: None,
            groups: None,
            stand_ins,
        });
        Bench { host: host.unwrap(), daemon, root }
    }

    async fn start(
        &self,
        command: &str,
        args: &[&str],
    ) -> (Result<Process<LinuxHost>, SpawnFailure>, mpsc::UnboundedSender<Order>) {
        let (terminate, orders) = mpsc::unbounded_channel();
        let launch = Launch {
            key: InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() },
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
        (self.host.spawn(launch).await, terminate)
    }

    async fn shell(&self, script: &str) -> (Process<LinuxHost>, mpsc::UnboundedSender<Order>) {
        let (process, terminate) = self.start("/bin/sh", &["-c", script]).await;
        (process.unwrap(), terminate)
    }

    fn alive(&self) -> usize {
        let is_ours = |value: String| value.starts_with(&self.daemon);
        list().iter().filter(|entry| marker(entry.pid).is_some_and(is_ours)).count()
    }

    /// Waits until `count` processes or more carry the marker.
    async fn until_alive(&self, count: usize) {
        let wait = async {
            while self.alive() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} alive", self.alive()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

async fn ended(process: &mut Process<LinuxHost>) -> ProcessExit {
    let exit = timeout(PATIENCE, &mut process.exited).await.unwrap().unwrap();
    timeout(PATIENCE, &mut process.gone).await.unwrap().unwrap();
    exit
}

fn signalled(name: &str) -> ProcessExit {
    ProcessExit { signal: Some(name.into()), ..ProcessExit::default() }
}

#[tokio::test]
async fn bytes_go_in_and_come_out_and_closing_the_input_ends_a_reader() {
    let bench = Bench::new("cat");
    let (process, _terminate) = bench.start("cat", &[]).await;
    let mut process = process.unwrap();
    let text = vec![b'x'; 1_000_000];
    let mut read = Vec::new();
    let (mut stdin, mut stdout) = (process.stdin, process.stdout);
    let write = async {
        stdin.write_all(&text).await.unwrap();
        drop(stdin);
    };
    let (_, outcome) = tokio::join!(write, stdout.read_to_end(&mut read));
    outcome.unwrap();
    assert!(read == text);
    let exit = timeout(PATIENCE, &mut process.exited).await.unwrap().unwrap();
    assert_eq!(exit, ProcessExit { code: Some(0), ..ProcessExit::default() });
}

#[tokio::test]
async fn a_child_is_alone_in_its_session_with_a_clean_environment_and_no_foreign_descriptors() {
    let bench = Bench::new("clean");
    // Without close-on-exec, as a descriptor inherited from whoever started the daemon would be.
    let file = std::fs::File::open("/etc/hostname").unwrap();
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let script = "env; grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f5,6 /proc/$$/stat; \
                  for file in /proc/$$/fd/*; do readlink $file; done; exit 0";
    let (mut process, _terminate) = bench.shell(script).await;
    let mut text = String::new();
    process.stdout.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("TOKEN=t0ken\n") && text.contains("PATH=/usr/bin:/bin\n"), "{text}");
    assert!(!text.contains("SECRET_OF_THE_DAEMON") && !text.contains("CARGO"), "{text}");
    assert!(text.contains(&format!("HOME={}", bench.root.display())), "{text}");
    assert!(text.contains("SigBlk:\t0000000000000000\n"), "{text}");
    // Two signals between the ordinary and the real-time ones belong to the C library.
    let ignored = text.split("SigIgn:\t").nth(1).unwrap();
    let ignored = u64::from_str_radix(&ignored[..16], 16).unwrap();
    assert_eq!(ignored & !0x1_8000_0000, 0, "{text}");
    assert!(text.contains(&format!("\n{0} {0}\n", process.pid)), "{text}");
    assert!(text.contains("pipe:[") && !text.contains("/etc/hostname"), "{text}");
    assert_eq!(ended(&mut process).await.code, Some(0));
}

#[tokio::test]
async fn an_exit_code_and_a_signal_are_told_apart() {
    let bench = Bench::new("exit");
    let (mut process, _terminate) = bench.shell("exit 7").await;
    assert_eq!(ended(&mut process).await, ProcessExit { code: Some(7), ..ProcessExit::default() });
    let (mut process, _terminate) = bench.shell("kill -9 $$").await;
    assert_eq!(ended(&mut process).await, signalled("SIGKILL"));
    let (mut process, _terminate) = bench.shell("kill -40 $$").await;
    assert_eq!(ended(&mut process).await, signalled("a real-time signal"));
}

#[tokio::test]
async fn who_ends_at_sigterm_is_not_killed_and_who_ignores_it_is() {
    let bench = Bench::new("term");
    let (mut process, terminate) = bench.shell("echo on; exec sleep 300").await;
    process.stdout.read_u8().await.unwrap();
    terminate.send(Order::Terminate { grace_ms: 600_000 }).unwrap();
    assert_eq!(ended(&mut process).await, signalled("SIGTERM"));

    let (mut process, terminate) =
        bench.shell("trap '' TERM; echo on; while :; do sleep 300; done").await;
    process.stdout.read_u8().await.unwrap();
    terminate.send(Order::Terminate { grace_ms: 600_000 }).unwrap();
    terminate.send(Order::Terminate { grace_ms: 20 }).unwrap();
    assert_eq!(ended(&mut process).await, signalled("SIGKILL"));
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn grandchildren_that_left_the_group_ignore_sigterm_or_forked_twice_end_with_their_parent() {
    let bench = Bench::new("orphans");
    let script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 300; done' & \
                  ( ( trap '' TERM; sleep 300 ) & ) ; setsid setsid sleep 300 & \
                  (setsid sh -c 'sleep 300 & sleep 300' &) ; echo on; read line; exit 3";
    for by_order in [false, true] {
        let (mut process, terminate) = bench.shell(script).await;
        process.stdout.read_u8().await.unwrap();
        bench.until_alive(8).await;
        if by_order {
            terminate.send(Order::Terminate { grace_ms: 50 }).unwrap();
            ended(&mut process).await;
        } else {
            process.stdin.write_all(b"go\n").await.unwrap();
            assert_eq!(ended(&mut process).await.code, Some(3));
        }
        assert_eq!(bench.alive(), 0, "at the moment of the report, by order {by_order}");
    }
}

#[tokio::test]
async fn a_descendant_without_marker_and_session_is_found_through_its_parent() {
    let bench = Bench::new("unmarked");
    let (mut process, terminate) = bench.shell("env -i setsid sleep 4711 & echo $!; wait").await;
    let mut text = String::new();
    while !text.ends_with('\n') {
        text.push(char::from(process.stdout.read_u8().await.unwrap()));
    }
    let child = format!("/proc/{}/cmdline", text.trim());
    let has_started = || std::fs::read(&child).is_ok_and(|line| line.starts_with(b"sleep"));
    while !has_started() {
        sleep(Duration::from_millis(5)).await;
    }
    terminate.send(Order::Terminate { grace_ms: 600_000 }).unwrap();
    ended(&mut process).await;
    timeout(PATIENCE, async {
        while has_started() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_end_of_the_daemon_is_the_end_of_its_children() {
    let spawner = Spawner::start().unwrap();
    let program = Program {
        path: "/bin/sh".into(),
        arguments: ["-c", "trap '' TERM HUP; read line"].map(OsString::from).into(),
        directory: "/".into(),
        ..Program::default()
    };
    let mut child = spawner.spawn(program).await.unwrap();
    let input = child.take_streams();
    let pidfd = child.hand_over().unwrap();
    drop(spawner);
    let _ready = timeout(PATIENCE, pidfd.readable()).await.unwrap().unwrap();
    let status = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{status:?}");
    drop(input);
}

#[tokio::test]
async fn a_sweep_ends_what_a_killed_daemon_left_and_nobody_else() {
    let name = format!("test-sweep-{}", std::process::id());
    let start = |marker: String, script: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env(MARKER, marker);
        command.stdin(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut left = start(format!("{name}:t/i/u:3"), "exec sleep 300");
    let mut stubborn = start(format!("{name}:t/i/v:1"), "trap '' TERM; while :; do sleep 1; done");
    let mut foreign = start(format!("{name}-other:t/i/u:3"), "exec sleep 300");
    let mut plain = Command::new("/bin/sleep").arg("300").spawn().unwrap();
    // Until each has its own environment, /proc shows that of this process.
    while marker(pid_of(&stubborn)).is_none() || marker(pid_of(&left)).is_none() {
        sleep(Duration::from_millis(5)).await;
    }
    let ended = timeout(PATIENCE, sweep(&name, Duration::from_millis(50))).await.unwrap();
    assert!(ended >= 2, "{ended}");
    left.wait().unwrap_err();
    stubborn.wait().unwrap_err();
    assert!(foreign.try_wait().unwrap().is_none() && plain.try_wait().unwrap().is_none());
    for child in [&mut foreign, &mut plain] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(sweep(&name, Duration::ZERO).await, 0);
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(c_int::try_from(child.id()).unwrap())
}

#[tokio::test]
async fn what_cannot_start_says_why_and_what_to_do() {
    let bench = Bench::new("refused");
    let (outcome, _) = bench.start("/bin/ls", &[]).await;
    let failure = outcome.unwrap_err();
    assert_eq!((failure.step.as_str(), failure.retryable), ("resolve executable", false));
    assert!(failure.error.contains("SATELLITE_ALLOWED_COMMANDS"), "{}", failure.error);
    let (outcome, _) = bench.start("no-such-command", &[]).await;
    assert!(outcome.unwrap_err().error.contains("install it"));
    let (outcome, _) = bench.start("cat", &["a\0b"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!((failure.step.as_str(), failure.retryable), ("exec", false));
    assert!(failure.error.contains("NUL"), "{}", failure.error);
}

#[tokio::test]
async fn where_no_control_group_limits_memory_each_process_is_limited_by_itself() {
    let script = "head -c 300000000 /dev/zero | tail -c 300000000 | wc -c; ulimit -d; ulimit -n";
    for memory in [false, true] {
        let stand_ins = StandIns { memory, processes: true };
        let bench = Bench::with("stand-ins", stand_ins);
        let (mut process, _terminate) = bench.shell(script).await;
        let mut text = String::new();
        timeout(PATIENCE, process.stdout.read_to_string(&mut text)).await.unwrap().unwrap();
        assert_eq!(ended(&mut process).await.code, Some(0));
        // 100 MiB and what is asked for and not used, in the shell's unit.
        let is_limited = text.ends_with("\n167936\n4096\n");
        assert_eq!((text.starts_with("300000000\n"), is_limited), (!memory, memory), "{text}");
    }
}
