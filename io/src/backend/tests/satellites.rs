//! What a satellite does in its life.

use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;

use super::{World, heartbeat, text};

#[tokio::test]
async fn a_satellite_pairs_beats_and_is_granted_what_it_offers() {
    let world = World::new().await;
    assert_eq!(world.get("/api/health", "").await.status, StatusCode::OK);
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/heartbeat", satellite.id);
    let answered = world.post(&path, &satellite.key, heartbeat()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
    let granted = json!(["poll-wait", "command-lease", "event-id", "config-version"]);
    assert_eq!(answered.body["capabilities"], granted);
    let shown = world.get("/api/satellites/manage", &world.admin).await;
    assert_eq!(shown.body["data"]["satellites"][0]["status"], "active");
    let path = format!("/api/satellites/manage/{}/heartbeats", satellite.id);
    let beats = world.get(&path, &world.admin).await;
    assert_eq!(beats.body["data"]["heartbeats"][0]["system_metrics"]["cpu_usage_percent"], 1.5);
}

#[tokio::test]
async fn a_command_is_fetched_on_either_path_and_its_first_result_stands() {
    let world = World::new().await;
    let (team, ..) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let manage = format!("/api/satellites/manage/{}/commands", satellite.id);
    let body = json!({"command_type": "restart", "priority": "immediate",
        "payload": {"team_id": team}});
    let created = world.administer(Method::POST, &manage, body).await;
    let id = text(&created["command"]["id"]);

    let scoped = format!("/api/teams/{team}/satellites/{}/commands?limit=5", satellite.id);
    let polled = world.get(&scoped, &satellite.key).await;
    assert_eq!(polled.body["commands"][0]["id"], json!(id));
    assert_eq!(polled.body["commands"][0]["attempt"], 1);
    assert_eq!(polled.body["polling_mode"], "immediate");
    assert_eq!(polled.body["next_poll_interval"], 2);
    let flat = format!("/api/satellites/{}/commands", satellite.id);
    let again = world.get(&flat, &satellite.key).await;
    assert_eq!(again.body["commands"], json!([]), "it is leased");
    let global = format!("/api/satellites/global/{}/commands", satellite.id);
    assert_eq!(world.get(&global, &satellite.key).await.status, StatusCode::FORBIDDEN);

    let path = format!("/api/satellites/{}/command-result", satellite.id);
    let failed = json!({"command_id": id, "status": "failed", "error": "no such server"});
    assert_eq!(world.post(&path, &satellite.key, failed).await.status, StatusCode::OK);
    let late = json!({"command_id": id, "status": "completed", "result": {}});
    assert_eq!(world.post(&path, &satellite.key, late).await.status, StatusCode::OK);
    let shown = world.get(&format!("{manage}/{id}"), &world.admin).await;
    assert_eq!(shown.body["data"]["command"]["status"], "failed");
    assert_eq!(shown.body["data"]["command"]["error_message"], "no such server");
}

#[tokio::test(start_paused = true)]
async fn a_held_poll_ends_when_a_command_comes_and_not_before() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/commands?wait=20", satellite.id);
    let manage = format!("/api/satellites/manage/{}/commands", satellite.id);
    let started = tokio::time::Instant::now();
    let file = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.administer(Method::POST, &manage, json!({"command_type": "configure"})).await
    };
    let (polled, _) = tokio::join!(world.get(&path, &satellite.key), file);
    assert_eq!(polled.body["commands"].as_array().unwrap().len(), 1);
    assert_eq!(started.elapsed().as_secs(), 7);
    let polled = world.get(&path, &satellite.key).await;
    assert_eq!(polled.body["commands"], json!([]));
    assert_eq!(started.elapsed().as_secs(), 27);
}

#[tokio::test(start_paused = true)]
async fn a_held_poll_brings_nothing_once_an_administrator_has_closed_the_queue() {
    for (state, is_maintenance) in [
        (json!({"state": "maintenance"}), json!(true)),
        (json!({"state": "disabled"}), json!(null)),
    ] {
        let world = World::new().await;
        let satellite = world.pair("edge-satellite-01", None).await;
        let path = format!("/api/satellites/{}/commands?wait=20", satellite.id);
        let manage = format!("/api/satellites/manage/{}", satellite.id);
        let started = tokio::time::Instant::now();
        let close = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            world.administer(Method::PATCH, &manage, json!({"admin_state": state})).await;
            let commands = format!("{manage}/commands");
            world.administer(Method::POST, &commands, json!({"command_type": "configure"})).await
        };
        let (polled, _) = tokio::join!(world.get(&path, &satellite.key), close);
        assert_eq!(polled.body["commands"], json!([]), "{state}");
        assert_eq!(polled.body["maintenance"], is_maintenance);
        assert_eq!(started.elapsed().as_secs(), 7, "it is not held any longer");
    }
}

#[tokio::test]
async fn an_unchanged_configuration_answers_304_whatever_statuses_were_reported() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let path = format!("/api/satellites/{}/config", satellite.id);
    let fetched = world.get(&path, &satellite.key).await;
    let key = format!("files-acme-{user}-{installation}");
    let entry = &fetched.body["mcp_servers"][&key];
    assert_eq!(entry["command"], "npx", "{}", fetched.body);
    assert_eq!(entry["env"]["API_KEY"], "plain secret");
    assert!(fetched.body["version"].is_u64());
    let tag = fetched.headers[header::ETAG].clone();

    let events = format!("/api/satellites/{}/events", satellite.id);
    let moment = "2026-01-31T09:15:02.123Z";
    let event = json!({"events": [{"type": "mcp.server.status_changed", "timestamp": moment,
        "data": {"installation_id": installation, "team_id": team, "user_id": user,
            "status": "online", "timestamp": moment}}]});
    assert_eq!(world.post(&events, &satellite.key, event).await.body["processed"], 1);
    let request = || {
        Request::get(&path)
            .header(header::AUTHORIZATION, format!("Bearer {}", satellite.key))
            .header(header::IF_NONE_MATCH, &tag)
            .body(axum::body::Body::empty())
            .unwrap()
    };
    assert_eq!(world.send(request()).await.status, StatusCode::NOT_MODIFIED);
    let patch = format!("/api/teams/{team}/mcp/installations/{installation}");
    world.administer(Method::PATCH, &patch, json!({"team_env": {"API_KEY": "other"}})).await;
    let changed = world.send(request()).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert!(changed.body["version"].as_u64() > fetched.body["version"].as_u64());
    assert_eq!(changed.body["mcp_servers"][&key]["instance_status"], "online");
}

#[tokio::test]
async fn a_backend_whose_count_is_behind_its_satellites_counts_on_from_there() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/config", satellite.id);
    let fetch = async |in_force: &str| {
        let request = Request::get(&path)
            .header(header::AUTHORIZATION, format!("Bearer {}", satellite.key))
            .header("x-config-version", in_force)
            .body(axum::body::Body::empty())
            .unwrap();
        let fetched = world.send(request).await;
        (fetched.body["version"].clone(), fetched.headers[header::ETAG].clone())
    };
    let (first, tag) = fetch("1").await;
    assert_eq!(first, 1);
    assert_eq!(fetch("57").await, (json!(58), tag.clone()), "the content is the same");
    world.install().await;
    let (next, other) = fetch("58").await;
    assert!(next.as_u64() > Some(58), "{next}");
    assert_ne!(other, tag);
    assert_eq!(fetch("nonsense").await, (next, other));
}

#[tokio::test]
async fn one_bad_event_costs_only_itself_and_a_repeated_one_counts_once() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let path = format!("/api/satellites/{}/events", satellite.id);
    let moment = "2026-01-31T09:15:02.123Z";
    let gap = json!({"type": "satellite.events.gap", "timestamp": moment, "id": "e1", "seq": 1,
        "data": {"from_seq": 1, "to_seq": 2, "count": 2, "reason": "full"}});
    let batch = json!({"events": [gap, {"type": "mcp.never.heard", "timestamp": moment, "data": {}},
        {"type": "config.error", "timestamp": moment, "data": {}}, gap]});
    let answered = world.post(&path, &satellite.key, batch).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.body["processed"], 2);
    assert_eq!(answered.body["failed"], 2);
    let indexes = [&answered.body["failures"][0]["index"], &answered.body["failures"][1]["index"]];
    assert_eq!(indexes, [1, 2]);
    let stored = format!("/api/satellites/manage/{}/events?after=0", satellite.id);
    let stored = world.get(&stored, &world.admin).await;
    assert_eq!(stored.body["data"]["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_token_is_known_to_satellites_of_its_team_only() {
    let world = World::new().await;
    let (team, user, _) = world.install().await;
    let other = world.administer(Method::POST, "/api/teams", json!({"name": "Other"})).await;
    let own = world.pair("edge-satellite-01", Some(&team)).await;
    let foreign = world.pair("edge-satellite-02", other["team"]["id"].as_str()).await;
    let path = format!("/api/users/{user}/tokens");
    let token = world.administer(Method::POST, &path, json!({"team_id": team})).await;
    let body = json!({"token": token["access_token"]["token"]});
    let active = world.post("/api/oauth2/introspect", &own.key, body.clone()).await;
    assert_eq!(active.body["active"], true);
    assert_eq!(active.body["sub"], json!(user));
    let inactive = world.post("/api/oauth2/introspect", &foreign.key, body.clone()).await;
    assert_eq!(inactive.body["active"], false);
    let gone = format!("/api/teams/{team}/members/{user}");
    let left = world.ask(Method::DELETE, &gone, &world.admin, "").await;
    assert_eq!(left.status, StatusCode::OK);
    let inactive = world.post("/api/oauth2/introspect", &own.key, body).await;
    assert_eq!(inactive.body, json!({"active": false}));
}
