//! Servers that nobody here wrote, through the satellite and straight over stdio: what comes back
//! is the same.

use std::fs;

use serde_json::{Value, json};

use crate::alike::{compare, compare_everything};
use crate::harness::{Dev, Scratch, tools};

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

    compare_everything(&dev, "everything", &everything).await;

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
