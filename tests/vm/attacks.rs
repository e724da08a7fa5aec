//! Servers that attack what is around them, beside one that goes on working.
//!
//! Bad configurations have tests of their own: `LD_PRELOAD` and `NODE_OPTIONS` are left out
//! (`host::environment`), NUL characters refused (`wire::configuration`), paths that nobody allowed
//! refused (`host::executables`), and limits that are no numbers (`cgroup::limits`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use satellite_tests::root;
use serde_json::{Value, json};

use crate::bench::{eventually, inside, tell};
use crate::daemon::{Dev, Running, get};

/// An attack, and what must be seen of it: in its own words, or in what is reported of its server.
/// Those that last come last.
const ATTACKS: [(&str, &str); 14] = [
    ("crowded", "calm"),
    ("etc", "Read-only file system"),
    ("others", "No such file or directory"),
    ("first", "Permission denied"),
    ("trace", "Operation not permitted"),
    ("connect", "Network is unreachable"),
    ("fill", "No space left on device"),
    ("ignore", "ignores SIGTERM"),
    ("hide", "a session of its own"),
    ("leave", "code 3"),
    ("forks", "children, then"),
    ("memory", "used more memory than its limit"),
    ("flood", "log_rate_limit_exceeded"),
    ("burn", "of a processor"),
];

/// What cannot be started, and what is said of it.
const IMPOSSIBLE: [(&str, &str); 2] =
    [("script", "interpreter"), ("folder", "no executable file was there")];

/// A client of one server.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    session: Option<String>,
}

impl Client {
    pub(crate) async fn open(running: &Running, server: &str) -> Client {
        let instances = running.ready["instances"].as_array().expect("a list");
        let instance = instances.iter().find(|it| it["server"] == server).expect("an instance");
        let text = |name: &str| instance[name].as_str().expect("a text").to_owned();
        // It is built with TLS, which asks for a provider even where none is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(300));
        let http = http.build().expect("a client can be made");
        let (url, token) = (text("instance_url"), text("instance_token"));
        let mut client = Client { http, url, token, session: None };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "attacks", "version": "1"}});
        client.ask("initialize", hello).await;
        client
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self.http.post(&self.url).bearer_auth(&self.token);
        request = request.header("content-type", "application/json");
        request = request.header("accept", "application/json, text/event-stream");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
            request = request.header("mcp-protocol-version", "2025-06-18");
        }
        let response = request.body(body.to_string()).send().await.expect("the daemon answers");
        let session = response.headers().get("mcp-session-id");
        let session = session.and_then(|it| it.to_str().ok()).map(str::to_owned);
        self.session = session.or(self.session.take());
        let text = response.text().await.expect("a text");
        let lines = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
        let parsed = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.rev().find(|it| it["id"] == 1).unwrap_or(Value::String(text.clone()))
    }

    /// What comes of the tool `attack`, in a line.
    pub(crate) async fn attack(&mut self) -> String {
        let answer = self.ask("tools/call", json!({"name": "attack", "arguments": {}})).await;
        let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
        text.map_or_else(|| answer["error"].to_string(), str::to_owned)
    }
}

/// What the Backend was told of a server, each kind once with its reason.
fn reported(running: &Running, server: &str) -> String {
    let url = running.ready["database_url"].as_str().expect("a text");
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let instances = running.ready["instances"].as_array().expect("a list");
    let instance = instances.iter().find(|it| it["server"] == server).expect("an instance");
    let id = instance["installation_id"].as_str().expect("a text");
    let database = rusqlite::Connection::open(path).expect("a database");
    database.busy_timeout(Duration::from_secs(60)).expect("a time-out");
    let sql = r#"SELECT type, data FROM "satelliteEvents"
                 WHERE instr(data, ?1) > 0 ORDER BY rowid"#;
    let mut statement = database.prepare(sql).expect("a query");
    let rows =
        statement.query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let rows: Vec<(String, String)> =
        rows.and_then(Iterator::collect).expect("the events can be read");
    let mut told = Vec::new();
    for (kind, data) in rows {
        let data: Value = serde_json::from_str(&data).unwrap_or_default();
        let why = ["status_message", "error", "reason", "message", "limit", "resource"]
            .into_iter()
            .filter_map(|name| data[name].as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let kind =
            data["status"].as_str().map_or(kind.clone(), |status| format!("{kind} {status}"));
        let is_plain = why.is_empty() && !kind.contains("crashed") && !kind.contains("limit");
        let line = if why.is_empty() { kind } else { format!("{kind} ({why})") };
        if !is_plain && !told.contains(&line) {
            told.push(line);
        }
    }
    told.join("; ")
}

#[tokio::test]
async fn no_attack_of_a_server_reaches_the_daemon_or_a_neighbour() {
    inside();
    let dev = Dev::new("attacks");
    let folder = Path::new("/opt/attacks");
    fs::create_dir_all(folder.join("folder")).expect("the VM is ours");
    fs::copy(root().join("tests/vm/attack.py"), folder.join("attack.py")).expect("ours");
    fs::write(folder.join("script"), "#!/no/such/interpreter\n").expect("the VM is ours");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("script"), executable).expect("the VM is ours");
    let state = dev.state().display().to_string();
    let port = "3977";
    let mut servers = serde_json::Map::new();
    for name in ATTACKS.iter().map(|(name, _)| *name).chain(["calm"]) {
        let how = if name == "crowded" { "calm" } else { name };
        let mut args = vec![json!("-I"), json!(folder.join("attack.py")), json!(how)];
        args.extend([json!(state), json!(port)]);
        if name == "crowded" {
            args.resize(100_000, json!("x"));
        }
        servers.insert(name.to_owned(), json!({"command": "/usr/bin/python3", "args": args}));
    }
    let file = folder.join("mcp.json");
    // `dev` itself refuses what is not there.
    let servers_of = |servers: &Value| json!({"mcpServers": servers}).to_string();
    let missing = json!({"missing": {"command": folder.join("missing")}});
    fs::write(&file, servers_of(&missing)).expect("the VM is ours");
    let mut command = dev.command("required");
    command.arg("--servers").arg(&file);
    let mut refused = dev.start_ready_or_not(command);
    assert!(!refused.child.wait().expect("it ends").success());
    let refused = refused.ready["error"].as_str().unwrap_or_default().to_owned();
    assert!(refused.contains("No such file"), "{refused}");
    for (name, _) in IMPOSSIBLE {
        servers.insert(name.to_owned(), json!({"command": folder.join(name)}));
    }
    fs::write(&file, servers_of(&servers.into())).expect("the VM is ours");
    let mut command = dev.command("required");
    command.arg("--servers").arg(&file);
    command.env("PATH", "/usr/bin:/bin").env("SATELLITE_SERVERS_OFFLINE", "true");
    command.env("SATELLITE_READABLE_PATHS", folder);
    // So that it is the number of its children that is too large.
    command.env("SATELLITE_SERVER_LIMITS", "forks:memory=512");
    let allowed = IMPOSSIBLE.map(|(name, _)| folder.join(name).display().to_string()).join(",");
    command.env("SATELLITE_ALLOWED_COMMANDS", format!("/usr/bin/python3,{allowed}"));
    let mut running = dev.start_ready_or_not(command);
    assert!(running.ready["instances"].is_array(), "{}; {}", running.ready, dev.said());
    let mut calm = Client::open(&running, "calm").await;

    let mut seen: BTreeMap<&str, (String, String)> = BTreeMap::new();
    let mut neighbour = 0;
    for (name, _) in ATTACKS {
        let mut attacker = Client::open(&running, name).await;
        let beside = async {
            for _ in 0..2 {
                assert_eq!(calm.attack().await, "calm", "beside {name}; {}", dev.said());
                neighbour += 1;
            }
        };
        let (happened, ()) = tokio::join!(attacker.attack(), beside);
        tell(&format!("{name}: {happened}"));
        seen.insert(name, (happened, String::new()));
    }
    let address = running.ready["satellite_url"].as_str().expect("a text");
    let address = address.trim_start_matches("http://").to_owned();
    let status = get(&address, "/ready").await;
    // What is told of them is told in batches, and of what lasts after a while.
    for (name, expected) in ATTACKS {
        let is_told = |happened: &str| {
            happened.contains(expected) || reported(&running, name).contains(expected)
        };
        eventually(name, || is_told(&seen[name].0)).await;
    }
    for (name, (_, told)) in &mut seen {
        *told = reported(&running, name);
    }
    for (name, _) in IMPOSSIBLE {
        seen.insert(name, ("not started".to_owned(), reported(&running, name)));
    }
    seen.insert("missing", ("refused".to_owned(), refused));
    let mut table = String::new();
    for (name, (happened, told)) in &seen {
        writeln!(table, "{name:<20} | {happened} | {told}").expect("a text");
    }
    writeln!(table, "the neighbour answered {neighbour} of {neighbour} calls").expect("a text");
    tell(&table);
    for (name, expected) in ATTACKS.into_iter().chain(IMPOSSIBLE) {
        let (happened, told) = &seen[name];
        let has = |text: &str| text.to_lowercase().contains(&expected.to_lowercase());
        assert!(has(happened) || has(told), "{name}: no {expected:?}\n{table}");
    }
    assert_eq!(status["backend"]["state"], "polling", "{status}");
    assert_eq!(status["instances"]["error"], IMPOSSIBLE.len(), "{status}");

    let pid = Pid::from_raw(running.child.id().try_into().expect("a number"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    assert!(running.child.wait().expect("it ends").success(), "{}", dev.said());
    eventually("nothing is left", || dev.groups() == (Vec::new(), Vec::new())).await;
}
