//! Servers that fail: each says why, alone.

use serde_json::json;

use crate::harness::Dev;
use crate::mcp::text_of;
use crate::peer::{peer, session};

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
