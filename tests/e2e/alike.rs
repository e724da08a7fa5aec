//! What a server nobody here wrote answers: through the satellite the same as without it.

use serde_json::{Value, json};

use crate::harness::{Dev, state};
use crate::mcp::sdk;

/// Calls a server's tools straight, over stdio or at its address, and through both ways into the
/// satellite; every tool is called. Returns what came through the server's own address.
pub(crate) async fn compare(
    dev: &Dev,
    name: &str,
    server: &Value,
    calls: Value,
    reads: Value,
    differs: &[&str],
) -> Value {
    let straight = sdk(&json!({
        "command": server["command"], "args": server["args"], "env": server["env"],
        "url": server["url"], "type": server["type"],
        "mode": "legacy", "calls": calls, "reads": reads,
    }))
    .await;
    let instance = dev.running.instance(name);
    let through = sdk(&json!({
        "url": instance["instance_url"], "token": instance["instance_token"],
        "mode": "legacy", "calls": calls, "reads": reads,
    }))
    .await;

    let by_path: Vec<Value> = calls
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            let path = format!("{name}:{}", call["tool"].as_str().unwrap_or_default());
            let arguments = json!({"tool_path": path, "arguments": call["arguments"]});
            json!({"tool": "execute_mcp_tool", "arguments": arguments, "progress": call["progress"]})
        })
        .collect();
    let executed = sdk(&json!({
        "url": dev.running.text("/mcp_url"), "token": dev.running.text("/token"),
        "mode": "legacy", "calls": by_path,
    }))
    .await;

    assert_eq!(through["tools"], straight["tools"], "{name}: the same tools, word for word");
    let called = calls.as_array().into_iter().flatten().filter_map(|call| call["tool"].as_str());
    let mut called: Vec<&str> = called.collect();
    called.sort_unstable();
    called.dedup();
    let listed = through["tools"].as_array().into_iter().flatten();
    let mut listed: Vec<&str> = listed.filter_map(|tool| tool["name"].as_str()).collect();
    listed.sort_unstable();
    assert_eq!(called, listed, "{name}: every tool is called");

    for (index, call) in calls.as_array().into_iter().flatten().enumerate() {
        let tool = call["tool"].as_str().unwrap_or_default();
        let expected = &straight["calls"][index];
        for (way, got) in [("/i", &through["calls"][index]), ("/mcp", &executed["calls"][index])] {
            if differs.contains(&tool) {
                assert_eq!(shape(got), shape(expected), "{name}: {tool} through {way}");
            } else {
                assert_eq!(got, expected, "{name}: {tool} through {way}");
            }
        }
    }
    assert_eq!(through["reads"], straight["reads"], "{name}: resources");
    state(&format!("{name}: {} tools, {} calls alike", listed.len(), by_path.len()));
    through
}

/// What is left of a result whose content depends on when and where it was made.
fn shape(call: &Value) -> Value {
    let result = &call["result"];
    let kinds: Vec<&Value> =
        result["content"].as_array().into_iter().flatten().map(|item| &item["type"]).collect();
    json!({"isError": result["isError"], "kinds": kinds, "error": call["error"]})
}

/// Compares every tool of the reference server `everything`, progress and resources included.
pub(crate) async fn compare_everything(dev: &Dev, name: &str, server: &Value) {
    let calls = json!([
        {"tool": "echo", "arguments": {"message": "grüße, \u{1F680} \"quoted\"\nsecond line"}},
        {"tool": "get-annotated-message", "arguments": {"messageType": "error", "includeImage": true}},
        {"tool": "get-env"},
        {"tool": "get-resource-links", "arguments": {"count": 4}},
        {"tool": "get-resource-reference", "arguments": {"resourceType": "Blob", "resourceId": 3}},
        {"tool": "get-structured-content", "arguments": {"location": "Chicago"}},
        {"tool": "get-sum", "arguments": {"a": 0.1, "b": 0.2}},
        {"tool": "get-sum", "arguments": {"a": "no number"}},
        {"tool": "get-tiny-image"},
        {"tool": "gzip-file-as-resource", "arguments":
            {"name": "a.gz", "data": "data:text/plain,hello", "outputType": "resource"}},
        {"tool": "toggle-simulated-logging"},
        {"tool": "toggle-simulated-logging"},
        {"tool": "toggle-subscriber-updates"},
        {"tool": "toggle-subscriber-updates"},
        {"tool": "trigger-long-running-operation", "arguments": {"duration": 1, "steps": 5},
            "progress": true},
        {"tool": "simulate-research-query", "arguments": {"topic": "relays"}},
    ]);
    // The environment is each child's own; sessions, times and random numbers are in the others.
    let own = [
        "get-env",
        "toggle-simulated-logging",
        "toggle-subscriber-updates",
        "simulate-research-query",
        "get-resource-reference",
    ];
    let reads = json!(["demo://resource/static/document/architecture.md", "demo://nothing"]);
    let got = compare(dev, name, server, calls, reads, &own).await;
    let steps: Vec<&Value> = got["calls"][14]["progress"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|seen| &seen[0])
        .collect();
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0], "progress of the long-running operation");
}
