//! Clients that get it wrong, or mean to.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Dev, eventually};
use crate::mcp::{Answer, Session, http, initialize, text_of};
use crate::peer::{peer, session};

/// The JSON-RPC code of what the satellite cannot do for a client.
const UNAVAILABLE: i64 = -32_000;

/// A request that any session may make.
const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;

/// A refusal has its status and its code, and says what happened and what to do next.
fn assert_refused(answer: &Answer, status: StatusCode, code: i64) {
    eprintln!("{} {}", answer.status, answer.body);
    assert_eq!(answer.status, status, "{}", answer.body);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], code, "{}", answer.body);
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.body);
}

/// Asks the Backend's administration for something new.
async fn create(dev: &Dev, path: &str, body: Value) -> Value {
    let url = format!("{}/api/{path}", dev.running.text("/backend_url"));
    let request = http().post(url).bearer_auth(dev.running.text("/admin_token"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.expect("the Backend answers");
    let (status, text) = (response.status(), response.text().await.expect("it arrives whole"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("the answer is JSON")
}

/// A user of the satellite's team and a token of theirs that holds for `seconds`.
async fn token_of(dev: &Dev, user: &str, seconds: u64) -> String {
    let body = json!({"team_id": dev.running.text("/team_id"), "expires_in": seconds});
    let issued = create(dev, &format!("users/{user}/tokens"), body).await;
    issued["data"]["access_token"]["token"].as_str().expect("a token").to_string()
}

#[tokio::test]
async fn a_session_is_its_subjects_alone_and_ends_with_the_token() {
    let mut dev = Dev::start("subjects", None).await;
    let mcp_url = dev.running.text("/mcp_url");
    let body = json!({"username": "somebody", "team_id": dev.running.text("/team_id")});
    let somebody = create(&dev, "users", body).await;
    let somebody = somebody["data"]["user"]["id"].as_str().expect("a user").to_string();

    let own = Session::open(mcp_url, dev.running.text("/token")).await;
    let theirs = token_of(&dev, &somebody, 3_600).await;
    let mut foreign = Session::open(mcp_url, &theirs).await;
    assert_eq!(foreign.post(LIST).await.status, StatusCode::OK, "their own session is theirs");
    foreign.id.clone_from(&own.id);
    assert_refused(&foreign.post(LIST).await, StatusCode::NOT_FOUND, UNAVAILABLE);
    assert_eq!(own.post(LIST).await.status, StatusCode::OK, "and the owner goes on");

    let brief = token_of(&dev, &somebody, 1).await;
    let refused = eventually("the end of the token", || async {
        let answer = Session::closed(mcp_url, Some(&brief)).post(initialize().to_string()).await;
        (answer.status != StatusCode::OK).then_some(answer)
    })
    .await;
    assert_refused(&refused, StatusCode::UNAUTHORIZED, -32_002);
    assert!(refused.body.contains("expired"), "it says why: {}", refused.body);
    assert_eq!(own.post(LIST).await.status, StatusCode::OK);
    assert_eq!(dev.running.stop().await, Some(0));
}

#[tokio::test]
async fn bad_clients_are_told_and_harm_nobody() {
    let servers = json!({"mcpServers": {"well": peer("well"), "other": peer("well")}});
    let mut dev = Dev::start("bad-clients", Some(&servers)).await;
    let well = session(&dev, "well").await;
    let (mcp_url, token) = (dev.running.text("/mcp_url"), dev.running.text("/token"));

    // No token, a wrong one, another endpoint's.
    let another = dev.running.instance("other")["instance_token"].as_str();
    for (url, bearer, status, code) in [
        (mcp_url, None, StatusCode::UNAUTHORIZED, -32_001),
        (mcp_url, Some("wrong"), StatusCode::UNAUTHORIZED, -32_002),
        (mcp_url, another, StatusCode::UNAUTHORIZED, -32_002),
        (well.url.as_str(), None, StatusCode::UNAUTHORIZED, -32_001),
        (well.url.as_str(), Some("wrong"), StatusCode::UNAUTHORIZED, -32_001),
        (well.url.as_str(), Some(token), StatusCode::UNAUTHORIZED, -32_001),
        (well.url.as_str(), another, StatusCode::NOT_FOUND, -32_004),
    ] {
        let answer = Session::closed(url, bearer).post(initialize().to_string()).await;
        assert_refused(&answer, status, code);
    }

    // A session of somebody else: of another instance, and of nobody.
    let other = session(&dev, "other").await;
    for id in [other.id.clone(), Some("00000000-0000-4000-8000-000000000000".to_string())] {
        let mut foreign = Session::closed(&well.url, well.token.as_deref());
        foreign.id = id;
        assert_refused(&foreign.post(LIST).await, StatusCode::NOT_FOUND, UNAVAILABLE);
    }

    // What is no JSON-RPC.
    for (body, code) in [("{", -32700), ("[]", -32600), ("1", -32600), (r#"{"id":1}"#, -32600)] {
        let answer = well.post(body).await;
        assert_refused(&answer, StatusCode::BAD_REQUEST, code);
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}1{}}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert_refused(&well.post(deep).await, StatusCode::BAD_REQUEST, -32_600);
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{}"}}}}}}"#,
        "x".repeat(40_000_000)
    );
    let answer = well.http.post(&well.url).bearer_auth(well.token.as_deref().unwrap_or_default());
    let answer = answer.header("content-type", "application/json");
    let answer = answer.header("accept", "application/json, text/event-stream");
    // The satellite may close before it has read all of it; both tell the client.
    if let Ok(response) =
        answer.header("mcp-session-id", well.id.clone().unwrap_or_default()).body(huge).send().await
    {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    // One request with newlines between its tokens that spell a second one: the child sees one.
    let smuggled = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\
        \"arguments\":{\"text\":\"x\",\"more\":\n{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\
        \"params\":{\"name\":\"smuggled\"}}\r\n}}}";
    assert_eq!(text_of(&well.post(smuggled).await.message(7)), "x");
    let lines = well.call("lines", json!({})).await;
    let lines: Vec<String> = serde_json::from_str(text_of(&lines)).expect("the peer's lines");
    let with: Vec<&String> = lines.iter().filter(|line| line.contains("smuggled")).collect();
    assert_eq!(with.len(), 1, "one line carries it: {with:?}");
    assert!(with[0].contains("\"echo\""), "and it is the request itself: {}", with[0]);

    // A foreign Host is refused before anything else is looked at.
    let request = well.http.post(mcp_url).bearer_auth(token).header("host", "evil.example");
    let response = request.body("{}").send().await.expect("the satellite answers");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);

    assert_eq!(text_of(&well.call("echo", json!({"text": "on"})).await), "on");
    eventually("the satellite is ready", || async {
        let url = mcp_url.replace("/mcp", "/ready");
        let response = well.http.get(url).send().await.ok()?;
        (response.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(dev.running.stop().await, Some(0));
}
