//! What the Backend's tables say after a real client has used a real server, against what happened.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Dev, Scratch, eventually};
use crate::mcp::{Session, initialize, sdk};
use crate::peer;

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn the_backends_tables_say_what_happened_and_no_secret() {
    let scratch = Scratch::new("events");
    let files = scratch.0.join("files");
    fs::create_dir_all(&files).expect("a folder can be made");
    fs::write(files.join("note.txt"), format!("the key is {SECRET}, keep it")).expect("a file");
    let mut env = json!({"FILES_KEY": SECRET});
    for name in ["NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "npm_config_registry"] {
        if let Ok(value) = std::env::var(name) {
            env[name] = json!(value);
        }
    }
    let folder = files.display().to_string();
    let servers = json!({"mcpServers": {"files": {"command": "npx", "env": env,
        "args": ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", folder]}}});
    let mut dev = Dev::start_in(scratch, Some(&servers)).await;
    let instance = dev.running.instance("files").clone();

    let note = files.join("note.txt").display().to_string();
    let nothing = files.join("nothing.txt").display().to_string();
    let got = sdk(&json!({
        "url": instance["instance_url"], "token": instance["instance_token"], "mode": "legacy",
        "calls": [
            {"tool": "read_text_file", "arguments": {"path": note}},
            {"tool": "read_text_file", "arguments": {"path": nothing}},
            {"tool": "list_directory", "arguments": {"path": folder}},
        ],
    }))
    .await;
    let results: Vec<&Value> = got["calls"].as_array().into_iter().flatten().collect();
    assert!(results[0].to_string().contains(SECRET), "the client gets the file as it is: {got}");
    assert_eq!(results[1]["result"]["isError"], true, "{got}");
    let stranger = Session::closed(dev.running.text("/mcp_url"), Some("not-a-token"));
    assert_eq!(stranger.post(initialize().to_string()).await.status, 401);

    // Its session ends with the client, and that is told after everything it did.
    let ended = eventually("the end of the client's session", || async {
        peer::events(&dev, "mcp.client.disconnected").pop()
    })
    .await;
    assert_eq!(ended["tool_execution_count"], 3, "{ended}");
    assert_eq!(ended["disconnect_reason"], "client_close", "{ended}");
    eventually("the request log", || async {
        (dev.query(r#"SELECT id FROM "mcpRequestLogs""#).len() == 3).then_some(())
    })
    .await;
    eventually("the refusal", || async { peer::events(&dev, "security.auth.failed").pop() }).await;

    let used = dev.query(
        r#"SELECT tool_name || ' ' || status_code FROM "satelliteUsageLogs" ORDER BY rowid"#,
    );
    assert_eq!(used, ["read_text_file 200", "read_text_file 500", "list_directory 200"]);
    let logged = dev.query(
        r#"SELECT tool_params || ' ' || tool_response FROM "mcpRequestLogs" ORDER BY rowid"#,
    );
    assert!(logged[0].contains("the key is [secret], keep it"), "{logged:?}");
    assert!(logged[0].contains("note.txt") && logged[2].contains("note.txt"), "{logged:?}");
    let counted = dev.query(r#"SELECT total_tool_calls FROM "mcpClientActivity""#);
    assert_eq!(counted, ["3"]);
    let address = dev.query(r#"SELECT ip_address FROM "mcpClientActivity""#);
    assert_eq!(address, ["127.0.0.1"]);
    assert_eq!(peer::events(&dev, "mcp.client.connected").len(), 1);

    let mut offered: Vec<&str> = got["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    offered.sort_unstable();
    let known = dev.query(r#"SELECT tool_name FROM "mcpToolMetadata" ORDER BY tool_name"#);
    assert_eq!(known, offered);
    assert_eq!(peer::statuses(&dev, "files"), ["online"]);
    let process = r#"SELECT status FROM "satelliteProcesses""#;
    assert_eq!(dev.query(process), ["running"]);
    eventually("what the server wrote", || async {
        dev.query(r#"SELECT message FROM "mcpServerLogs""#).pop()
    })
    .await;
    assert_eq!(peer::events(&dev, "mcp.server.started").len(), 1);
    assert_eq!(peer::events(&dev, "config.refreshed")[0]["server_count"], 1);

    assert_eq!(dev.running.stop().await, Some(0));
    assert_eq!(peer::events(&dev, "mcp.server.stopped").len(), 1);
    assert_eq!(dev.query(process), ["stopped"]);
    // Whatever was told and kept, the secret is in none of it.
    let kept = dev.query(r#"SELECT data FROM "satelliteEvents""#).join("\n");
    assert!(!kept.contains(SECRET));
    let log = fs::read_to_string(&dev.running.log).expect("the log can be read");
    assert!(!log.contains(SECRET));
}
