//! Commands as the Backend files them, and as whoever filed one sees it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Paired, World, text};

impl World {
    /// What a satellite's next poll brings.
    async fn poll(&self, satellite: &Paired) -> Value {
        let path = format!("/api/satellites/{}/commands", satellite.id);
        self.get(&path, &satellite.key).await.body
    }

    /// The commands of the next poll: type, priority and payload.
    async fn commands(&self, satellite: &Paired) -> Vec<(String, String, Value)> {
        let polled = self.poll(satellite).await;
        let commands = polled["commands"].as_array().cloned().unwrap_or_default();
        commands
            .iter()
            .map(|one| {
                let (kind, mut payload) = (text(&one["command_type"]), one["payload"].clone());
                let version = payload.as_object_mut().unwrap().remove("config_version");
                let is_counted = version.is_some_and(|version| version.as_u64() > Some(1));
                assert_eq!(is_counted, kind == "configure", "{one}");
                (kind, text(&one["priority"]), payload)
            })
            .collect()
    }
}

#[tokio::test]
async fn whoever_filed_a_command_sees_all_of_what_became_of_it() {
    let world = World::new().await;
    let (team, _, installation) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let manage = format!("/api/satellites/manage/{}/commands", satellite.id);
    let payload = json!({"installation_id": installation, "team_id": team});
    let body = json!({"command_type": "restart", "priority": "high", "payload": payload,
        "expires_in": 60});
    let created = world.administer(Method::POST, &manage, body).await;
    let id = text(&created["command"]["id"]);
    let polled = world.poll(&satellite).await;
    assert_eq!(polled["commands"][0]["payload"]["generation"], 1, "what is meant runs now");
    let expires_in = polled["commands"][0]["expires_in"].as_u64();
    assert!(expires_in.is_some_and(|left| (1..=60).contains(&left)), "{expires_in:?}");
    let result = json!({"command_id": id, "status": "failed", "attempt": 1,
        "started_at": "2026-01-31T09:15:03.000Z", "duration_ms": 1234,
        "error": "initialize: exited with code 3", "error_message": "initialize: exited with code 3",
        "result": {"step": "initialize", "last_stderr": ["no module"], "instances": []}});
    let path = format!("/api/satellites/{}/command-result", satellite.id);
    assert_eq!(world.post(&path, &satellite.key, result).await.status, StatusCode::OK);
    let shown = world.administer(Method::GET, &format!("{manage}/{id}"), Value::Null).await;
    let command = &shown["command"];
    assert_eq!(command["status"], "failed");
    assert_eq!((&command["attempt"], &command["duration_ms"]), (&json!(1), &json!(1234)));
    assert_eq!(command["started_at"], "2026-01-31T09:15:03.000Z");
    assert_eq!(command["error_message"], "initialize: exited with code 3");
    assert_eq!(command["result"]["last_stderr"][0], "no module");
    assert_eq!(command["correlation_id"], created["command"]["correlation_id"]);
}

#[tokio::test]
async fn a_command_about_an_installation_goes_to_the_satellite_that_serves_it() {
    let world = World::new().await;
    let (_, _, installation) = world.install().await;
    let other = world.administer(Method::POST, "/api/teams", json!({"name": "Other"})).await;
    let other = text(&other["team"]["id"]);
    let own = world.pair("edge-satellite-01", None).await;
    let foreign = world.pair("edge-satellite-02", Some(&other)).await;
    let ask = async |satellite: &Paired, payload: Value| {
        let path = format!("/api/satellites/manage/{}/commands", satellite.id);
        let body = json!({"command_type": "kill", "payload": payload});
        world.post(&path, &world.admin, body).await
    };
    let payload = json!({"installation_id": installation});
    assert_eq!(ask(&own, payload.clone()).await.status, StatusCode::CREATED);
    let refused = ask(&foreign, payload).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(text(&refused.body["error"]).contains("does not serve installation"));
    let mistaken = ask(&own, json!({"installation_id": installation, "team_id": other})).await;
    assert_eq!(mistaken.status, StatusCode::FORBIDDEN);
    assert!(text(&mistaken.body["error"]).contains("does not belong to team"));
}

#[tokio::test]
async fn every_change_reaches_the_satellites_it_concerns_with_its_own_command() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let global = world.pair("edge-satellite-01", None).await;
    let own = world.pair("edge-satellite-02", Some(&team)).await;
    let installations = format!("/api/teams/{team}/mcp/installations/{installation}");
    world.administer(Method::PATCH, &installations, json!({"installation_name": "Papers"})).await;
    world.administer(Method::POST, &format!("{installations}/redeploy"), json!({})).await;
    let moment = "2026-01-31T09:15:02.123Z";
    let tool = json!({"tool_name": "write", "description": "", "input_schema": {},
        "token_count": 1});
    let event = json!({"events": [{"type": "mcp.tools.discovered", "timestamp": moment,
        "data": {"installation_id": installation, "installation_name": "f", "team_id": team,
            "server_slug": "files", "tool_count": 1, "total_tokens": 1, "tools": [tool],
            "discovered_at": moment}}]});
    let events = format!("/api/satellites/{}/events", own.id);
    assert_eq!(world.post(&events, &own.key, event).await.body["processed"], 1);
    let off = json!({"is_disabled": true});
    let switched =
        world.administer(Method::PATCH, &format!("{installations}/tools/write"), off).await;
    assert_eq!((&switched["tool_name"], &switched["is_disabled"]), (&json!("write"), &json!(true)));
    let member = format!("/api/teams/{team}/members/{user}");
    assert!(world.ask(Method::DELETE, &member, &world.admin, "").await.status.is_success());
    world.administer(Method::PUT, &member, json!({})).await;
    let gone = format!("/api/users/{user}");
    assert!(world.ask(Method::DELETE, &gone, &world.admin, "").await.status.is_success());
    assert!(world.ask(Method::DELETE, &installations, &world.admin, "").await.status.is_success());

    let about =
        |event: &str| json!({"event": event, "installation_id": installation, "team_id": team});
    let whom = |event: &str| json!({"event": event, "team_id": team, "user_id": user});
    let expected = [
        ("configure", about("mcp_installation_updated")),
        ("configure", about("mcp_redeploy")),
        (
            "configure",
            json!({"action": "update_tool_status", "installation_id": installation,
            "team_id": team, "server_slug": "files", "tool_name": "write", "is_disabled": true}),
        ),
        ("configure", whom("team_member_removed")),
        ("configure", whom("team_member_added")),
        (
            "invalidate_user_token_cache",
            json!({"event": "user_deleted", "user_id": user, "user_email": ""}),
        ),
        ("configure", json!({"event": "user_deleted", "user_id": user})),
        ("configure", about("mcp_installation_deleted")),
    ];
    for satellite in [&global, &own] {
        let filed = world.commands(satellite).await;
        assert!(filed.iter().all(|(_, priority, _)| priority == "immediate"), "{filed:?}");
        let mut filed: Vec<_> =
            filed.into_iter().map(|(kind, _, payload)| (kind, payload)).collect();
        for (kind, payload) in &expected {
            let found = filed.iter().position(|one| one.0 == *kind && one.1 == *payload);
            filed.remove(found.unwrap_or_else(|| panic!("no {payload} in {filed:?}")));
        }
        assert!(filed.is_empty(), "{filed:?}");
    }
    let gone = format!("/api/teams/{team}");
    assert!(world.ask(Method::DELETE, &gone, &world.admin, "").await.status.is_success());
    let filed = world.commands(&global).await;
    assert_eq!(filed[0].2, json!({"event": "team_deleted", "team_id": team}));
}

#[tokio::test]
async fn in_maintenance_polls_are_slow_and_bring_nothing_until_it_is_over() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    let manage = format!("/api/satellites/manage/{}", satellite.id);
    let command = json!({"command_type": "configure", "priority": "immediate"});
    world.administer(Method::POST, &format!("{manage}/commands"), command).await;
    let state = async |admin_state: Value| {
        world.administer(Method::PATCH, &manage, json!({"admin_state": admin_state})).await
    };
    let earlier = "2026-01-31T09:00:00.000Z";
    let later = "2026-01-31T10:00:00.000Z";
    let shown = state(json!({"state": "maintenance", "from": earlier, "until": later})).await;
    assert_eq!(shown["satellite"]["status"], "maintenance");
    assert_eq!(shown["satellite"]["admin_state"]["until"], later);
    let polled = world.poll(&satellite).await;
    assert_eq!((&polled["commands"], &polled["maintenance"]), (&json!([]), &json!(true)));
    assert_eq!(
        (&polled["next_poll_interval"], &polled["polling_mode"]),
        (&json!(300), &json!("slow"))
    );

    state(json!({"state": "maintenance", "from": later})).await;
    assert_eq!(world.poll(&satellite).await["commands"].as_array().map(Vec::len), Some(1));

    let status = format!("{manage}/status");
    let shown = world.administer(Method::PATCH, &status, json!({"status": "maintenance"})).await;
    assert_eq!(shown["satellite"]["status"], "maintenance");
    assert_eq!(world.poll(&satellite).await["next_poll_interval"], 300);
    let wrong = world.ask(Method::PATCH, &status, &world.admin, r#"{"status":"lunch"}"#).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    world.administer(Method::PATCH, &status, json!({"status": "active"})).await;
    assert_eq!(world.poll(&satellite).await["maintenance"], Value::Null);
}

#[tokio::test]
async fn a_name_or_a_setting_is_no_reason_for_another_generation() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let satellite = world.pair("edge-satellite-01", Some(&team)).await;
    let path = format!("/api/teams/{team}/mcp/installations/{installation}");
    let generation = async || {
        let config = format!("/api/satellites/{}/config", satellite.id);
        let fetched = world.get(&config, &satellite.key).await.body;
        fetched["mcp_servers"][format!("files-acme-{user}-{installation}")]["generation"].clone()
    };
    let change = async |change: Value| {
        world.administer(Method::PATCH, &path, change).await;
    };
    assert_eq!(generation().await, 1);
    change(json!({"installation_name": "Papers"})).await;
    change(json!({"settings": {"request_logging_enabled": false}})).await;
    change(json!({"team_env": {"API_KEY": "plain secret"}})).await;
    assert_eq!(generation().await, 1);
    change(json!({"team_env": {"API_KEY": "another"}})).await;
    assert_eq!(generation().await, 2);
    world.administer(Method::POST, &format!("{path}/redeploy"), json!({})).await;
    assert_eq!(generation().await, 3);
}
