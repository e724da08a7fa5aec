//! Peers as the field has them, written in Python from the published documents alone, in each other
//! role: a plain satellite at our Backend, and our satellite at a plain Backend. Each peer holds
//! every message to the documents and ends with 1 if one does not fit.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use satellite_tests::root;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::fleet::free_port;
use crate::harness::{Dev, LONG, Scratch, command, program, state, tail};
use crate::mcp::http;
use crate::peer::peer;

/// A script of `tests/peers`, which prints lines of JSON.
struct Plain {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Plain {
    fn start(script: &str, arguments: &[&str]) -> Plain {
        let mut child = Command::new("python3")
            .arg(root().join("tests/peers").join(script))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 starts");
        let stdout = child.stdout.take().expect("its standard output is piped");
        Plain { child, lines: BufReader::new(stdout).lines() }
    }

    async fn line(&mut self) -> Value {
        let line =
            timeout(2 * LONG, self.lines.next_line()).await.expect("the peer says something");
        let line = line.expect("its output can be read").expect("it has not ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Its last word, once it has ended without anything that was not as documented.
    async fn summary(mut self) -> Value {
        let summary = self.line().await;
        let status = self.child.wait().await.expect("its status can be read");
        assert_eq!(status.code(), Some(0), "{:#}", summary["violations"]);
        summary
    }
}

async fn admin(dev: &Dev, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}{path}", dev.running.text("/backend_url"));
    let http = http();
    let request = match body {
        Some(body) => {
            http.post(url).header("content-type", "application/json").body(body.to_string())
        }
        None => http.get(url),
    };
    let answer = request.bearer_auth(dev.running.text("/admin_token")).send().await;
    let answer = answer.expect("the Backend answers");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let text = answer.text().await.expect("the answer arrives whole");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Pairs a plain satellite, twice, files commands for it, and reads what it reported of them.
async fn plain_satellite(dev: &Dev, name: &str, tokens: &str) -> Value {
    let mut issued = Vec::new();
    for _ in 0..2 {
        let reply = admin(dev, tokens, Some(json!({}))).await;
        issued.push(reply["data"]["token"]["token"].as_str().expect("a token").to_string());
    }
    let backend = dev.running.text("/backend_url");
    let mut satellite = Plain::start(
        "satellite.py",
        &[
            "--backend",
            backend,
            "--token",
            &issued[0],
            "--again",
            &issued[1],
            "--name",
            name,
            "--seconds",
            "15",
            "--interval",
            "2",
        ],
    );
    let paired = satellite.line().await;
    let id = paired["paired"]["id"].as_str().expect("it has an id").to_string();
    let manage = format!("/api/satellites/manage/{id}");
    let installation = &dev.running.instance("well")["installation_id"];
    let mut filed = Vec::new();
    for (kind, payload, outcome) in [
        ("configure", json!({"event": "mcp_installation_created"}), "completed"),
        ("health_check", json!({}), "completed"),
        ("restart", json!({"installation_id": installation}), "failed"),
    ] {
        let body = json!({"command_type": kind, "priority": "immediate", "payload": payload});
        let reply = admin(dev, &format!("{manage}/commands"), Some(body)).await;
        let command = reply["data"]["command"]["id"].as_str().expect("an id").to_string();
        filed.push((command, outcome));
    }
    let summary = satellite.summary().await;
    for (command, outcome) in filed {
        let reply = admin(dev, &format!("{manage}/commands/{command}"), None).await;
        let (stored, sent) = (&reply["data"]["command"], &summary["reported"][&command]);
        assert_eq!(stored["status"], outcome, "{stored}");
        // A plain satellite calls it `error`.
        assert_eq!(
            (&stored["error_message"], &stored["result"]),
            (&sent["error"], &sent["result"])
        );
    }
    summary
}

#[tokio::test]
async fn a_plain_satellite_pairs_polls_on_both_paths_executes_and_reports() {
    let dev =
        Dev::start("plain-satellite", Some(&json!({"mcpServers": {"well": peer("well")}}))).await;
    let team =
        format!("/api/teams/{}/satellites/registration-tokens", dev.running.text("/team_id"));
    let global = "/api/satellites/global/registration-tokens";
    for summary in <[Value; 2]>::from(tokio::join!(
        plain_satellite(&dev, "plain-satellite-team", &team),
        plain_satellite(&dev, "plain-satellite-global", global),
    )) {
        for path in ["poll scoped 200", "poll flat 200"] {
            assert!(summary["requests"][path].as_u64() > Some(1), "{summary:#}");
        }
        assert_eq!(summary["events_unsent"], 0);
        assert!(summary["servers"].as_array().is_some_and(|servers| !servers.is_empty()));
        state(&format!("plain satellite ({}): {}", summary["scope"], summary["requests"]));
    }
}

/// Runs our daemon at a plain Backend until that has filed its commands and has their results.
async fn at_plain_backend(paths: &str, scope: &str) -> Value {
    // Built before the Backend waits for it.
    program();
    let scratch = Scratch::new(&format!("plain-backend-{paths}"));
    let port = free_port().to_string();
    let own = format!("http://127.0.0.1:{port}");
    let name = format!("edge-satellite-{paths}");
    let arguments = [
        "--name",
        &name,
        "--paths",
        paths,
        "--scope",
        scope,
        "--seconds",
        "1",
        "--satellite",
        &own,
    ];
    let mut backend = Plain::start("backend.py", &arguments);
    let ready = backend.line().await;
    let text = |key: &str| ready[key].as_str().expect("a text").to_string();
    let log = scratch.0.join("daemon.log");
    let mut daemon = command(&["run", "--state-dir"])
        .env("SATELLITE_SERVER_JAIL", "false")
        .arg(scratch.0.join("state"))
        .env("DEPLOYSTACK_SATELLITE_NAME", &name)
        .env("DEPLOYSTACK_BACKEND_URL", text("url"))
        .env("DEPLOYSTACK_REGISTRATION_TOKEN", text("registration_token"))
        .env("DEPLOYSTACK_SATELLITE_URL", &own)
        .env("HOST", "127.0.0.1")
        .env("PORT", &port)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log can be made"))
        .spawn()
        .expect("the daemon starts");
    let finished = backend.line().await;
    assert_eq!(finished, json!({"finished": true}), "{}", tail(&log));
    // What the daemon sends as it ends is judged too.
    stop(&daemon);
    let ended = timeout(LONG, daemon.wait()).await.expect("the daemon ends");
    assert_eq!(ended.expect("its status can be read").code(), Some(0), "{}", tail(&log));
    stop(&backend.child);
    backend.summary().await
}

fn stop(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it can be signalled");
}

#[tokio::test]
async fn a_plain_backend_is_served_on_the_path_that_it_has() {
    let (scoped, flat) =
        tokio::join!(at_plain_backend("both", "team"), at_plain_backend("flat", "global"));
    assert!(scoped["polls"]["flat"].is_null(), "the scoped path is the first choice");
    assert_eq!(flat["polls"]["scoped, which is not served"], 1);
    for summary in [scoped, flat] {
        assert!(summary["events"]["mcp.server.crashed"].as_u64() > Some(0), "{summary:#}");
        assert_eq!(summary["calls"]["execute_mcp_tool"], 1);
        state(&format!("plain Backend ({}): {}", summary["paths"], summary["requests"]));
    }
}
