//! Lists in parts, as administrators and members ask for them.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{World, text};

/// All of a list, in parts of two; how many parts.
async fn gathered(world: &World, path: &str, name: &str) -> (Vec<Value>, usize) {
    let (mut rows, mut parts, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let answered = world.get(&format!("{path}{mark}limit=2{cursor}"), &world.admin).await;
        assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.body);
        let at = if answered.body["data"].is_object() { "/data" } else { "" };
        let field = |name: &str| answered.body.pointer(&format!("{at}/{name}")).cloned();
        rows.extend(field(name).unwrap().as_array().unwrap().clone());
        parts += 1;
        match field("next_cursor") {
            Some(next) => cursor = format!("&cursor={}", text(&next)),
            None => return (rows, parts),
        }
    }
}

#[tokio::test]
async fn every_list_comes_in_parts_and_whole() {
    let world = World::new().await;
    let (team, user, _) = world.install().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let manage = format!("/api/satellites/manage/{}", satellite.id);
    for number in 0..4 {
        let name = json!({"name": format!("Team {number}")});
        world.administer(Method::POST, "/api/teams", name).await;
        let name = json!({"username": format!("user{number}")});
        world.administer(Method::POST, "/api/users", name).await;
        let server = json!({"name": format!("Server {number}"), "transport_type": "stdio"});
        world.administer(Method::POST, "/api/servers", server).await;
        world.pair(&format!("edge-satellite-1{number}"), None).await;
        let tokens = format!("/api/users/{user}/tokens");
        world.administer(Method::POST, &tokens, json!({"team_id": team})).await;
        let kind = if number == 0 { "kill" } else { "configure" };
        let command = json!({"command_type": kind});
        world.administer(Method::POST, &format!("{manage}/commands"), command).await;
        let beat = format!("/api/satellites/{}/heartbeat", satellite.id);
        world.post(&beat, &satellite.key, super::heartbeat()).await;
        let events = json!({"events": [{"type": "config.refreshed", "id": number.to_string(),
            "timestamp": "2026-01-31T09:15:02.100Z", "data": {"config_hash": "h",
            "server_count": 1, "teams_count": 1, "change_detected": true, "fetch_duration_ms": 5}}]});
        let path = format!("/api/satellites/{}/events", satellite.id);
        let told = world.post(&path, &satellite.key, events).await;
        assert_eq!(told.body["processed"], 1, "{}", told.body);
    }
    for (path, name, count) in [
        ("/api/teams", "teams", 5_usize),
        ("/api/users", "users", 5),
        ("/api/servers", "servers", 5),
        ("/api/satellites/manage", "satellites", 5),
        ("/api/satellites/manage?type=team", "satellites", 0),
        ("/api/satellites/registration-tokens", "tokens", 5),
        (&format!("/api/users/{user}/tokens"), "access_tokens", 4),
        (&format!("/api/teams/{team}/mcp/installations"), "installations", 1),
        (&format!("{manage}/commands"), "commands", 4),
        (&format!("{manage}/commands?type=kill"), "commands", 1),
        (&format!("{manage}/commands?since=2100-01-01T00:00:00Z"), "commands", 0),
        (&format!("{manage}/heartbeats?status=active"), "heartbeats", 4),
        (&format!("{manage}/events"), "events", 4),
        ("/api/events?type=config.refreshed", "events", 4),
    ] {
        let (rows, parts) = gathered(&world, path, name).await;
        assert_eq!((rows.len(), parts), (count, count.div_ceil(2).max(1)), "{path}");
        let mut ids: Vec<_> = rows.iter().map(|row| row["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "{path}: a row came twice");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_team_or_filter_is_refused() {
    let world = World::new().await;
    let (team, ..) = world.install().await;
    for number in 0..3 {
        let name = json!({"name": format!("Team {number}")});
        world.administer(Method::POST, "/api/teams", name).await;
    }
    let other = world.administer(Method::POST, "/api/teams", json!({"name": "Other"})).await;
    let other = text(&other["team"]["id"]);
    let servers = world.administer(Method::GET, "/api/servers", json!({})).await;
    let server = &servers["servers"][0]["id"];
    let installations = format!("/api/teams/{team}/mcp/installations");
    let second = json!({"server_id": server, "installation_name": "Another"});
    world.administer(Method::POST, &installations, second).await;
    let first = world.get(&format!("{installations}?limit=1"), &world.admin).await;
    let cursor = text(&first.body["data"]["next_cursor"]);
    let rest = world.get(&format!("{installations}?cursor={cursor}"), &world.admin).await;
    assert_eq!(rest.body["data"]["installations"].as_array().map(Vec::len), Some(1));
    let cut = &cursor[1..];
    for path in [
        format!("/api/teams/{other}/mcp/installations?cursor={cursor}"),
        format!("/api/teams?cursor={cursor}"),
        format!("/api/events?cursor={cursor}"),
        format!("{installations}?server=srv_1&cursor={cursor}"),
        format!("{installations}?cursor={cut}"),
        format!("{installations}?cursor="),
    ] {
        let refused = world.get(&path, &world.admin).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}: {}", refused.body);
        assert!(text(&refused.body["detail"]).contains("`cursor`"), "{}", refused.body);
        assert!(refused.body["data"].is_null());
    }
    for limit in ["0", "1001", "x", "-1"] {
        let refused = world.get(&format!("/api/teams?limit={limit}"), &world.admin).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{limit}");
    }
}
