use satellite_core::view::View;
use serde_json::json;

use super::world::{ONE, World, bearer, call_of, open};

const PROGRESS_CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call",
    "params":{"name":"read","arguments":{},"_meta":{"progressToken":"mine"}}}"#;

#[tokio::test]
async fn progress_comes_before_the_result_under_the_client_s_own_token() {
    let mut world = World::start().await;
    let session = world.session().await;
    let (port, id) = (world.port, session.clone());
    let reply = tokio::spawn(async move {
        let headers = [bearer(), ("mcp-session-id", id.as_str())];
        open(port, "POST", ONE, &headers, PROGRESS_CALL.as_bytes()).await
    });
    let call = world.lines.recv().await.unwrap();
    let token = &call["params"]["_meta"]["progressToken"];
    let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": token, "progress": 1}});
    world.say.send(note.to_string()).unwrap();
    let mut reply = reply.await.unwrap();
    assert_eq!(reply.headers["content-type"], "text/event-stream");
    assert_eq!(reply.event().await.unwrap()["params"]["progressToken"], "mine");
    world.answer(&call, &json!({"content": []}));
    let answer = reply.event().await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]), (&json!(7), &json!({"content": []})));
    assert_eq!(reply.event().await, None);
}

#[tokio::test]
async fn progress_that_comes_together_with_the_result_is_not_lost() {
    let mut world = World::start().await;
    let session = world.session().await;
    for early in 0..2 {
        let (port, id) = (world.port, session.clone());
        let reply = tokio::spawn(async move {
            let headers = [bearer(), ("mcp-session-id", id.as_str())];
            open(port, "POST", ONE, &headers, PROGRESS_CALL.as_bytes()).await
        });
        let call = world.lines.recv().await.unwrap();
        let note = |progress: u32| {
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
                "progressToken": call["params"]["_meta"]["progressToken"], "progress": progress}})
            .to_string()
        };
        let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": {"content": []}});
        let together = format!("{}\n{}\n{answer}", note(1), note(2));
        // With one ahead, the stream has begun when the others come.
        let mut reply = if early == 1 {
            world.say.send(note(0)).unwrap();
            let mut reply = reply.await.unwrap();
            assert_eq!(reply.event().await.unwrap()["params"]["progress"], 0);
            world.say.send(together).unwrap();
            reply
        } else {
            world.say.send(together).unwrap();
            reply.await.unwrap()
        };
        assert_eq!(reply.event().await.unwrap()["params"]["progress"], 1);
        assert_eq!(reply.event().await.unwrap()["params"]["progress"], 2);
        assert_eq!(reply.event().await.unwrap()["id"], 7);
        assert_eq!(reply.event().await, None);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_or_cancels_takes_its_call_back() {
    let mut world = World::start().await;
    let session = world.session().await;
    let (reply, call) = world.call_with(&session, &call_of(1, "read")).await;
    reply.abort();
    let cancelled = world.lines.recv().await.unwrap();
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], call["id"]);

    let (reply, call) = world.call_with(&session, &call_of(2, "read")).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled",
        "params":{"requestId":2,"reason":"enough"}}"#;
    assert_eq!(world.post(&session, cancel).await.0, 202);
    let cancelled = world.lines.recv().await.unwrap();
    assert_eq!(cancelled["params"]["requestId"], call["id"]);
    assert_eq!(cancelled["params"]["reason"], "enough");
    assert_eq!(reply.await.unwrap().0, 202);
}

#[tokio::test]
async fn a_listener_hears_the_server_and_a_later_one_takes_its_place() {
    let world = World::start().await;
    let session = world.session().await;
    let headers = [bearer(), ("mcp-session-id", session.as_str())];
    let mut first = world.open("GET", ONE, &headers, b"").await;
    assert_eq!(first.headers["content-type"], "text/event-stream");
    let note = json!({"jsonrpc": "2.0", "method": "notifications/message",
        "params": {"level": "info", "data": "x"}});
    // The head of the stream is there before it listens; the sign of life says that it does.
    assert!(!first.line().await.is_empty());
    assert_eq!(first.line().await, ": ping");
    world.say.send(note.to_string()).unwrap();
    assert_eq!(first.event().await.unwrap(), note);
    world.change(|instance| instance.disabled_tools = std::sync::Arc::new(["read".into()].into()));
    assert_eq!(first.event().await.unwrap()["method"], "notifications/tools/list_changed");
    let mut second = world.open("GET", ONE, &headers, b"").await;
    assert_eq!(first.event().await, None);
    let mut view = View::clone(&world.view.borrow());
    view.draining = true;
    world.view.send_replace(std::sync::Arc::new(view));
    assert_eq!(second.event().await, None);
}
