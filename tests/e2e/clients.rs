//! `dev` on its own, and clients that nobody here wrote.

use serde_json::{Value, json};

use crate::harness::Dev;
use crate::mcp::{inspector, sdk, text_of};

/// The first tool of the demo server and what to call it with, by its own schema.
fn demo_tool(tools: &Value) -> (String, Value) {
    let tool = &tools["tools"][0];
    let name = tool["name"].as_str().unwrap_or_else(|| panic!("no tool in {tools}"));
    let properties = tool["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
    let arguments = properties
        .iter()
        .map(|(name, schema)| {
            let value = match schema["type"].as_str() {
                Some("integer" | "number") => json!(2),
                Some("boolean") => json!(true),
                _ => json!("hello"),
            };
            (name.clone(), value)
        })
        .collect::<serde_json::Map<_, _>>();
    (name.to_string(), Value::Object(arguments))
}

#[tokio::test]
async fn the_inspector_discovers_and_executes_the_demo_servers_tool() {
    let mut dev = Dev::start("inspector", None).await;
    let (url, token) = (dev.running.text("/mcp_url"), dev.running.text("/token"));
    let instance = &dev.running.ready["instances"][0];
    let text = |name: &str| instance[name].as_str().unwrap_or_default();

    let own = inspector(text("instance_url"), text("instance_token"), &["--method", "tools/list"]);
    let (tool, arguments) = demo_tool(&own.await);
    let pairs: Vec<String> = arguments
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            format!("{name}={}", value.as_str().map_or(value.to_string(), String::from))
        })
        .collect();
    let mut call = vec!["--method", "tools/call", "--tool-name", &tool];
    for pair in &pairs {
        call.extend(["--tool-arg", pair]);
    }
    let by_name = inspector(text("instance_url"), text("instance_token"), &call).await;
    assert_ne!(by_name["isError"], true, "{by_name}");

    let listed = inspector(url, token, &["--method", "tools/list"]).await;
    let mut names: Vec<&str> = listed["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["discover_mcp_tools", "execute_mcp_tool", "list_mcp_resources", "read_mcp_resource"]
    );
    let discovered = inspector(
        url,
        token,
        &["--method", "tools/call", "--tool-name", "discover_mcp_tools", "--tool-arg", "query=*"],
    );
    let discovered = json!({ "result": discovered.await });
    let found: Value = serde_json::from_str(text_of(&discovered)).expect("discovery is JSON");
    let paths = found["tools"].as_array().into_iter().flatten();
    let path = paths
        .filter_map(|tool| tool["tool_path"].as_str())
        .find(|path| path.split_once(':').is_some_and(|(_, name)| name == tool))
        .unwrap_or_else(|| panic!("{tool} not discovered: {found}"));
    let executed = inspector(
        url,
        token,
        &[
            "--method",
            "tools/call",
            "--tool-name",
            "execute_mcp_tool",
            "--tool-arg",
            &format!("tool_path={path}"),
            "--tool-arg",
            &format!("arguments={arguments}"),
        ],
    )
    .await;
    assert_eq!(executed["content"], by_name["content"], "both ways lead to the same tool");
    assert_eq!(dev.running.stop().await, Some(0), "SIGTERM ends it cleanly");
}

#[tokio::test]
async fn the_python_sdk_discovers_and_executes_the_demo_servers_tool() {
    let mut dev = Dev::start("sdk", None).await;
    let instance = dev.running.ready["instances"][0].clone();
    let own = json!({"url": instance["instance_url"], "token": instance["instance_token"]});
    let (tool, arguments) = demo_tool(&sdk(&own).await);
    let mut by_name = own.clone();
    by_name["calls"] = json!([{"tool": tool, "arguments": arguments}]);
    let by_name = sdk(&by_name).await;
    let content = &by_name["calls"][0]["result"]["content"];
    assert!(content[0].is_object(), "{by_name}");

    let (url, token) = (dev.running.text("/mcp_url"), dev.running.text("/token"));
    let discovered = sdk(&json!({"url": url, "token": token, "calls": [
        {"tool": "discover_mcp_tools", "arguments": {"query": tool}}]}))
    .await;
    let found = text_of(&discovered["calls"][0]);
    let found: Value = serde_json::from_str(found).expect("discovery is JSON");
    let path = &found["tools"][0]["tool_path"];
    let executed = sdk(&json!({"url": url, "token": token, "calls": [
        {"tool": "execute_mcp_tool", "arguments": {"tool_path": path, "arguments": arguments}}]}))
    .await;
    assert_eq!(&executed["calls"][0]["result"]["content"], content, "{executed}");
    assert_eq!(dev.running.stop().await, Some(0), "SIGTERM ends it cleanly");
}

#[tokio::test]
async fn nothing_is_left_of_a_dev_that_was_interrupted() {
    let mut dev = Dev::start("interrupted", None).await;
    let directory = dev.scratch.0.display().to_string();
    dev.running.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(dev.running.ended().await, Some(130), "Ctrl-C has its own exit code");
    assert_eq!(crate::harness::processes_with(&directory), Vec::<u32>::new());
}
