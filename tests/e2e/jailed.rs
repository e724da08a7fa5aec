//! Servers that nobody here wrote, in jails: they find their files and answer, and what they write
//! stays theirs.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::alike::compare_everything;
use crate::harness::{Dev, Scratch, command, processes_with, tools};

/// What a tool answers, through the command line.
async fn call(dev: &Dev, tool: &str, arguments: &Value) -> String {
    let directory = dev.scratch.0.join("state").display().to_string();
    let output = command(&["call", tool, &arguments.to_string(), "--dir", &directory])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .await
        .expect("the program runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn real_servers_answer_from_within_their_jails() {
    let scratch = Scratch::new("jailed");
    let modules = tools().join("npm/node_modules/@modelcontextprotocol");
    let script = modules.join("server-everything/dist/index.js").display().to_string();
    let everything = json!({"command": "node", "args": [script]});
    let mut env = json!({"UV_SYSTEM_CERTS": "true"});
    for name in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "npm_config_registry"] {
        if let Ok(value) = std::env::var(name) {
            env[name] = json!(value);
        }
    }
    let filesystem = "@modelcontextprotocol/server-filesystem@2026.8.31";
    let files = json!({"command": "npx", "args": ["-y", filesystem, "/tmp"], "env": env});
    let python = tools().join("python/bin/python").display().to_string();
    let time = json!({"command": python, "args": ["-m", "mcp_server_time"]});
    let servers = json!({"mcpServers": {"everything": everything, "files": files, "time": time}});
    let readable = tools().display().to_string();
    let environment = [
        ("SATELLITE_SERVER_JAIL", "true"),
        ("SATELLITE_READABLE_PATHS", readable.as_str()),
        ("SATELLITE_TEAM_ACCOUNTS", "false"),
    ];
    let arguments = ["--port", "0", "--backend-port", "0"];
    let mut dev = Dev::start_among(scratch, &arguments, Some(&servers), &environment).await;
    for name in ["everything", "files", "time"] {
        assert_eq!(dev.running.instance(name)["status"], "online", "{name}: {}", dev.running.ready);
    }
    compare_everything(&dev, "everything", &everything).await;

    let name = format!("satellite-jailed-{}.txt", std::process::id());
    let path = format!("/tmp/{name}");
    call(&dev, "files:write_file", &json!({"path": path, "content": "written inside"})).await;
    let read = call(&dev, "files:read_text_file", &json!({"path": path})).await;
    assert!(read.contains("written inside"), "{read}");
    assert!(!std::path::Path::new(&path).exists(), "{path} is outside the jail");

    let zones =
        json!({"source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"});
    let converted = call(&dev, "time:convert_time", &zones).await;
    assert!(converted.contains("21:00"), "{converted}");

    assert_eq!(dev.running.stop().await, Some(0), "SIGTERM ends it cleanly");
    let state = dev.scratch.0.join("state").display().to_string();
    assert_eq!(processes_with(&state), [0_u32; 0]);
}
