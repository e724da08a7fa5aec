//! The scripted peer, and what the Backend knows of it.

use satellite_tests::root;
use serde_json::{Value, json};

use crate::harness::{Dev, eventually};
use crate::mcp::{Session, http};

/// An entry of `mcp.json` for `peer.py` with a behaviour.
pub(crate) fn peer(mode: &str) -> Value {
    json!({"command": "python3", "args": [root().join("tests/e2e/peer.py"), mode]})
}

/// A session with one server's own endpoint.
pub(crate) async fn session(dev: &Dev, server: &str) -> Session {
    let instance = dev.running.instance(server);
    let text = |name: &str| instance[name].as_str().unwrap_or_default();
    Session::open(text("instance_url"), text("instance_token")).await
}

/// The stored data of all events of one type.
pub(crate) fn events(dev: &Dev, kind: &str) -> Vec<Value> {
    dev.query(&format!("SELECT data FROM \"satelliteEvents\" WHERE type = '{kind}' ORDER BY rowid"))
        .iter()
        .map(|data| serde_json::from_str(data).expect("an event's data is JSON"))
        .collect()
}

/// The status of a server's instances in the Backend's database.
pub(crate) fn statuses(dev: &Dev, server: &str) -> Vec<String> {
    let installation = &dev.running.instance(server)["installation_id"];
    let installation = installation.as_str().unwrap_or_default();
    dev.query(&format!(
        "SELECT status FROM \"mcpServerInstances\" WHERE installation_id = '{installation}'"
    ))
}

/// Asks the administration API of a Backend, which `ready` tells how to reach.
async fn admin(ready: &Value, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
    let text = |name: &str| ready[name].as_str().unwrap_or_default();
    let url =
        format!("{}/api/satellites/manage/{}/{path}", text("backend_url"), text("satellite_id"));
    let mut request = http().request(method, url).bearer_auth(text("admin_token"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.expect("the Backend answers");
    let status = response.status();
    let text = response.text().await.expect("the answer arrives whole");
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Sends the satellite a command; returns its id.
pub(crate) async fn command(dev: &Dev, kind: &str, payload: Value) -> String {
    let body = json!({"command_type": kind, "priority": "immediate", "payload": payload});
    let created = admin(&dev.running.ready, reqwest::Method::POST, "commands", Some(body)).await;
    created["data"]["command"]["id"].as_str().expect("a command has an id").to_string()
}

/// What became of a command.
pub(crate) async fn command_status(dev: &Dev, id: &str) -> String {
    let command = told_of(dev, id).await;
    command["status"].as_str().expect("a command has a status").to_string()
}

/// The command as the Backend knows it once it has ended.
pub(crate) async fn command_result(dev: &Dev, id: &str) -> Value {
    eventually("a command's end", || async {
        let command = told_of(dev, id).await;
        (command["status"] == "completed" || command["status"] == "failed").then_some(command)
    })
    .await
}

async fn told_of(dev: &Dev, id: &str) -> Value {
    let path = format!("commands/{id}");
    let mut reply = admin(&dev.running.ready, reqwest::Method::GET, &path, None).await;
    reply["data"]["command"].take()
}

/// The heartbeats a Backend holds, newest first.
pub(crate) async fn stored_heartbeats(ready: &Value) -> Value {
    admin(ready, reqwest::Method::GET, "heartbeats", None).await
}
