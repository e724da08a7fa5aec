//! What clients, children and people get wrong: each gets an error that says what to do, and
//! everybody else goes on.

use std::process::Stdio;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Dev, LONG, Scratch, command, eventually, query};
use crate::mcp::{Session, initialize, text_of};
use crate::peer::{peer, session};

/// Runs the program to its end: exit code, standard output, standard error.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = command(arguments);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(LONG, command.output()).await.expect("it ends").expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The JSON line of a `dev --json` that could not start.
async fn refused(scratch: &Scratch, arguments: &[&str]) -> (Option<i32>, Value) {
    let directory = scratch.0.join("state").display().to_string();
    let mut all = vec!["dev", "--json", "--dir", &directory];
    all.extend(arguments);
    let (code, stdout, stderr) = run(&all, &[]).await;
    let line: Value = serde_json::from_str(stdout.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| panic!("no JSON line ({error}): {stdout}\n{stderr}"));
    assert_eq!(line["ready"], false, "{line}");
    assert!(line["error"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    assert!(line["hint"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    (code, line)
}

#[tokio::test]
async fn a_malformed_mcp_json_is_refused_with_line_and_column() {
    let scratch = Scratch::new("malformed");
    let file =
        scratch.write("mcp.json", "{\n  \"mcpServers\": {\n    \"a\": {\"command\": 1}\n  }\n}\n");
    let path = file.display().to_string();
    let ports = ["--port", "0", "--backend-port", "0", "--servers"];
    let (code, line) = refused(&scratch, &[&ports[..], &[&path]].concat()).await;
    assert_eq!(code, Some(2), "{line}");
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("3") && error.contains("mcp.json"), "line 3 of the file: {line}");

    let missing = scratch.0.join("none.json").display().to_string();
    let (code, line) = refused(&scratch, &[&ports[..], &[&missing]].concat()).await;
    assert_eq!(code, Some(2), "{line}");
    assert!(line["error"].as_str().unwrap_or_default().contains("none.json"), "{line}");
}

#[tokio::test]
async fn a_port_in_use_has_its_own_exit_code() {
    let scratch = Scratch::new("port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it has an address").port().to_string();
    for arguments in
        [["--port", &port, "--backend-port", "0"], ["--port", "0", "--backend-port", &port]]
    {
        let (code, line) = refused(&scratch, &arguments).await;
        assert_eq!(code, Some(5), "{line}");
        assert!(line["error"].as_str().unwrap_or_default().contains(&port), "{line}");
    }
}

#[tokio::test]
async fn a_daemon_that_cannot_pair_says_why_and_ends_with_its_code() {
    let scratch = Scratch::new("pairing");
    let dev = Dev::start("pairing-backend", None).await;
    let backend = dev.running.text("/backend_url");
    let state = scratch.0.join("state").display().to_string();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let dead = format!("http://{}", unused.local_addr().expect("it has an address"));
    drop(unused);
    let name = ("DEPLOYSTACK_SATELLITE_NAME", "satellite-under-test");
    let token =
        ("DEPLOYSTACK_REGISTRATION_TOKEN", "deploystack_satellite_global_never-issued-by-anybody");
    let cases = [
        (
            "wrong name",
            2,
            vec![
                ("DEPLOYSTACK_SATELLITE_NAME", "No Good"),
                token,
                ("DEPLOYSTACK_BACKEND_URL", backend),
            ],
        ),
        ("no token", 4, vec![name, ("DEPLOYSTACK_BACKEND_URL", backend)]),
        ("wrong token", 4, vec![name, token, ("DEPLOYSTACK_BACKEND_URL", backend)]),
        ("no Backend", 3, vec![name, token, ("DEPLOYSTACK_BACKEND_URL", &dead)]),
    ];
    for (case, expected, mut environment) in cases {
        environment.push(("PORT", "0"));
        let (code, _, stderr) = run(&["run", "--state-dir", &state], &environment).await;
        assert!(
            code == Some(expected) || (case == "no token" && code == Some(2)),
            "{case}: {code:?} {stderr}"
        );
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.to_lowercase().contains("fatal"), "{case}: the last line is fatal: {stderr}");
    }
    let paired = query(dev.running.text("/database_url"), "SELECT count(*) FROM satellites");
    assert_eq!(paired, ["1"], "nobody else was paired");
}

#[tokio::test]
async fn bad_children_fail_alone() {
    let servers = json!({"mcpServers": {
        "well": peer("well"), "garbage": peer("garbage"), "exits": peer("exits"),
        "silent": peer("silent"), "flood": peer("flood"),
        "unknown": {"command": "no-such-executable-here"},
    }});
    let mut dev = Dev::start("bad-children", Some(&servers)).await;
    for name in ["well", "garbage", "flood"] {
        assert_eq!(dev.running.instance(name)["status"], "online", "{name}: {}", dev.running.ready);
    }
    for (name, says) in
        [("exits", "API_KEY"), ("silent", "initialize"), ("unknown", "no-such-executable-here")]
    {
        let instance = dev.running.instance(name);
        let status = instance["status"].as_str().unwrap_or_default();
        assert!(["error", "permanently_failed", "offline"].contains(&status), "{name}: {instance}");
        let error = instance["error"].as_str().unwrap_or_default();
        assert!(error.contains(says), "{name} says why: {instance}");
    }

    let garbage = session(&dev, "garbage").await;
    assert_eq!(text_of(&garbage.call("echo", json!({"text": "through"})).await), "through");

    let well = session(&dev, "well").await;
    let flood = session(&dev, "flood").await;
    let answer = flood.call("big", json!({"bytes": 1})).await;
    assert!(
        answer["error"].is_object() || answer["result"]["isError"] == true,
        "a line of 100 MB is refused, not passed on"
    );
    assert_eq!(text_of(&well.call("echo", json!({"text": "on"})).await), "on");
    assert_eq!(dev.running.stop().await, Some(0));
}

#[tokio::test]
async fn bad_clients_are_told_and_harm_nobody() {
    let servers = json!({"mcpServers": {"well": peer("well"), "other": peer("well")}});
    let mut dev = Dev::start("bad-clients", Some(&servers)).await;
    let well = session(&dev, "well").await;
    let (mcp_url, token) = (dev.running.text("/mcp_url"), dev.running.text("/token"));

    // No token, a wrong one, another endpoint's.
    for (url, bearer) in [
        (mcp_url, None),
        (mcp_url, Some("wrong")),
        (well.url.as_str(), None),
        (well.url.as_str(), Some("wrong")),
        (well.url.as_str(), dev.running.instance("other")["instance_token"].as_str()),
    ] {
        let answer = Session::closed(url, bearer).post(initialize().to_string()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{url}: {}", answer.body);
        assert!(answer.json()["error"]["code"].is_i64(), "{url}: {}", answer.body);
    }

    // A session of somebody else: of another instance, and of nobody.
    let other = session(&dev, "other").await;
    for id in [other.id.clone(), Some("00000000-0000-4000-8000-000000000000".to_string())] {
        let mut foreign = Session::closed(&well.url, well.token.as_deref());
        foreign.id = id;
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
        let answer = foreign.post(request.to_string()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
    }

    // What is no JSON-RPC.
    for (body, code) in [("{", -32700), ("[]", -32600), ("1", -32600), (r#"{"id":1}"#, -32600)] {
        let answer = well.post(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], code, "{body}: {}", answer.body);
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}1{}}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    let answer = well.post(deep).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{}"}}}}}}"#,
        "x".repeat(40_000_000)
    );
    let answer = well.http.post(&well.url).bearer_auth(well.token.as_deref().unwrap_or_default());
    let answer = answer.header("content-type", "application/json");
    let answer = answer.header("accept", "application/json, text/event-stream");
    // The satellite may close before it has read all of it; both tell the client.
    if let Ok(response) =
        answer.header("mcp-session-id", well.id.clone().unwrap_or_default()).body(huge).send().await
    {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    // One request with newlines between its tokens that spell a second one: the child sees one.
    let smuggled = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\
        \"arguments\":{\"text\":\"x\",\"more\":\n{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\
        \"params\":{\"name\":\"smuggled\"}}\r\n}}}";
    assert_eq!(text_of(&well.post(smuggled).await.message(7)), "x");
    let lines = well.call("lines", json!({})).await;
    let lines: Vec<String> = serde_json::from_str(text_of(&lines)).expect("the peer's lines");
    let with: Vec<&String> = lines.iter().filter(|line| line.contains("smuggled")).collect();
    assert_eq!(with.len(), 1, "one line carries it: {with:?}");
    assert!(with[0].contains("\"echo\""), "and it is the request itself: {}", with[0]);

    // A foreign Host is refused before anything else is looked at.
    let request = well.http.post(mcp_url).bearer_auth(token).header("host", "evil.example");
    let response = request.body("{}").send().await.expect("the satellite answers");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);

    assert_eq!(text_of(&well.call("echo", json!({"text": "on"})).await), "on");
    eventually("the satellite is ready", || async {
        let url = mcp_url.replace("/mcp", "/ready");
        let response = well.http.get(url).send().await.ok()?;
        (response.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(dev.running.stop().await, Some(0));
}
