//! What an administrator does.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{World, heartbeat, text};
use crate::backend::store::Store;

#[tokio::test]
async fn an_installation_files_a_configure_command_to_each_satellite_that_serves_it() {
    let world = World::new().await;
    let global = world.pair("edge-satellite-01", None).await;
    let (team, user, installation) = world.install().await;
    let path = format!("/api/satellites/{}/commands", global.id);
    let polled = world.get(&path, &global.key).await;
    let commands = polled.body["commands"].as_array().unwrap();
    let payload =
        &commands.iter().find(|one| one["payload"]["event"] == "mcp_installation_created").unwrap()
            ["payload"];
    assert_eq!(payload["installation_id"], json!(installation));
    assert_eq!(payload["team_id"], json!(team));

    let token = format!("/api/teams/{team}/mcp/installations/{installation}/users/{user}/token");
    let issued = world.administer(Method::POST, &token, json!({})).await;
    let token = text(&issued["instance_token"]["token"]);
    assert_eq!(token.len(), 72);
    let config = world.get(&format!("/api/satellites/{}/config", global.id), &global.key).await;
    let entry = &config.body["mcp_servers"][format!("files-acme-{user}-{installation}")];
    assert_eq!(entry["instance_path"], issued["instance_token"]["instance_path"]);
    assert_eq!(text(&entry["instance_token_hash"]).len(), 64);
    assert!(!config.body.to_string().contains(&token));
}

#[tokio::test]
async fn maintenance_holds_commands_back_and_outlasts_heartbeats() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let manage = format!("/api/satellites/manage/{}", satellite.id);
    let state = json!({"admin_state": {"state": "maintenance"}});
    world.administer(Method::PATCH, &manage, state).await;
    let commands = format!("{manage}/commands");
    world.administer(Method::POST, &commands, json!({"command_type": "configure"})).await;
    let beat = format!("/api/satellites/{}/heartbeat", satellite.id);
    world.post(&beat, &satellite.key, heartbeat()).await;
    let path = format!("/api/satellites/{}/commands?wait=25", satellite.id);
    let polled = world.get(&path, &satellite.key).await;
    assert_eq!(polled.body["commands"], json!([]));
    assert_eq!(polled.body["maintenance"], true);
    assert_eq!(polled.body["next_poll_interval"], 300);
    let shown = world.get(&manage, &world.admin).await;
    assert_eq!(shown.body["data"]["satellite"]["status"], "maintenance");
}

#[tokio::test]
async fn a_command_for_a_team_the_satellite_does_not_serve_is_refused() {
    let world = World::new().await;
    let (team, ..) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let path = format!("/api/satellites/manage/{}/commands", satellite.id);
    let foreign = json!({"command_type": "kill", "payload": {"team_id": "another"}});
    let answered = world.post(&path, &world.admin, foreign).await;
    assert_eq!(answered.status, StatusCode::FORBIDDEN);
    let unknown = world.post(&path, &world.admin, json!({"command_type": "dance"})).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    // Later than a date can say.
    let endless = json!({"command_type": "configure", "expires_in": 2_748_093_666_637_582_u64});
    let endless = world.post(&path, &world.admin, endless).await;
    assert_eq!(endless.status, StatusCode::BAD_REQUEST);
    assert!(endless.body["detail"].as_str().unwrap().contains("`expires_in`"));
    let stored = world.backend.store().commands(satellite.id.into(), 10).await.unwrap();
    assert!(stored.is_empty());
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_satellites_are_told_to_forget_its_user() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let (team, user, _) = world.install().await;
    let tokens = format!("/api/users/{user}/tokens");
    let asked = json!({"team_id": team, "scope": "mcp:read satellite:manage"});
    let issued = world.administer(Method::POST, &tokens, asked).await;
    let token = text(&issued["access_token"]["token"]);
    let introspection = json!({"token": token});
    let introspect = || world.post("/api/oauth2/introspect", &satellite.key, introspection.clone());
    assert_eq!(introspect().await.body["active"], true);

    // The user sees it, but not the token itself, and may revoke it; another's is not theirs.
    let listed = world.get(&tokens, &token).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert!(!listed.body.to_string().contains(&token));
    let id = text(&listed.body["data"]["access_tokens"][0]["id"]);
    let other = world.administer(Method::POST, "/api/users", json!({"username": "bob"})).await;
    let path = format!("/api/users/{}/tokens/{id}", text(&other["user"]["id"]));
    let foreign = world.ask(Method::DELETE, &path, &world.admin, "").await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!(introspect().await.body["active"], true);

    let revoked = world.ask(Method::DELETE, &format!("{tokens}/{id}"), &token, "").await;
    assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.body);
    assert_eq!(introspect().await.body["active"], false);
    assert_eq!(world.get(&tokens, &token).await.status, StatusCode::UNAUTHORIZED);
    let path = format!("/api/satellites/{}/commands?limit=50", satellite.id);
    let commands = world.get(&path, &satellite.key).await.body["commands"].clone();
    let is_told = |one: &serde_json::Value| {
        one["command_type"] == "invalidate_user_token_cache" && one["payload"]["user_id"] == user
    };
    assert!(commands.as_array().unwrap().iter().any(is_told), "{commands}");
}

#[tokio::test]
async fn a_role_that_nobody_knows_is_refused() {
    let world = World::new().await;
    let (team, user, _) = world.install().await;
    let path = format!("/api/teams/{team}/members/{user}");
    let body = json!({"role": "owner"}).to_string();
    let refused = world.ask(Method::PUT, &path, &world.admin, &body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.to_string().contains("team_user or team_admin"), "{}", refused.body);
}

#[tokio::test]
async fn a_job_tells_how_it_went_and_runs_when_it_is_asked_for() {
    let world = World::new().await;
    let before = world.administer(Method::GET, "/api/jobs", json!({})).await;
    let before = before["jobs"].as_array().unwrap();
    let names: Vec<_> = before.iter().map(|job| text(&job["name"])).collect();
    assert_eq!(names, ["silent-satellites", "command-ends", "retention"]);
    assert!(before.iter().all(|job| job["last_outcome"].is_null() && job["under_way"] == false));
    for _ in 0..2 {
        let run = world.administer(Method::POST, "/api/jobs/retention/run", json!({})).await;
        assert_eq!(run["job"]["last_outcome"], "done", "{run}");
        let did = "removed 0 heartbeats, 0 lines of logs, 0 others";
        assert_eq!(run["job"]["last_message"], did, "{run}");
        assert_eq!(run["job"]["under_way"], false, "{run}");
    }
    let unknown = world.post("/api/jobs/nothing/run", &world.admin, json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
