//! Who is let in where: each cell of the table, asked over HTTP.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use satellite_core::backend::roles::{MEMBER, SCOPE, TEAM_ADMINISTRATOR};
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use tower_service::Service;

use super::*;
use crate::backend::store::Inline;
use crate::backend::{BackendSettings, Kernel};
use crate::clock::Clock;

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const ADMIN: &str = "the right one";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tables/authorisation.txt");

struct Office {
    router: Router<()>,
}

impl Office {
    async fn open() -> Office {
        let settings = BackendSettings {
            database_url: "model:".to_owned(),
            jwt_secret: None,
            admin_token: Some(Secret::new(ADMIN)),
            public_url: "http://127.0.0.1:3000".to_owned(),
            oauth: None,
        };
        let clock = Clock::starting_at(Timestamp(0));
        let opened = Backend::open(settings, Arc::new(Inline), clock, Arc::new(Kernel)).await;
        Office { router: router(opened.unwrap().backend) }
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().call(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn make(&self, path: &str, body: Value, place: &str) -> String {
        let (status, reply) = self.ask(&Method::POST, path, Some(ADMIN), &body).await;
        assert!(status.is_success(), "{path}: {status} {reply}");
        reply.pointer(place).and_then(Value::as_str).unwrap().to_owned()
    }

    async fn user(&self, name: &str, team: &str, role: &str) -> String {
        let body = json!({"username": name, "team_id": team});
        let user = self.make("/api/users", body, "/data/user/id").await;
        let path = format!("/api/teams/{team}/members/{user}");
        let (status, reply) =
            self.ask(&Method::PUT, &path, Some(ADMIN), &json!({"role": role})).await;
        assert!(status.is_success(), "{reply}");
        user
    }

    async fn token(&self, user: &str, team: &str, scope: &str) -> String {
        let path = format!("/api/users/{user}/tokens");
        let body = json!({"team_id": team, "scope": scope});
        self.make(&path, body, "/data/access_token/token").await
    }
}

/// What a caller comes to: `yes` is whatever the handler says.
fn verdict(status: StatusCode, body: &Value, is_admin: bool) -> String {
    // To an administrator it is the handler who says so.
    let is_no_such_team = body["error"] == "team not found" && !is_admin;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => status.as_u16().to_string(),
        StatusCode::NOT_FOUND if is_no_such_team => "404".to_owned(),
        _ => "yes".to_owned(),
    }
}

#[tokio::test]
async fn every_role_finds_every_route_of_every_tenant_as_the_table_says() {
    let office = Office::open().await;
    let own = office.make("/api/teams", json!({"name": "Own"}), "/data/team/id").await;
    let other = office.make("/api/teams", json!({"name": "Other"}), "/data/team/id").await;
    let ada = office.user("ada", &own, MEMBER).await;
    let bob = office.user("bob", &own, MEMBER).await;
    let eve = office.user("eve", &own, TEAM_ADMINISTRATOR).await;
    let gone = office.user("gone", &own, TEAM_ADMINISTRATOR).await;
    let everything = format!("mcp:read mcp:tools:execute {SCOPE}");
    let client = office.token(&eve, &own, "mcp:read mcp:tools:execute").await;
    let member = office.token(&ada, &own, &everything).await;
    let leader = office.token(&eve, &own, SCOPE).await;
    let left = office.token(&gone, &own, SCOPE).await;
    let path = format!("/api/teams/{own}/members/{gone}");
    assert!(office.ask(&Method::DELETE, &path, Some(ADMIN), &json!({})).await.0.is_success());

    // Who asks, of which team and user.
    let columns: [(&str, Option<&str>, &str, &str); 13] = [
        ("nobody", None, &own, &ada),
        ("a stranger", Some("the wrong one"), &own, &ada),
        ("an MCP client", Some(&client), &own, &eve),
        ("who left the team", Some(&left), &own, &gone),
        ("member, own user", Some(&member), &own, &ada),
        ("member, another user", Some(&member), &own, &bob),
        ("member, another team", Some(&member), &other, &ada),
        ("team admin, own user", Some(&leader), &own, &eve),
        ("team admin, another user", Some(&leader), &own, &bob),
        ("team admin, another team", Some(&leader), &other, &eve),
        ("administrator, a team", Some(ADMIN), &own, &bob),
        ("administrator, another team", Some(ADMIN), &other, &bob),
        ("administrator, a user", Some(ADMIN), &own, &ada),
    ];
    let mut table = String::from(
        "# Who may use which route of administration; `yes` lets the handler answer. Written by\n\
         # the test of the same table in io/src/backend/routes/admin/tests.rs; BLESS=1 writes it.\n\n",
    );
    for (number, (name, ..)) in columns.iter().enumerate() {
        writeln!(table, "# {:>2}  {name}", number + 1).unwrap();
    }
    let mut cells = 0;
    let mut paths: Vec<String> = Vec::new();
    for operation in operations() {
        if !paths.contains(&operation.path) {
            paths.push(operation.path);
        }
    }
    for route in paths {
        for method in METHODS {
            let mut row = String::new();
            for (column, (name, token, team, user)) in columns.iter().enumerate() {
                // Those who may delete ask it of what is not there: others come after them.
                let deletes =
                    method == Method::DELETE && [Some(ADMIN), Some(&*leader)].contains(token);
                let is_admin = *token == Some(ADMIN);
                let user = if deletes && !route.contains("/tokens") { "nobody" } else { *user };
                let team = if deletes && is_admin { "nowhere" } else { *team };
                let path = route.replace("{team}", team).replace("{user}", user);
                let path = path.replace(['{', '}'], "");
                // And what they send cannot be read, so that nothing changes.
                let (status, body) = office.ask(&method, &path, *token, &json!([])).await;
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    break;
                }
                let cell = verdict(status, &body, is_admin);
                let is_unknown = column < 4;
                assert!(!is_unknown || cell != "yes", "{method} {route} lets {name} in");
                cells += 1;
                write!(row, " {cell:>3}").unwrap();
            }
            if !row.is_empty() {
                let method = method.as_str();
                writeln!(table, "{method:<6} {route:<76}{row}").unwrap();
            }
        }
    }
    writeln!(table, "\n# {cells} cells").unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, kept, "the table changed; look at it, then BLESS=1 writes it");
}
