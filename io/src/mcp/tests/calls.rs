use satellite_core::view::InstanceStatus;
use serde_json::{Value, json};

use super::world::{ONE, World, bearer, call_of, initialize, user};

#[tokio::test]
async fn a_tool_s_result_comes_back_whole_under_the_client_s_own_id() {
    let mut world = World::start().await;
    let session = world.session().await;
    let body = r#"{"jsonrpc":"2.0","id":"a\"1","method":"tools/call","params":{"name":"read"}}"#;
    let (reply, call) = world.call_with(&session, body).await;
    let result = json!({"content": [{"type": "text", "text": "x"}], "isError": true,
        "structuredContent": {"n": 1}, "_meta": {"k": [1]}, "unknown": null});
    world.answer(&call, &result);
    let (status, answer) = reply.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!((&answer["id"], &answer["result"]), (&json!("a\"1"), &result));
}

#[tokio::test]
async fn discover_then_execute_reaches_the_same_tool() {
    let mut world = World::start().await;
    let (name, value) = user("good");
    let token = (name, value.as_str());
    let session = world.session_at("/mcp", token).await;
    let headers = [token, ("mcp-session-id", session.as_str())];
    let ask = |id: u64, name: &str, arguments: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}})
        .to_string()
    };
    let discover = ask(1, "discover_mcp_tools", json!({"query": "read"}));
    let (_, found) = world.open("POST", "/mcp", &headers, discover.as_bytes()).await.json().await;
    let text = found["result"]["content"][0]["text"].as_str().unwrap();
    let found: Value = serde_json::from_str(text).unwrap();
    assert_eq!(found["tools"][0]["tool_path"], "files:read");
    let execute =
        ask(2, "execute_mcp_tool", json!({"tool_path": "files:read", "arguments": {"p": 1}}));
    let (reply, call) = world.call_at("/mcp", token, &session, &execute).await;
    assert_eq!(call["method"], "tools/call");
    assert_eq!(call["params"], json!({"name": "read", "arguments": {"p": 1}}));
    world.answer(&call, &json!({"content": []}));
    assert_eq!(reply.await.unwrap().1["result"], json!({"content": []}));
}

#[tokio::test]
async fn what_only_a_person_can_help_is_said_at_once_in_the_result() {
    let world = World::start().await;
    let session = world.session().await;
    for status in [InstanceStatus::RequiresReauth, InstanceStatus::PermanentlyFailed] {
        world.change(|instance| {
            instance.status = status;
            instance.ready = None;
            instance.status_message = Some("exited with code 3".into());
        });
        let (http, answer) = world.post(&session, &call_of(1, "read")).await;
        assert_eq!((http, &answer["result"]["isError"]), (200, &json!(true)));
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("exited with code 3"), "{text}");
    }
}

#[tokio::test]
async fn a_sleeping_server_is_asked_for_and_its_call_waits_for_it() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.change(|instance| instance.ready = None);
    let (port, id) = (world.port, session.clone());
    let reply = tokio::spawn(async move {
        let headers = [bearer(), ("mcp-session-id", id.as_str())];
        super::world::open(port, "POST", ONE, &headers, call_of(1, "read").as_bytes())
            .await
            .json()
            .await
    });
    while !matches!(
        world.wanted.recv().await.unwrap(),
        satellite_core::control::Event::Wanted { .. }
    ) {}
    world.change(|instance| instance.ready = Some(satellite_core::id::Incarnation(1)));
    let call = world.lines.recv().await.unwrap();
    world.answer(&call, &json!({"content": []}));
    assert_eq!(reply.await.unwrap().0, 200);
}

#[tokio::test]
async fn a_call_whose_server_gets_no_turn_to_start_is_told_which_limit_it_met() {
    let world = World::start().await;
    let session = world.session().await;
    let full = satellite_core::view::PlacesView { held: 50, capacity: 50, ..Default::default() };
    world.change_places(full);
    world.change(|instance| {
        instance.ready = None;
        instance.waits_since = Some(satellite_core::time::Timestamp(0));
    });
    let (http, answer) = world.post(&session, &call_of(1, "read")).await;
    assert_eq!((http, &answer["result"]["isError"]), (200, &json!(true)));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("all 50 places") && text.contains("SATELLITE_INSTANCES"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_the_time_it_has_is_told_to_stop() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.change(|instance| instance.call_timeout_ms = 200);
    let (reply, call) = world.call_with(&session, &call_of(1, "read")).await;
    let told = world.lines.recv().await.unwrap();
    assert_eq!(told["method"], "notifications/cancelled");
    assert_eq!(told["params"]["requestId"], call["id"]);
    let (_, answer) = reply.await.unwrap();
    assert_eq!(answer["error"]["data"]["outcome"], "timed_out", "{answer}");
}

#[tokio::test]
async fn a_tool_that_is_switched_off_never_reaches_the_server() {
    let mut world = World::start().await;
    let session = world.session().await;
    world.change(|instance| instance.disabled_tools = std::sync::Arc::new(["read".into()].into()));
    let (_, answer) = world.post(&session, &call_of(1, "read")).await;
    assert_eq!(answer["result"]["isError"], true);
    let (_, list) = world.post(&session, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await;
    assert_eq!(list["result"]["tools"], json!([]));
    assert!(world.lines.try_recv().is_err());
}

#[tokio::test]
async fn a_batch_is_answered_in_its_own_revision_only() {
    let world = World::start().await;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},
        {"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":2,"method":"x"}]"#;
    let old = world.session_of(ONE, bearer(), "2025-03-26").await;
    let (status, answer) = world.post(&old, batch).await;
    assert_eq!((status, answer.as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(answer[1]["error"]["code"], -32_601);
    let new = world.session_of(ONE, bearer(), "2025-06-18").await;
    assert_eq!(world.post(&new, batch).await.0, 400);
    let reply = world.open("POST", ONE, &[bearer()], initialize("2025-03-26").as_bytes()).await;
    assert_eq!(reply.json().await.1["result"]["protocolVersion"], "2025-03-26");
}
