use std::sync::atomic::Ordering;

use satellite_core::id::{TeamId, UserId};

use crate::mcp::Forgotten;

use super::world::{INSTANCE_TOKEN, ONE, OTHER_TOKEN, World, initialize, user};

#[tokio::test]
async fn every_verb_needs_a_good_token_and_says_where_to_get_one() {
    let world = World::start().await;
    for method in ["GET", "POST", "DELETE"] {
        let reply = world.open(method, "/mcp", &[("mcp-session-id", "x")], b"").await;
        assert_eq!(reply.status, 401, "{method}");
        let challenge = &reply.headers["www-authenticate"];
        assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp\""), "{challenge}");
        assert!(challenge.contains("scope=\"mcp:read\""), "{challenge}");
        let (name, value) = user("bad");
        let reply = world.open(method, "/mcp", &[(name, &value)], b"").await;
        assert_eq!(reply.status, 401, "{method}");
        assert_eq!(world.open(method, ONE, &[], b"").await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn a_token_is_asked_about_once_and_a_good_one_outlives_an_outage() {
    let world = World::start().await;
    let (name, value) = user("good");
    for _ in 0..3 {
        world.session_at("/mcp", (name, &value)).await;
    }
    assert_eq!(world.backend.asked.load(Ordering::SeqCst), 1);
    *world.backend.is_away.lock().unwrap() = true;
    world.session_at("/mcp", (name, &value)).await;
    let (name, value) = user("other");
    let body = initialize("2025-11-25");
    let reply = world.open("POST", "/mcp", &[(name, &value)], body.as_bytes()).await;
    assert_eq!(reply.status, 401, "nobody can say who this is");
    *world.backend.is_away.lock().unwrap() = false;
    let reply = world.open("POST", "/mcp", &[(name, &value)], body.as_bytes()).await;
    assert_eq!(reply.status, 200, "an outage is not remembered as a refusal");
}

#[tokio::test]
async fn a_user_that_is_forgotten_is_asked_about_again_and_has_no_session_left() {
    let world = World::start().await;
    let (name, value) = user("good");
    let session = world.session_at("/mcp", (name, &value)).await;
    let (stranger, other) = (UserId::new("stranger"), TeamId::new("other"));
    assert_eq!(world.users.forget(&stranger, None), Forgotten::default());
    let own = UserId::new("u");
    assert_eq!(world.users.forget(&own, Some(&other)), Forgotten::default());
    let forgotten = world.users.forget(&own, Some(&TeamId::new("t")));
    assert_eq!(forgotten, Forgotten { identities: 1, sessions: 1 });
    assert_eq!(world.users.forget(&own, None), Forgotten::default());
    let headers = [(name, value.as_str()), ("mcp-session-id", session.as_str())];
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let reply = world.open("POST", "/mcp", &headers, ping).await;
    assert_eq!(reply.status, 404, "the client is told to initialise again");
    assert_eq!(world.backend.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_instance_token_works_in_header_and_query_and_the_header_counts() {
    let world = World::start().await;
    let body = initialize("2025-11-25");
    let status = async |path: String, headers: &[(&str, &str)]| {
        let reply = world.open("POST", &path, headers, body.as_bytes()).await;
        assert_eq!(reply.headers["referrer-policy"], "no-referrer");
        reply.status
    };
    assert_eq!(status(format!("{ONE}?token={INSTANCE_TOKEN}"), &[]).await, 200);
    assert_eq!(status(format!("{ONE}?a=b&token={INSTANCE_TOKEN}"), &[]).await, 200);
    let wrong = format!("Bearer {OTHER_TOKEN}");
    let headers = [("authorization", wrong.as_str())];
    assert_eq!(status(format!("{ONE}?token={INSTANCE_TOKEN}"), &headers).await, 404);
    assert_eq!(status("/i/nothing/mcp".into(), &headers).await, 404);
    assert_eq!(status("/i/nothing/mcp".into(), &[]).await, 401);
}

#[tokio::test]
async fn documents_and_status_pages_are_open_to_all() {
    let world = World::start().await;
    for path in
        ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"]
    {
        let (_, document) = world.open("GET", path, &[], b"").await.json().await;
        assert_eq!(document["resource"], format!("http://localhost:{}/mcp", world.port));
        assert_eq!(document["authorization_servers"][0], "https://cloud.example.com");
    }
    let path = "/.well-known/oauth-authorization-server";
    let (_, document) = world.open("GET", path, &[], b"").await.json().await;
    assert_eq!(document["token_endpoint"], "https://cloud.example.com/api/oauth2/token");
    let (status, page) = world.open("GET", "/api/status/backend", &[], b"").await.json().await;
    assert_eq!((status, page["connection_status"].as_str()), (200, Some("connected")));
    assert_eq!(world.open("GET", "/live", &[], b"").await.status, 200);
    assert_eq!(world.open("GET", "/api/status/debug", &[], b"").await.status, 403);
    let (status, page) = world.open("GET", "/ready", &[], b"").await.json().await;
    assert_eq!((status, page["reasons"][0].as_str()), (503, Some("no configuration yet")));
    assert_eq!(world.open("GET", "/nothing", &[], b"").await.status, 404);
}

#[tokio::test]
async fn metrics_are_for_their_own_token_alone() {
    let world = World::start().await;
    let (name, value) = user("good");
    for headers in [vec![], vec![(name, value.as_str())], vec![(name, "Bearer metrics")]] {
        let reply = world.open("GET", "/metrics", &headers, b"").await;
        assert_eq!(reply.status, 401, "{headers:?}");
    }
    let reply = world.open("GET", "/metrics", &[(name, "Bearer metrics-token")], b"").await;
    assert_eq!(reply.status, 200);
    let content = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(reply.headers["content-type"], content);
    let page = reply.text().await;
    assert!(page.contains("# TYPE satellite_instance_restarts_total counter\n"), "{page}");
}
