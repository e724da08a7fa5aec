//! Servers that nobody here wrote, through the satellite and straight over stdio: what comes back
//! is the same.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Dev, Scratch, state, tools};
use crate::mcp::sdk;

/// What the servers need to download through a proxy that changes certificates; usually nothing.
fn environment() -> Value {
    let mut env = json!({"UV_SYSTEM_CERTS": "true"});
    for name in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "npm_config_registry"] {
        if let Ok(value) = std::env::var(name) {
            env[name] = json!(value);
        }
    }
    env
}

/// Calls a server's tools straight over stdio and through both ways into the satellite; every tool
/// is called. Returns what came through the server's own address.
async fn compare(
    dev: &Dev,
    name: &str,
    server: &Value,
    calls: Value,
    reads: Value,
    differs: &[&str],
) -> Value {
    let straight = sdk(&json!({
        "command": server["command"], "args": server["args"], "env": server["env"],
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

#[tokio::test]
async fn every_tool_of_three_real_servers_answers_as_it_does_over_stdio() {
    let scratch = Scratch::new("real-servers");
    let files = scratch.0.join("files");
    fs::create_dir_all(files.join("folder")).expect("a folder can be made");
    let files = files.display().to_string();
    let env = environment();
    let npx = |package: &str, rest: &[&str]| {
        let mut args = vec!["-y", package];
        args.extend(rest);
        json!({"command": "npx", "args": args, "env": env})
    };
    let everything = npx("@modelcontextprotocol/server-everything@2026.8.31", &[]);
    let filesystem = npx("@modelcontextprotocol/server-filesystem@2026.8.31", &[&files]);
    let uvx = tools().join("python/bin/uvx").display().to_string();
    let time = json!({"command": uvx, "args": ["mcp-server-time@2026.10.19"], "env": env});
    let servers =
        json!({"mcpServers": {"everything": everything, "files": filesystem, "time": time}});

    let mut dev = Dev::start_in(scratch, Some(&servers)).await;
    for name in ["everything", "files", "time"] {
        assert_eq!(dev.running.instance(name)["status"], "online", "{name}: {}", dev.running.ready);
    }

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
    let got = compare(&dev, "everything", &everything, calls, reads, &own).await;
    let steps: Vec<&Value> = got["calls"][14]["progress"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|seen| &seen[0])
        .collect();
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0], "progress of the long-running operation");

    let at = |name: &str| format!("{files}/{name}");
    let megabyte: String = "0123456789abcde\n".repeat(65_536);
    fs::write(at("large.txt"), &megabyte).expect("a file can be written");
    fs::write(at("pixel.png"), [0x89, b'P', b'N', b'G']).expect("a file can be written");
    // Each run starts from the same files: what moves is moved back.
    let calls = json!([
        {"tool": "list_allowed_directories"},
        {"tool": "write_file", "arguments": {"path": at("note.txt"), "content": "one\ntwo\n"}},
        {"tool": "read_file", "arguments": {"path": at("note.txt")}},
        {"tool": "read_text_file", "arguments": {"path": at("large.txt")}},
        {"tool": "read_media_file", "arguments": {"path": at("pixel.png")}},
        {"tool": "read_multiple_files", "arguments": {"paths": [at("note.txt"), at("missing.txt")]}},
        {"tool": "edit_file", "arguments": {"path": at("note.txt"),
            "edits": [{"oldText": "two", "newText": "three"}]}},
        {"tool": "create_directory", "arguments": {"path": at("folder/inner")}},
        {"tool": "list_directory", "arguments": {"path": files}},
        {"tool": "list_directory_with_sizes", "arguments": {"path": files}},
        {"tool": "directory_tree", "arguments": {"path": files}},
        {"tool": "move_file", "arguments": {"source": at("note.txt"), "destination": at("moved.txt")}},
        {"tool": "move_file", "arguments": {"source": at("moved.txt"), "destination": at("note.txt")}},
        {"tool": "search_files", "arguments": {"path": files, "pattern": "*.txt"}},
        {"tool": "get_file_info", "arguments": {"path": at("large.txt")}},
        {"tool": "read_file", "arguments": {"path": "/etc/passwd"}},
    ]);
    let got = compare(&dev, "files", &filesystem, calls, json!([]), &["get_file_info"]).await;
    let text = got["calls"][3]["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text == megabyte, "{} of {} bytes arrived", text.len(), megabyte.len());

    let calls = json!([
        {"tool": "get_current_time", "arguments": {"timezone": "Europe/Berlin"}},
        {"tool": "convert_time", "arguments":
            {"source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}},
        {"tool": "convert_time", "arguments":
            {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "Asia/Tokyo"}},
    ]);
    // Both hold today's date, which may change between the two.
    compare(&dev, "time", &time, calls, json!([]), &["get_current_time", "convert_time"]).await;

    assert_eq!(dev.running.stop().await, Some(0), "SIGTERM ends it cleanly");
}
