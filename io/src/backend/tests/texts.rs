//! Texts that not every database can keep.

use axum::http::{Method, StatusCode, header};
use serde_json::json;

use super::{World, heartbeat};
use crate::backend::store::{Store, throwaway};

async fn each(test: impl AsyncFn(World)) {
    for url in ["model:".to_owned(), "sqlite::memory:".to_owned(), throwaway::database().await] {
        test(World::on(url).await).await;
    }
}

const AT: &str = "2026-01-31T09:15:02.100Z";

#[tokio::test]
async fn an_administrators_nul_is_refused_by_its_place() {
    each(async |world| {
        let (team, user, installation) = world.install().await;
        let installation = format!("/api/teams/{team}/mcp/installations/{installation}");
        for (method, path, body, place) in [
            (Method::POST, "/api/teams", json!({"name": "a\0b"}), "`name`"),
            (Method::POST, "/api/users", json!({"username": "a", "email": "\0"}), "`email`"),
            (
                Method::PATCH,
                &installation,
                json!({"team_env": {"KEY": "x\0"}, "team_args": ["a"]}),
                "`team_env.KEY`",
            ),
            (Method::PATCH, &installation, json!({"team_args": ["a", "\0"]}), "`team_args[1]`"),
            (Method::GET, "/api/teams/a%00b", json!({}), "path"),
            (Method::GET, "/api/events?type=a%00b", json!({}), "query: `type`"),
            (
                Method::PATCH,
                &format!("{installation}/tools/a%00"),
                json!({"is_disabled": true}),
                "path",
            ),
            (
                Method::POST,
                &format!("/api/users/{user}/tokens"),
                json!({"team_id": team, "scope": "mcp:read \0"}),
                "`scope`",
            ),
        ] {
            let refused = world.ask(method, path, &world.admin, &body.to_string()).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {}", refused.body);
            let detail = refused.body["detail"].as_str().unwrap();
            assert!(detail.contains(place) && detail.contains("NUL"), "{path}: {detail}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_no_index_holds_is_refused() {
    each(async |world| {
        let (team, _, installation) = world.install().await;
        // Without repetition: an index would compress that.
        let long: String = (0..501).map(|n| char::from_u32(0x4e00 + n * 7).unwrap()).collect();
        let just: String = long.chars().skip(1).collect();
        let users = |name: &str| json!({"username": name});
        let refused = world.post("/api/users", &world.admin, users(&long)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let why = "body: `username`: must have at most 500 characters";
        assert_eq!(refused.body["detail"], why);
        let made = world.post("/api/users", &world.admin, users(&just)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let path = |name: &str| {
            let name: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            format!("/api/teams/{team}/mcp/installations/{installation}/tools/{name}")
        };
        let off = r#"{"is_disabled":true}"#;
        let refused = world.ask(Method::PATCH, &path(&long), &world.admin, off).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.body["detail"].as_str().unwrap().contains("path: `tool`"));
        let asked = world.ask(Method::PATCH, &path(&just), &world.admin, off).await;
        assert_eq!(asked.body["error"], "tool not found", "{}", asked.body);
    })
    .await;
}

#[tokio::test]
async fn a_satellites_nul_costs_neither_its_event_nor_its_batch() {
    each(async |world| {
        let (team, user, installation) = world.install().await;
        let satellite = world.pair("edge-satellite-01", None).await;
        let status = |id: &str, message: &str| {
            json!({"type": "mcp.server.status_changed", "timestamp": AT, "id": id, "seq": 1,
                "data": {"installation_id": installation, "team_id": team, "user_id": user,
                    "status": "online", "status_message": message, "timestamp": AT}})
        };
        let long: String = (0..2_800_u32)
            .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
            .collect();
        let tools = json!({"type": "mcp.tools.discovered", "timestamp": AT, "id": "3", "data": {
            "installation_id": installation, "installation_name": "n", "team_id": team,
            "server_slug": "files", "tool_count": 1, "total_tokens": 3, "discovered_at": AT, "tools": [{"tool_name": long,
            "description": "d", "input_schema": {}, "token_count": 3}]}});
        let lines = json!({"type": "mcp.server.logs", "timestamp": AT, "id": "4\0", "data": {
            "installation_id": installation, "team_id": team, "user_id": user,
            "server_slug": "files", "logs": [{"level": "info", "message": "a\0b",
            "timestamp": AT, "metadata": {"k\0": "\0"}}]}});
        let batch = json!({"events": [status("1", "ready\0"), status(&long, "x"), tools, lines]});
        let path = format!("/api/satellites/{}/events", satellite.id);
        let reply = world.post(&path, &satellite.key, batch).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        assert_eq!(reply.body["processed"], 2, "{}", reply.body);
        let failed: Vec<_> = reply.body["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["index"].as_u64().unwrap(), one["error"].as_str().unwrap()))
            .collect();
        let why =
            |field: &str| format!("validation failed: `{field}`: must have at most 500 bytes");
        assert_eq!(failed, [(1, why("id").as_str()), (2, why("tool_name").as_str())]);
        let instances = world.backend.store().instances(installation.into()).await.unwrap();
        assert_eq!(instances[0].status_message.as_deref(), Some("ready\u{fffd}"));

        let mut beat = heartbeat();
        beat["version"] = json!("1\0");
        let path = format!("/api/satellites/{}/heartbeat", satellite.id);
        let reply = world.post(&path, &satellite.key, beat.clone()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        beat["processes"] = json!([{"id": long, "server_name": "s", "status": "running",
            "health_status": "healthy"}]);
        let reply = world.post(&path, &satellite.key, beat).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
        let path = format!("/api/satellites/{}/github-token/a%00b", satellite.id);
        let reply = world.get(&path, &satellite.key).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
    })
    .await;
}

#[tokio::test]
async fn administration_answers_with_problems_and_satellite_routes_as_ever() {
    let world = World::new().await;
    let satellite = world.pair("edge-satellite-01", None).await;
    for (method, path, token, status, title) in [
        (Method::GET, "/api/teams", "", 401, "Unauthorized"),
        (Method::GET, "/api/teams/none", &world.admin, 404, "Not Found"),
        (Method::GET, "/api/teams/%ff", &world.admin, 400, "Bad Request"),
        (Method::POST, "/api/teams", &world.admin, 400, "Bad Request"),
        (Method::DELETE, "/api/teams", &world.admin, 405, "Method Not Allowed"),
        (Method::GET, "/api/events?limit=x", &world.admin, 400, "Bad Request"),
    ] {
        let refused = world.ask(method, path, token, "[]").await;
        assert_eq!(refused.status, status, "{path}");
        assert_eq!(refused.headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
        let body = &refused.body;
        let members = (&body["type"], &body["title"], &body["status"], &body["success"]);
        let expected = (&json!("about:blank"), &json!(title), &json!(status), &json!(false));
        assert_eq!(members, expected, "{path}");
        let detail = body["message"].as_str().or(body["error"].as_str()).unwrap();
        assert_eq!(body["detail"], detail);
        assert_eq!(refused.headers.contains_key(header::ALLOW), status == 405, "{path}");
        assert_eq!(refused.headers.contains_key(header::WWW_AUTHENTICATE), status == 401);
    }
    for path in ["commands?limit=x", "nothing"] {
        let path = format!("/api/satellites/{}/{path}", satellite.id);
        let refused = world.get(&path, &satellite.key).await;
        assert_eq!(refused.headers[header::CONTENT_TYPE], "application/json", "{path}");
        assert!(refused.body["title"].is_null() && refused.body["success"] == false);
    }
}
