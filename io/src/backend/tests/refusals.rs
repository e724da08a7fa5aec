//! Bad input: each has its status, its code and its words.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use super::{World, heartbeat};

#[tokio::test]
async fn each_wrong_registration_is_refused_for_its_own_reason() {
    let world = World::new().await;
    let path = "/api/satellites/register";
    let body = json!({"name": "edge-satellite-01"});
    let bare = Request::post(path).body(Body::from(body.to_string())).unwrap();
    let answered = world.send(bare).await;
    assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answered.body["error"], "registration_token_required");
    let foreign = "deploystack_satellite_global_eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    let answered = world.post(path, foreign, body.clone()).await;
    assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answered.body["error"], "invalid_registration_token");

    let token = world.token(None).await;
    for bad in ["{", "{}", r#"{"name":"short"}"#, r#"{"name":"Upper-Case-01"}"#, r#"{"name":7}"#] {
        let answered = world.ask(Method::POST, path, &token, bad).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answered.body["error"].as_str().unwrap().contains("validation"), "{bad}");
    }
    assert_eq!(world.post(path, &token, body.clone()).await.status, StatusCode::OK);
    let answered = world.post(path, &token, body.clone()).await;
    assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answered.body["error"], "token_already_used");

    let team = world.administer(Method::POST, "/api/teams", json!({"name": "Acme"})).await;
    let token = world.token(team["team"]["id"].as_str()).await;
    let answered = world.post(path, &token, body).await;
    assert_eq!(answered.status, StatusCode::CONFLICT);
    assert_eq!(answered.body["error"], "satellite_name_taken");
}

#[tokio::test]
async fn a_key_opens_its_own_satellite_on_every_route_and_no_other() {
    let world = World::new().await;
    let one = world.pair("edge-satellite-01", None).await;
    let two = world.pair("edge-satellite-02", None).await;
    for (method, route) in [
        (Method::POST, "heartbeat"),
        (Method::GET, "status"),
        (Method::GET, "config"),
        (Method::GET, "commands"),
        (Method::POST, "command-result"),
        (Method::POST, "events"),
        (Method::POST, "tokens/status"),
        (Method::POST, "tokens/retrieve"),
        (Method::GET, "github-token/i"),
    ] {
        let path = format!("/api/satellites/{}/{route}", two.id);
        let foreign = world.ask(method.clone(), &path, &one.key, "{}").await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{route}");
        let nobody = world.ask(method, &path, "deploystack_satellite_api_global_x", "{}").await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{route}");
    }
}

#[tokio::test]
async fn a_void_key_says_why_and_only_to_who_holds_it() {
    let world = World::new().await;
    let first = world.pair("edge-satellite-01", None).await;
    let second = world.pair("edge-satellite-01", None).await;
    assert_eq!(first.id, second.id);
    let path = format!("/api/satellites/{}/heartbeat", first.id);
    let revoked = world.post(&path, &first.key, heartbeat()).await;
    assert_eq!(revoked.status, StatusCode::UNAUTHORIZED);
    assert_eq!(revoked.body["error"], "api_key_revoked");
    let manage = format!("/api/satellites/manage/{}", first.id);
    world.ask(Method::DELETE, &manage, &world.admin, "").await;
    let deleted = world.post(&path, &second.key, heartbeat()).await;
    assert_eq!(deleted.body["error"], "satellite_deleted");
    let mut guess = second.key.clone();
    guess.push('x');
    let guessed = world.post(&path, &guess, heartbeat()).await;
    assert_eq!(guessed.status, StatusCode::UNAUTHORIZED);
    assert_ne!(guessed.body["error"], "satellite_deleted");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_batch_is_refused_whole() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/heartbeat", satellite.id);
    let large = "x".repeat(3 * 1024 * 1024);
    let answered = world.ask(Method::POST, &path, &satellite.key, &large).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answered.body["error"].as_str().unwrap().contains("validation"));
    let mut hot = heartbeat();
    hot["system_metrics"]["cpu_usage_percent"] = json!(101);
    let answered = world.post(&path, &satellite.key, hot).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert!(answered.body["message"].as_str().unwrap().contains("cpu_usage_percent"));
    let path = format!("/api/satellites/{}/events", satellite.id);
    for bad in ["[]", r#"{"events":[]}"#, r#"{"events":7}"#, "nonsense"] {
        let answered = world.ask(Method::POST, &path, &satellite.key, bad).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answered.body["error"].as_str().unwrap().contains("validation"), "{bad}");
    }
}

#[tokio::test]
async fn the_administration_is_closed_to_everyone_else() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    for path in
        ["/api/teams", "/api/users", "/api/servers", "/api/satellites/manage", "/api/events"]
    {
        for token in ["", "ds_admin_0", satellite.key.as_str()] {
            let answered = world.get(path, token).await;
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    let nowhere = world.get("/api/nowhere", &world.admin).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    assert_eq!(nowhere.body["success"], false);
}
