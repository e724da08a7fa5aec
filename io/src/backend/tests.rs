//! The HTTP surface, asked as satellites and administrators ask it.

mod administration;
mod commands;
mod connections;
mod events;
mod lists;
mod refusals;
mod satellites;
mod texts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use satellite_core::random::Random;
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use serde_json::{Value, json};
use tower_service::Service;

use super::store::Inline;
use super::{Backend, BackendSettings, Entropy, OauthSettings, router};
use crate::clock::Clock;

const NOW: Timestamp = Timestamp(1_769_850_902_123);

/// Different bytes at every call, the same in every run.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = Random::new(self.0.fetch_add(1, Ordering::Relaxed));
        bytes.fill_with(|| random.next().to_le_bytes()[0]);
    }
}

/// A Backend on a database in memory.
struct World {
    router: Router,
    backend: Arc<Backend>,
    admin: String,
}

/// A paired satellite.
struct Paired {
    id: String,
    key: String,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl World {
    async fn new() -> World {
        World::on("sqlite::memory:".to_owned()).await
    }

    async fn on(database_url: String) -> World {
        World::with(database_url, None).await
    }

    async fn with(database_url: String, oauth: Option<OauthSettings>) -> World {
        let settings = BackendSettings {
            database_url,
            jwt_secret: None,
            admin_token: None,
            public_url: "http://127.0.0.1:3000".to_owned(),
            oauth,
        };
        let entropy = Arc::new(Counted::default());
        let clock = Clock::starting_at(NOW);
        let opened = Backend::open(settings, Arc::new(Inline), clock, entropy).await.unwrap();
        let admin: Secret = opened.admin_token.unwrap();
        World {
            router: router(Arc::clone(&opened.backend)),
            backend: opened.backend,
            admin: admin.expose().to_owned(),
        }
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
        };
        Answered { status: head.status, headers: head.headers, body }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await
    }

    async fn get(&self, path: &str, token: &str) -> Answered {
        self.ask(Method::GET, path, token, "").await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answered {
        self.ask(Method::POST, path, token, &body.to_string()).await
    }

    /// Asks as administrator for what must succeed; gives its `data`.
    async fn administer(&self, method: Method, path: &str, body: Value) -> Value {
        let answered = self.ask(method, path, &self.admin, &body.to_string()).await;
        assert!(answered.status.is_success(), "{path}: {} {}", answered.status, answered.body);
        assert_eq!(answered.body["success"], json!(true));
        answered.body["data"].clone()
    }

    async fn token(&self, team: Option<&str>) -> String {
        let path = match team {
            Some(team) => format!("/api/teams/{team}/satellites/registration-tokens"),
            None => "/api/satellites/global/registration-tokens".to_owned(),
        };
        let data = self.administer(Method::POST, &path, json!({})).await;
        text(&data["token"]["token"])
    }

    async fn pair(&self, name: &str, team: Option<&str>) -> Paired {
        let token = self.token(team).await;
        let body = json!({"name": name, "capabilities":
            ["stdio", "poll-wait", "command-lease", "event-id", "config-version"]});
        let answered = self.post("/api/satellites/register", &token, body).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
        let satellite = &answered.body["satellite"];
        Paired { id: text(&satellite["id"]), key: text(&satellite["api_key"]) }
    }

    /// A team with a user and an installed stdio server; gives their ids.
    async fn install(&self) -> (String, String, String) {
        let team = self.administer(Method::POST, "/api/teams", json!({"name": "Acme"})).await;
        let team = text(&team["team"]["id"]);
        let user = json!({"username": "ada", "team_id": team});
        let user = self.administer(Method::POST, "/api/users", user).await;
        let server = json!({"name": "Files", "transport_type": "stdio",
            "packages": [{"transport": {"command": "npx"}}], "template_args": [{"value": "-y"}]});
        let server = self.administer(Method::POST, "/api/servers", server).await;
        let installation = json!({"server_id": server["server"]["id"],
            "installation_name": "Our files", "team_env": {"API_KEY": "plain secret"}});
        let path = format!("/api/teams/{team}/mcp/installations");
        let installation = self.administer(Method::POST, &path, installation).await;
        (team, text(&user["user"]["id"]), text(&installation["installation"]["id"]))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn heartbeat() -> Value {
    json!({"status": "active", "error_count": 0, "version": "1", "processes": [],
        "system_metrics": {"cpu_usage_percent": 1.5, "memory_usage_mb": 12, "uptime_seconds": 5}})
}
