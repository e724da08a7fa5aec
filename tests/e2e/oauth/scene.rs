//! An authorisation server from npm with a remote behind it, and a Backend whose users want in.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::fleet::free_port;
use crate::harness::{Running, Scratch, command, eventually, node, query, tail};
use crate::mcp::http;

const ADMIN: &str = "ds_admin_0123456789abcdef0123456789abcdef";

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_string()
}

/// The authorisation server, the remote, and a Backend with a team of two users.
pub(crate) struct Scene {
    pub(crate) scratch: Scratch,
    pub(crate) provider: Running,
    pub(crate) backend: Child,
    pub(crate) url: String,
    pub(crate) http: Client,
    pub(crate) team: String,
    pub(crate) installation: String,
    pub(crate) users: [String; 2],
}

impl Scene {
    pub(crate) async fn start(name: &str, life: u64) -> Scene {
        let scratch = Scratch::new(name);
        let mut node = node("provider.mjs", include_str!("../provider.mjs"));
        node.arg(life.to_string()).stdin(std::process::Stdio::piped());
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
        };
        let health = format!("{}/api/health", scene.url);
        eventually("the Backend", || async { scene.http.get(&health).send().await.ok() }).await;
        scene.furnish().await;
        scene
    }

    /// Makes the team, its users, and the server.
    async fn furnish(&mut self) {
        let team = self.administer("/api/teams", json!({"name": "Acme"})).await;
        self.team = text(&team["team"]["id"]);
        for (at, name) in ["ada", "bob"].into_iter().enumerate() {
            let user = json!({"username": name, "team_id": self.team});
            let user = self.administer("/api/users", user).await;
            self.users[at] = text(&user["user"]["id"]);
        }
        let server = json!({"name": "Docs", "transport_type": "http", "requires_oauth": true,
            "remotes": [{"url": self.provider.text("/remote")}]});
        self.installation = self.install(server).await;
    }

    /// Installs a server for the team; gives the installation's id.
    pub(crate) async fn install(&self, server: Value) -> String {
        let name = server["name"].clone();
        let server = self.administer("/api/servers", server).await;
        let path = format!("/api/teams/{}/mcp/installations", self.team);
        let body = json!({"server_id": server["server"]["id"], "installation_name": name});
        text(&self.administer(&path, body).await["installation"]["id"])
    }

    /// What lets a satellite pair.
    pub(crate) async fn registration_token(&self) -> String {
        let path = "/api/satellites/global/registration-tokens";
        text(&self.administer(path, json!({})).await["token"]["token"])
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(token);
        let response = request.body(body.to_string()).send().await.expect("the Backend answers");
        let status = response.status();
        let text = response.text().await.expect("an answer is text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn administer(&self, path: &str, body: Value) -> Value {
        let (status, mut reply) = self.post(path, ADMIN, body).await;
        assert!(status.is_success(), "{path}: {status} {reply}");
        reply["data"].take()
    }

    /// What the command line prints for a user.
    pub(crate) async fn link(&self, user: &str) -> String {
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

    /// Goes the whole way in the browser, as `account` of the authorisation server.
    pub(crate) async fn connect(&self, user: &str, account: &str, name: &str) -> Value {
        let link = self.link(user).await;
        let way = self.browse(&link, account, "consent", name).await;
        let result = way["pages"].as_array().and_then(|pages| pages.last()).expect("a page");
        assert_eq!(result["heading"], "Connected", "{way:#} {}", self.log());
        assert_eq!(result["origin"], self.url);
        way
    }

    /// What the browser saw on the way that begins with a link. Screenshots go to the folder that
    /// `SATELLITE_SCREENSHOTS` names, if it does.
    pub(crate) async fn browse(
        &self,
        link: &str,
        account: &str,
        choice: &str,
        name: &str,
    ) -> Value {
        let folder = std::env::var_os("SATELLITE_SCREENSHOTS")
            .map_or_else(|| self.scratch.0.clone(), std::path::PathBuf::from)
            .join(name);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let output = node("browser.mjs", include_str!("../browser.mjs"))
            .arg(folder)
            .args([link, account, choice])
            .output()
            .await
            .expect("the browser runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint} {}", self.log());
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(crate) async fn stats(&self) -> Value {
        let response = self.http.get(self.beside("stats")).send().await.expect("counts");
        serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
    }

    pub(crate) fn beside(&self, what: &str) -> String {
        self.provider.text("/remote").replace("/mcp", &format!("/{what}"))
    }

    /// Whom the remote takes the bearer of a token for.
    pub(crate) async fn account(&self, token: &Value) -> Option<String> {
        let request = self.http.post(self.beside("whoami"));
        let request = request.bearer_auth(token["access_token"].as_str().expect("a token"));
        let response = request.send().await.expect("the remote answers");
        let text = response.text().await.expect("text");
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        reply["account"].as_str().map(String::from)
    }

    /// The status of a user's instance.
    pub(crate) fn status(&self, user: &str) -> String {
        let sql = format!(
            r#"SELECT status FROM "mcpServerInstances"
               WHERE installation_id = '{}' AND user_id = '{user}'"#,
            self.installation
        );
        self.query(&sql).remove(0)
    }

    /// Reads one column of the Backend's database, as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        query(&format!("sqlite:{}", self.scratch.0.join("backend.db").display()), sql)
    }

    /// A log holds neither `secrets` nor a link.
    pub(crate) fn has_told_no_secret(&self, log: &str, secrets: &[String]) {
        let text = std::fs::read_to_string(self.scratch.0.join(log)).expect("a log");
        for secret in secrets {
            assert!(!text.contains(secret), "a token stands in {log}");
        }
        assert!(!text.contains("/connect/"), "a link stands in {log}");
    }

    pub(crate) async fn end(mut self) {
        let _ = self.backend.kill().await;
        let _ = self.provider.stop().await;
    }

    pub(crate) fn log(&self) -> String {
        tail(&self.scratch.0.join("backend.log"))
    }
}
