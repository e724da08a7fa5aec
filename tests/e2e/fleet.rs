//! Backend and daemon as programs of their own, with a gate between them.

use std::ffi::OsStr;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::daemon::folder_of;
use crate::gate::Gate;
use crate::harness::{Dev, Scratch, command, eventually, query, tail};
use crate::mcp::{Session, http, initialize, text_of};

/// A Backend, a gate in front of it, and a daemon that knows only the gate.
pub(crate) struct Fleet {
    pub(crate) gate: Gate,
    scratch: Scratch,
    ready: Value,
    backend: Child,
    daemon: Option<Child>,
    state: PathBuf,
    gate_port: u16,
    backend_port: u16,
    port: u16,
    name: String,
}

pub(crate) fn free_port() -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

impl Fleet {
    /// Has `dev` set everything up and pair, and then runs its two halves apart from each other.
    pub(crate) async fn start(name: &str, mcp_json: &Value) -> Fleet {
        let (gate_port, port, backend_port) = (free_port(), free_port(), free_port());
        let scratch = Scratch::new(name);
        let arguments = ["--port", &port.to_string(), "--backend-port", &gate_port.to_string()];
        let Dev { mut running, scratch } =
            Dev::start_with(scratch, &arguments, Some(mcp_json)).await;
        let ready = running.ready.clone();
        assert_eq!(running.stop().await, Some(0));

        let state = folder_of(&scratch.0, "backend.key.json").expect("credentials are stored");
        let database = ready["database_url"].as_str().unwrap_or_default();
        let name = query(database, "SELECT name FROM satellites").remove(0);
        let backend = start_backend(&scratch, &ready, database, backend_port).await;
        let listen = format!("127.0.0.1:{backend_port}");
        let gate = Gate::new(gate_port, listen.parse().expect("an address")).await;
        let daemon = None;
        let mut fleet = Fleet {
            gate,
            scratch,
            ready,
            backend,
            daemon,
            state,
            gate_port,
            backend_port,
            port,
            name,
        };
        fleet.start_daemon().await;
        fleet
    }

    /// Has the Backend end in order, and the daemon go on without one.
    pub(crate) async fn end_backend(&mut self) {
        stop(&mut self.backend).await;
    }

    /// Starts a Backend where the one was that has ended.
    pub(crate) async fn start_backend(&mut self, database: &str) {
        self.backend = start_backend(&self.scratch, &self.ready, database, self.backend_port).await;
    }

    /// Where the Backend is, without the gate.
    pub(crate) fn backend_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.backend_port)
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) async fn start_daemon(&mut self) {
        self.start_daemon_with(&[]).await;
    }

    /// The same with a recording of it.
    pub(crate) async fn start_recorded(&mut self, file: &Path) {
        self.start_daemon_with(&["--record".as_ref(), file.as_os_str()]).await;
    }

    async fn start_daemon_with(&mut self, arguments: &[&OsStr]) {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.scratch.0.join("daemon.log"))
            .expect("a log can be made");
        let child = command(&["run", "--state-dir"])
            .env("SATELLITE_SERVER_JAIL", "false")
            // The machine of the tests may lack some of it, and the daemon would be degraded.
            .env("SATELLITE_ISOLATION", "off")
            .arg(&self.state)
            .args(arguments)
            .env("DEPLOYSTACK_BACKEND_URL", format!("http://127.0.0.1:{}", self.gate_port))
            .env("DEPLOYSTACK_SATELLITE_NAME", &self.name)
            .env("HOST", "127.0.0.1")
            .env("PORT", self.port.to_string())
            .env("LOG_LEVEL", "debug")
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        self.daemon = Some(child);
        let live = format!("http://127.0.0.1:{}/live", self.port);
        eventually("the daemon", || async { reqwest_ok(&live).await.then_some(()) }).await;
        let servers = self.ready["instances"].as_array().cloned().unwrap_or_default();
        for server in servers {
            let server = server["server"].as_str().unwrap_or_default().to_string();
            eventually(
                &format!("{server} online; {}", tail(&self.scratch.0.join("daemon.log"))),
                || self.try_pid(&server),
            )
            .await;
        }
    }

    /// Kills the daemon as nothing else does: it cannot clean up.
    pub(crate) async fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        daemon.start_kill().expect("it can be killed");
        daemon.wait().await.expect("it ends");
    }

    /// The ready line of the `dev` that set everything up.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// The daemon's process id.
    pub(crate) fn daemon_id(&self) -> u32 {
        self.daemon.as_ref().and_then(Child::id).expect("the daemon runs")
    }

    /// A session with one server's own endpoint.
    pub(crate) async fn session(&self, server: &str) -> Session {
        let all = self.ready["instances"].as_array().expect("the ready line has instances");
        let instance = all.iter().find(|instance| instance["server"] == server);
        let text = |name| instance.and_then(|instance| instance[name].as_str());
        let (url, token) = (text("instance_url"), text("instance_token"));
        Session::open(url.expect("it has an address"), token.expect("it has a token")).await
    }

    /// The state directory of the daemon.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// What the daemons logged.
    pub(crate) fn log(&self) -> PathBuf {
        self.scratch.0.join("daemon.log")
    }

    /// Ends both.
    pub(crate) async fn stop(mut self) {
        self.stop_daemon().await;
        self.stop_backend().await;
    }

    /// Has the daemon end in order.
    pub(crate) async fn stop_daemon(&mut self) {
        stop(&mut self.daemon.take().expect("the daemon runs")).await;
    }

    /// Has the Backend end in order.
    pub(crate) async fn stop_backend(mut self) {
        stop(&mut self.backend).await;
    }

    /// The process id of a server's peer, or nothing while it does not answer.
    pub(crate) async fn try_pid(&self, server: &str) -> Option<u32> {
        let all = self.ready["instances"].as_array()?;
        let instance = all.iter().find(|instance| instance["server"] == server)?;
        let mut session = Session::closed(
            instance["instance_url"].as_str()?,
            instance["instance_token"].as_str(),
        );
        let answer = session.try_post(initialize().to_string()).await?;
        if !answer.status.is_success() {
            return None;
        }
        session.id = answer.session;
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "pid"}});
        let answer = session.try_post(call.to_string()).await?.message(7);
        if !answer["result"].is_object() || answer["result"]["isError"] == true {
            return None;
        }
        text_of(&answer).parse().ok()
    }

    /// The process id of a server's peer.
    pub(crate) async fn pid(&self, server: &str) -> u32 {
        eventually("the server", || self.try_pid(server)).await
    }

    /// Reads one column of the Backend's database, as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        query(self.ready["database_url"].as_str().unwrap_or_default(), sql)
    }

    /// Rows of a table.
    pub(crate) fn count(&self, table: &str) -> String {
        self.query(&format!("SELECT count(*) FROM \"{table}\"")).remove(0)
    }

    /// How many events of a type are stored.
    pub(crate) fn events(&self, kind: &str) -> usize {
        self.query(&format!("SELECT id FROM \"satelliteEvents\" WHERE type = '{kind}'")).len()
    }

    /// The ids of all stored events.
    pub(crate) fn event_ids(&self) -> Vec<String> {
        self.query("SELECT coalesce(event_id, id) FROM \"satelliteEvents\"")
    }

    /// The satellite's own numbers of all stored events, as they were stored.
    pub(crate) fn event_sequence(&self) -> Vec<u64> {
        let rows = self.query("SELECT seq FROM \"satelliteEvents\" ORDER BY number");
        rows.iter().filter_map(|row| row.parse().ok()).collect()
    }
}

async fn start_backend(scratch: &Scratch, ready: &Value, database: &str, port: u16) -> Child {
    let listen = format!("127.0.0.1:{port}");
    let log = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(scratch.0.join("backend.log"))
        .expect("a log can be made");
    let backend = command(&["backend", "--listen", &listen])
        .env("DATABASE_URL", database)
        .env("SATELLITE_ADMIN_TOKEN", ready["admin_token"].as_str().unwrap_or_default())
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the Backend starts");
    let health = format!("http://{listen}/api/health");
    eventually("the Backend", || async { reqwest_ok(&health).await.then_some(()) }).await;
    backend
}

async fn stop(child: &mut Child) {
    let pid = i32::try_from(child.id().unwrap_or_default()).unwrap_or_default();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM)
        .expect("it runs until it is asked to end");
    let status = child.wait().await.expect("it ends");
    assert_eq!(status.code(), Some(0));
}

async fn reqwest_ok(url: &str) -> bool {
    http().get(url).send().await.is_ok_and(|response| response.status().is_success())
}
