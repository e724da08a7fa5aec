//! A server that speaks HTTP with server-sent events only.

use super::*;

#[tokio::test]
async fn the_older_transport_is_found_out_and_carries_calls() {
    let (say, heard) = mpsc::unbounded_channel::<String>();
    let heard = Mutex::new(Some(heard));
    let mut world = World::ready(move |seen| {
        let response = match (seen.method.as_str(), seen.uri.split('?').next()) {
            ("GET", Some("/mcp")) => {
                let heard = heard.lock().unwrap().take()?;
                let _ = say.send("event: endpoint\ndata: /messages?sessionId=7\n\n".into());
                let events = stream::unfold(heard, |mut heard| async {
                    let event = heard.recv().await?;
                    Some((Ok::<_, Infallible>(Bytes::from(event)), heard))
                });
                typed("text/event-stream", Body::from_stream(events))
            }
            ("POST", Some("/messages")) => {
                let result = match seen.rpc() {
                    "initialize" => json!({"protocolVersion": "2024-11-05",
                        "capabilities": {"tools": {}}}),
                    "tools/list" => json!({"tools": [{"name": "t"}]}),
                    _ => json!({"content": []}),
                };
                if !seen.message["id"].is_null() {
                    let _ = say.send(format!("event: message\ndata: {}\n\n", rpc(seen, &result)));
                }
                StatusCode::ACCEPTED.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
        Some(Reply::Now(response))
    })
    .await;
    assert!(matches!(world.call().await, CallOutcome::Result(_)));
    let seen = world.seen("tools/call").remove(0);
    assert_eq!(seen.uri, "/messages?sessionId=7&key=a%20b");
    world.handle.tell(RelayInput::CloseInput);
    world.report(|report| matches!(report, Report::Closed { .. }).then_some(())).await;
}
