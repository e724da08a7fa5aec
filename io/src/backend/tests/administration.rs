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
    let stored = world.backend.store().commands(satellite.id.into(), 10).await.unwrap();
    assert!(stored.is_empty());
}
