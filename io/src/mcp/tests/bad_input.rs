use satellite_core::limits::MESSAGE_MAX_BYTES;
use serde_json::json;

use super::world::{ONE, World, bearer, call_of, initialize};

#[tokio::test]
async fn what_is_no_message_is_refused_with_its_code_and_the_next_one_is_served() {
    let world = World::start().await;
    let session = world.session().await;
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let nested = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"read","arguments":{deep}}}}}"#
    );
    let cases = [
        ("{", -32_700),
        ("\u{0}", -32_700),
        ("null", -32_600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32_600),
        ("[]", -32_600),
        (nested.as_str(), -32_600),
        (deep.as_str(), -32_600),
    ];
    for (body, code) in cases {
        let (status, answer) = world.post(&session, body).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{shown}");
    }
    let (status, _) = world.post(&session, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn newlines_between_tokens_reach_the_server_as_one_line() {
    let mut world = World::start().await;
    let session = world.session().await;
    let body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"read\",\
                \"arguments\":{\"a\":\n{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"tools/call\",\
                \"params\":{\"name\":\"secret\"}}\r\n}}}";
    let (reply, call) = world.call_with(&session, body).await;
    assert_eq!(call["params"]["name"], "read");
    assert_eq!(call["params"]["arguments"]["a"]["params"]["name"], "secret");
    world.answer(&call, &json!({"content": []}));
    assert_eq!(reply.await.unwrap().1["result"], json!({"content": []}));
    assert!(world.lines.try_recv().is_err(), "one message, one line");
}

#[tokio::test]
async fn sizes_headers_hosts_and_origins_are_checked() {
    let world = World::start().await;
    let length = (MESSAGE_MAX_BYTES + 1).to_string();
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[("content-length", &length)], 413),
        (&[("content-type", "text/plain")], 415),
        (&[("accept", "text/html")], 406),
        (&[("mcp-protocol-version", "1999-01-01")], 400),
        (&[("host", "evil.example")], 403),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("host", "sat.example.com"), ("origin", "https://sat.example.com")], 200),
    ];
    let body = initialize("2025-11-25");
    for (headers, status) in cases {
        let mut all = vec![bearer()];
        all.extend_from_slice(headers);
        let reply = world.open("POST", ONE, &all, body.as_bytes()).await;
        assert_eq!(reply.status, status, "{headers:?}");
        if status == 403 {
            let live = world.open("GET", "/live", &all, b"").await;
            assert_eq!(live.status, 403, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_missing_unknown_ended_or_another_s_is_never_served() {
    let world = World::start().await;
    let call = call_of(1, "read");
    assert_eq!(world.post("", &call).await.0, 400);
    assert_eq!(world.post("0123456789abcdef", &call).await.0, 404);
    let other = (
        "authorization",
        "Bearer ds_inst_0000000000000000000000000000000000000000000000000000000000000002",
    );
    let foreign = world.session_at("/i/wild-fox/mcp", other).await;
    assert_eq!(world.post(&foreign, &call).await.0, 404);
    for method in ["GET", "DELETE"] {
        let headers = [bearer(), ("mcp-session-id", foreign.as_str())];
        assert_eq!(world.open(method, ONE, &headers, b"").await.status, 404, "{method}");
    }
    let own = world.session().await;
    let headers = [bearer(), ("mcp-session-id", own.as_str())];
    assert_eq!(world.open("DELETE", ONE, &headers, b"").await.status, 200);
    assert_eq!(world.post(&own, &call).await.0, 404);
}
