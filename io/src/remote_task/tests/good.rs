//! Servers that do as they should.

use super::*;
use crate::relays::CallStep;

#[tokio::test]
async fn a_call_goes_there_and_back_with_headers_query_and_session() {
    let mut world = World::ready(|_| None).await;
    let CallOutcome::Result(result) = world.call().await else { panic!("no result") };
    assert!(result.get().contains(r#""name":"a:b""#), "{result}");
    let seen = world.seen("tools/call").remove(0);
    assert_eq!(seen.uri, "/mcp?key=a%20b");
    assert_eq!(seen.header("x-team"), Some("blue"));
    assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
    assert_eq!(seen.header("mcp-protocol-version"), Some("2025-06-18"));
    world.handle.tell(RelayInput::CloseInput);
    world.report(|report| matches!(report, Report::Closed { .. }).then_some(())).await;
    let goodbye = world.sees(|seen| seen.method == Method::DELETE).await;
    assert_eq!(goodbye.header("mcp-session-id"), Some("s-1"));
    timeout(PATIENCE, &mut world.task).await.expect("the task goes on").unwrap();
    let late = world.begin(1_000, true).outcome().await;
    assert!(matches!(late, CallOutcome::RejectedBeforeSend(Rejection::Closed { .. })), "{late:?}");
}

#[tokio::test]
async fn ten_megabytes_come_back_byte_for_byte_either_way() {
    let text = "\u{e9}\\\"x".repeat(1_500_000);
    for is_stream in [false, true] {
        let sent = text.clone();
        let world = World::ready(on("tools/call", move |seen| {
            let body = rpc(seen, &json!({"text": sent}));
            Reply::Now(match is_stream {
                false => typed("application/json", body),
                true => typed("text/event-stream", format!("event: message\ndata: {body}\n\n")),
            })
        }))
        .await;
        let CallOutcome::Result(result) = world.call().await else { panic!("no result") };
        let result: Value = serde_json::from_str(result.get()).unwrap();
        assert!(result["text"] == *text);
    }
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_under_the_clients_own_token() {
    let world = World::ready(on("tools/call", |seen| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": seen.message["id"], "progress": 1}});
        let body = rpc(seen, &json!({}));
        Reply::Now(typed("text/event-stream", format!("data: {progress}\n\ndata: {body}\n\n")))
    }))
    .await;
    let mut pending = world.begin(30_000, false);
    let CallStep::Notification(note) = pending.next().await else { panic!("no progress") };
    let note: Value = serde_json::from_str(note.get()).unwrap();
    assert_eq!(note["params"]["progressToken"], "mine");
    assert!(matches!(pending.next().await, CallStep::Outcome(CallOutcome::Result(_))));
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let world = World::ready(on("tools/call", |_| Reply::Never)).await;
    let pending = world.begin(30_000, false);
    let asked = world.sees(|seen| seen.rpc() == "tools/call").await;
    drop(pending);
    let told = world.sees(|seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(told.message["params"]["requestId"], asked.message["id"]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let (address, seen) = listen(Arc::new(|seen: &Seen| {
        let is_good = seen.header("authorization") == Some("Bearer t2");
        (!is_good).then(|| Reply::Now(StatusCode::UNAUTHORIZED.into_response()))
    }))
    .await;
    let tokens = Tokens::default();
    let spec = RemoteSpec { requires_oauth: true, ..spec(address) };
    let mut world = World::with(spec, seen, tokens.clone());
    assert_eq!(world.listed().await, 1);
    assert!(matches!(world.call().await, CallOutcome::Result(_)));
    assert_eq!(*tokens.0.lock().unwrap(), [None, Some(1)]);
}

#[tokio::test]
async fn ten_thousand_tools_are_taken_and_a_cursor_without_end_is_not_followed_for_ever() {
    let mut world = World::start(on("tools/list", |seen| {
        let tools: Vec<Value> = (0..10_000).map(|n| json!({"name": format!("t:{n}")})).collect();
        Reply::Now(answer(seen, &json!({"tools": tools})))
    }))
    .await;
    assert_eq!(world.listed().await, 10_000);
    let pages = std::sync::atomic::AtomicUsize::new(0);
    let mut world = World::start(on("tools/list", move |seen| {
        let page = pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tools = json!([{"name": format!("t{page}")}]);
        Reply::Now(answer(seen, &json!({"tools": tools, "nextCursor": format!("c{page}")})))
    }))
    .await;
    assert_eq!(world.listed().await, satellite_core::limits::DISCOVERY_PAGES_MAX);
}
