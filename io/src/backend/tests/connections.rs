//! Users connect to remotes, and satellites get their tokens.

mod provider;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use futures_util::future::join_all;
use satellite_core::backend::sha256_hex;
use satellite_core::egress::Rules;
use satellite_core::secret::Secret;
use serde_json::{Value, json};
use tower_service::Service;

use self::provider::{Mood, Provider};
use super::{Answered, Paired, World, text};
use crate::backend::OauthSettings;
use crate::backend::store::Store;

/// A page as a browser gets it.
struct Shown {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

/// A team with an installed remote, two users, and a satellite.
struct Stage {
    world: World,
    provider: Provider,
    team: String,
    installation: String,
    ada: String,
    bob: String,
    satellite: Paired,
}

impl Stage {
    async fn new() -> Stage {
        Stage::on("sqlite::memory:").await
    }

    async fn on(database: &str) -> Stage {
        let provider = Provider::default();
        let oauth = OauthSettings {
            encryption_secret: Secret::new("0123456789abcdef0123456789abcdef"),
            outbound: Arc::new(provider.clone()),
            rules: Rules::default(),
        };
        let world = World::with(database.to_owned(), Some(oauth)).await;
        let satellite = world.pair("edge-satellite-01", None).await;
        let team = world.administer(Method::POST, "/api/teams", json!({"name": "Acme"})).await;
        let team = text(&team["team"]["id"]);
        let user = async |name: &str| {
            let body = json!({"username": name, "team_id": team});
            let user = world.administer(Method::POST, "/api/users", body).await;
            text(&user["user"]["id"])
        };
        let (ada, bob) = (user("ada").await, user("bob").await);
        let server = json!({"name": "Docs", "transport_type": "http", "requires_oauth": true,
            "remotes": [{"url": "https://remote.example/mcp"}]});
        let server = world.administer(Method::POST, "/api/servers", server).await;
        let body = json!({"server_id": server["server"]["id"], "installation_name": "<Our> docs"});
        let path = format!("/api/teams/{team}/mcp/installations");
        let installation = world.administer(Method::POST, &path, body).await;
        let installation = text(&installation["installation"]["id"]);
        Stage { world, provider, team, installation, ada, bob, satellite }
    }

    /// The path of a link for `user`.
    async fn link(&self, user: &str) -> String {
        let path = format!(
            "/api/teams/{}/mcp/installations/{}/users/{user}/connect",
            self.team, self.installation
        );
        let data = self.world.administer(Method::POST, &path, json!({})).await;
        let url = text(&data["connect"]["url"]);
        url.strip_prefix("http://127.0.0.1:3000").unwrap().to_owned()
    }

    async fn browse(&self, method: Method, path: &str, cookie: &str) -> Shown {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, format!("other=1; {cookie}"))
            .body(Body::empty())
            .unwrap();
        let response = self.world.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let html = String::from_utf8(body.to_vec()).unwrap();
        Shown { status: head.status, headers: head.headers, html }
    }

    /// Presses the button; gives the state of the request, and the cookie.
    async fn begin(&self, link: &str) -> (String, String) {
        let shown = self.browse(Method::POST, link, "").await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.html);
        let refresh = shown.headers[header::REFRESH].to_str().unwrap();
        assert!(refresh.starts_with("0; url=https://as.example/auth?response_type=code&"));
        let state = refresh.split("&state=").nth(1).unwrap().split('&').next().unwrap();
        let cookie = shown.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        (state.to_owned(), cookie.split(';').next().unwrap().to_owned())
    }

    async fn answer(&self, query: &str, cookie: &str) -> Shown {
        self.browse(Method::GET, &format!("/connect/callback?{query}"), cookie).await
    }

    async fn connect(&self, user: &str) {
        let link = self.link(user).await;
        let (state, cookie) = self.begin(&link).await;
        let query = format!("code=good-code&state={state}&iss=https%3A%2F%2Fas.example");
        let shown = self.answer(&query, &cookie).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.html);
    }

    async fn ask(&self, what: &str, user: &str, refused: Option<&str>) -> Answered {
        let path = format!("/api/satellites/{}/tokens/{what}", self.satellite.id);
        let mut body =
            json!({"installation_id": self.installation, "user_id": user, "team_id": self.team});
        if let Some(token) = refused {
            body["refused_token_sha256"] = json!(sha256_hex(token.as_bytes()));
        }
        self.world.post(&path, &self.satellite.key, body).await
    }

    async fn retrieve(&self, user: &str) -> Answered {
        self.ask("retrieve", user, None).await
    }

    async fn status_of(&self, user: &str) -> String {
        let path = format!("/api/teams/{}/mcp/installations/{}", self.team, self.installation);
        let found = self.world.administer(Method::GET, &path, Value::Null).await;
        let instances = found["installation"]["instances"].as_array().unwrap().clone();
        let of = instances.iter().find(|instance| instance["user_id"] == *user).unwrap();
        text(&of["status"])
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_connects_through_the_page_and_the_satellite_gets_the_token() {
    let stage = Stage::new().await;
    assert_eq!(stage.retrieve(&stage.ada).await.status, StatusCode::NOT_FOUND);
    let before = stage.ask("status", &stage.ada, None).await;
    assert_eq!(before.body["exists"], json!(false));

    let link = stage.link(&stage.ada).await;
    let page = stage.browse(Method::GET, &link, "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.html.contains("&lt;Our&gt; docs") && page.html.contains("ada"), "{}", page.html);
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"));
    assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");

    let (state, cookie) = stage.begin(&link).await;
    let again = stage.browse(Method::POST, &link, "").await;
    assert_eq!(again.status, StatusCode::GONE, "a link is good once");
    let query = format!("code=good-code&state={state}&iss=https%3A%2F%2Fas.example");
    let done = stage.answer(&query, &cookie).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.html);
    assert!(!done.html.contains("access-") && !done.html.contains("good-code"));
    assert_eq!(stage.answer(&query, &cookie).await.status, StatusCode::GONE);

    let token = stage.retrieve(&stage.ada).await;
    assert_eq!(token.status, StatusCode::OK, "{}", token.body);
    assert_eq!(token.body["access_token"], "access-1");
    assert_eq!(token.body["token_type"], "Bearer");
    assert_eq!(token.body["refresh_token"], Value::Null);
    let after = stage.ask("status", &stage.ada, None).await.body;
    assert_eq!((&after["exists"], &after["can_refresh"]), (&json!(true), &json!(true)));
    assert_eq!(after["expired"], json!(false));
    assert_eq!(stage.retrieve(&stage.bob).await.status, StatusCode::NOT_FOUND, "not bob's");

    let commands = stage.world.backend.store.commands(stage.satellite.id.as_str().into(), 1);
    let command = commands.await.unwrap().remove(0);
    assert_eq!(command.command_type, "configure");
    let payload = command.payload.value();
    assert_eq!(payload["event"], "mcp_recovery");
    assert_eq!(payload["user_id"], json!(stage.ada));
    stage.connect(&stage.bob).await;
    assert_eq!(stage.provider.count("register"), 1, "one client for all users");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_browser_or_issuer_connects_nobody() {
    let stage = Stage::new().await;
    let good = "iss=https%3A%2F%2Fas.example";
    for (named, cookie, expected) in [
        (good, Some(""), StatusCode::GONE),
        (good, Some("satellite_connect=0000"), StatusCode::GONE),
        ("iss=https%3A%2F%2Fevil.example", None, StatusCode::BAD_GATEWAY),
        ("", None, StatusCode::BAD_GATEWAY),
        ("error=access_denied&iss=https%3A%2F%2Fas.example", None, StatusCode::BAD_GATEWAY),
    ] {
        let link = stage.link(&stage.ada).await;
        let (state, own) = stage.begin(&link).await;
        let query = format!("code=good-code&state={state}&{named}");
        let shown = stage.answer(&query, cookie.unwrap_or(&own)).await;
        assert_eq!(shown.status, expected, "{named} {cookie:?}: {}", shown.html);
        assert!(!shown.html.contains("good-code"));
    }
    let link = stage.link(&stage.ada).await;
    let (_, cookie) = stage.begin(&link).await;
    let query = format!("code=good-code&state={}&{good}", "0".repeat(64));
    assert_eq!(stage.answer(&query, &cookie).await.status, StatusCode::GONE);
    let link = stage.link(&stage.ada).await;
    let (state, cookie) = stage.begin(&link).await;
    pass(15 * 60).await;
    let query = format!("code=good-code&state={state}&{good}");
    assert_eq!(stage.answer(&query, &cookie).await.status, StatusCode::GONE, "too late");
    assert_eq!(stage.provider.count("code"), 0);
    assert_eq!(stage.retrieve(&stage.ada).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_authorisation_endpoint_that_is_a_file_leads_nowhere() {
    let stage = Stage::new().await;
    stage.provider.be(Mood::Odd);
    let link = stage.link(&stage.ada).await;
    let shown = stage.browse(Method::POST, &link, "").await;
    assert_eq!(shown.status, StatusCode::BAD_GATEWAY);
    assert!(shown.html.contains("authorisation endpoint"), "{}", shown.html);
    assert!(!shown.html.contains("file://") && !shown.headers.contains_key(header::REFRESH));
    stage.provider.be(Mood::Fine);
    stage.begin(&link).await;
}

#[tokio::test(start_paused = true)]
async fn fifty_who_ask_at_once_cause_one_renewal() {
    for database in ["sqlite::memory:", "model:"] {
        let stage = Stage::on(database).await;
        stage.connect(&stage.ada).await;
        pass(3_541).await;
        let answers = join_all((0..50).map(|_| stage.retrieve(&stage.ada))).await;
        for answered in answers {
            assert_eq!(answered.body["access_token"], "access-2", "{}", answered.body);
        }
        assert_eq!(stage.provider.count("refresh"), 1);
        pass(3_700).await;
        let answers = join_all((0..50).map(|_| stage.retrieve(&stage.ada))).await;
        assert!(answers.iter().all(|one| one.body["access_token"] == "access-3"));
        assert_eq!(stage.provider.count("refresh"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_grant_has_that_users_instance_alone_wait_for_its_user() {
    let stage = Stage::new().await;
    stage.connect(&stage.ada).await;
    stage.provider.be(Mood::Revoked);
    let young = stage.ask("retrieve", &stage.ada, Some("access-1")).await;
    assert_eq!(young.body["access_token"], "access-1", "another would fare no better");
    pass(60).await;
    let other = stage.ask("retrieve", &stage.ada, Some("access-0")).await;
    assert_eq!(other.body["access_token"], "access-1", "that one was refused long ago");
    let answered = stage.ask("retrieve", &stage.ada, Some("access-1")).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
    let hint = text(&answered.body["instructions"]);
    assert!(hint.contains("satellite server connect"), "{hint}");
    assert_eq!(stage.status_of(&stage.ada).await, "requires_reauth");
    assert_eq!(stage.status_of(&stage.bob).await, "provisioning");
    stage.provider.be(Mood::Fine);
    stage.connect(&stage.ada).await;
    assert_eq!(stage.status_of(&stage.ada).await, "connecting");
    assert_eq!(stage.retrieve(&stage.ada).await.body["access_token"], "access-2");
}

#[tokio::test(start_paused = true)]
async fn an_authorisation_server_that_is_away_costs_no_grant() {
    let stage = Stage::new().await;
    stage.connect(&stage.ada).await;
    stage.provider.be(Mood::Gone);
    pass(3_545).await;
    let still_good = stage.retrieve(&stage.ada).await;
    assert_eq!(still_good.body["access_token"], "access-1", "{}", still_good.body);
    pass(60).await;
    let answered = stage.retrieve(&stage.ada).await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answered.headers[header::RETRY_AFTER], "10");
    assert_ne!(stage.status_of(&stage.ada).await, "requires_reauth");
    stage.provider.be(Mood::Fine);
    let at_once = stage.retrieve(&stage.ada).await;
    assert_eq!(at_once.status, StatusCode::SERVICE_UNAVAILABLE, "not before the next try");
    pass(10).await;
    assert_eq!(stage.retrieve(&stage.ada).await.body["access_token"], "access-2");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_end_soon_are_renewed_before_anybody_asks() {
    let stage = Stage::new().await;
    stage.connect(&stage.ada).await;
    stage.world.backend.renew_due().await.unwrap();
    assert_eq!(stage.provider.count("refresh"), 0);
    pass(3_545).await;
    stage.world.backend.renew_due().await.unwrap();
    assert_eq!(stage.provider.count("refresh"), 1);
    stage.provider.be(Mood::Revoked);
    pass(3_601).await;
    stage.world.backend.renew_due().await.unwrap();
    assert_eq!(stage.status_of(&stage.ada).await, "requires_reauth");
}

#[tokio::test(start_paused = true)]
async fn only_a_satellite_that_serves_the_installation_gets_its_tokens_and_not_too_often() {
    let stage = Stage::new().await;
    stage.connect(&stage.ada).await;
    let other = stage.world.administer(Method::POST, "/api/teams", json!({"name": "Other"})).await;
    let other = text(&other["team"]["id"]);
    let stranger = stage.world.pair("edge-satellite-02", Some(&other)).await;
    let body = |team: &str| json!({"installation_id": stage.installation, "user_id": stage.ada, "team_id": team});
    let path = |id: &str| format!("/api/satellites/{id}/tokens/retrieve");
    for (id, key, team) in [
        (&stranger.id, &stranger.key, &stage.team),
        (&stranger.id, &stranger.key, &other),
        (&stage.satellite.id, &stranger.key, &other),
        (&stage.satellite.id, &stage.satellite.key, &other),
    ] {
        let answered = stage.world.post(&path(id), key, body(team)).await;
        assert_eq!(answered.status, StatusCode::FORBIDDEN, "{}", answered.body);
    }
    let empty = stage.world.post(&path(&stage.satellite.id), &stage.satellite.key, body("")).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    pass(60).await;
    for _ in 0..100 {
        assert_eq!(stage.retrieve(&stage.ada).await.status, StatusCode::OK);
    }
    let answered = stage.retrieve(&stage.ada).await;
    assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answered.headers[header::RETRY_AFTER], "60");
    pass(60).await;
    assert_eq!(stage.retrieve(&stage.ada).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_backend_without_an_encryption_secret_connects_nobody() {
    let world = World::new().await;
    let (team, user, installation) = world.install().await;
    let path = format!("/api/teams/{team}/mcp/installations/{installation}/users/{user}/connect");
    let answered = world.post(&path, &world.admin, json!({})).await;
    assert_eq!(answered.status, StatusCode::NOT_IMPLEMENTED);
    let hint = text(&answered.body["instructions"]);
    assert!(hint.contains("DEPLOYSTACK_ENCRYPTION_SECRET"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn a_database_file_holds_no_token_secret_state_or_link_that_can_be_read() {
    let file = std::env::temp_dir().join(format!("satellite-sealed-{}.db", std::process::id()));
    let stage = Stage::on(&format!("sqlite:{}", file.display())).await;
    let link = stage.link(&stage.ada).await;
    let (state, cookie) = stage.begin(&link).await;
    let query = format!("code=good-code&state={state}&iss=https%3A%2F%2Fas.example");
    let unspent = stage.link(&stage.bob).await;
    let read = || {
        let with = |ending: &str| std::fs::read(format!("{}{ending}", file.display()));
        [with("").unwrap(), with("-wal").unwrap_or_default()].concat()
    };
    let has =
        |bytes: &[u8], text: &str| contains(bytes, text.trim_start_matches("/connect/").as_bytes());
    let before = read();
    assert!(has(&before, "Acme"), "the file is read at all");
    for secret in [link.as_str(), &unspent, &state, &cookie, "client-secret"] {
        assert!(!has(&before, secret.split('=').next_back().unwrap()), "{secret}");
    }
    assert_eq!(stage.answer(&query, &cookie).await.status, StatusCode::OK);
    let after = read();
    for secret in ["access-1", "refresh-1", "good-code", "client-secret"] {
        assert!(!has(&after, secret), "{secret}");
    }
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", file.display()));
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
